"""The Atom interface: create, look at, list and delete queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from aiohttp import web

from sandbox.servicebus.broker.errors import EXISTS, NOT_IMPLEMENTED, UNAUTHORIZED, RefusedError
from sandbox.servicebus.http.atom import (
    ENTRY_TYPE,
    FEED_TYPE,
    entry_document,
    error_document,
    feed_document,
    parse_description,
)

if TYPE_CHECKING:
    from sandbox.servicebus.auth import Authority
    from sandbox.servicebus.broker.namespace import Namespace

LIST: Final = "$Resources/queues"
PAGE: Final = 100


class Administration:
    """Answers requests about queues, with the key of the namespace."""

    def __init__(self, namespace: Namespace, authority: Authority) -> None:
        self._namespace = namespace
        self._authority = authority

    async def handle(self, http: web.BaseRequest) -> web.Response:
        """Answer one request."""
        path = unquote(http.path).strip("/")
        try:
            self._authorize(http, path)
            return await self._answer(http, path)
        except RefusedError as refused:
            body = error_document(refused.status, refused.description)
            return web.Response(status=refused.status, body=body, headers={"Content-Type": "application/xml"})

    def _authorize(self, http: web.BaseRequest, path: str) -> None:
        token = http.headers.get("Authorization")
        if token is None:
            raise RefusedError(UNAUTHORIZED, "MissingToken: The authorization header is missing.")
        self._authority.check(token, path)

    async def _answer(self, http: web.BaseRequest, path: str) -> web.Response:
        address = f"{http.scheme}://{http.host}/{quote(path)}"
        match http.method:
            case "GET" if path.casefold() == LIST.casefold():
                return self._list(http, address)
            case "GET" if not path.startswith("$"):
                return self._get(path, address)
            case "PUT" if not path.startswith("$"):
                return await self._create(http, path, address)
            case "DELETE" if not path.startswith("$"):
                self._namespace.delete(path)
                return web.Response(status=200)
        raise RefusedError(NOT_IMPLEMENTED, f"The sandbox does not know {http.method} {http.path}.")

    def _list(self, http: web.BaseRequest, address: str) -> web.Response:
        skip, top = int(http.query.get("$skip", "0")), int(http.query.get("$top", str(PAGE)))
        queues = self._namespace.queues()
        more = f"{address}?$skip={skip + top}&$top={top}" if skip + top < len(queues) else None
        body = feed_document(queues[skip : skip + top], address, more)
        return web.Response(body=body, headers={"Content-Type": FEED_TYPE})

    def _get(self, path: str, address: str) -> web.Response:
        """A queue; where there is none, an empty feed, as the service answers."""
        found = [queue for queue in self._namespace.queues() if queue.name.casefold() == path.casefold()]
        if not found:
            return web.Response(body=feed_document([], address, None), headers={"Content-Type": FEED_TYPE})
        found[0].catch_up()
        return web.Response(body=entry_document(found[0], address), headers={"Content-Type": ENTRY_TYPE})

    async def _create(self, http: web.BaseRequest, path: str, address: str) -> web.Response:
        if "If-Match" in http.headers:
            raise RefusedError(NOT_IMPLEMENTED, "The sandbox does not change queues: delete it and create it anew.")
        settings = parse_description(await http.read())
        try:
            queue = self._namespace.create(path, settings)
        except RefusedError as refused:
            if refused.condition == EXISTS:
                raise RefusedError(EXISTS, f"SubCode=40900. Conflict. {refused.description}") from refused
            raise
        return web.Response(status=201, body=entry_document(queue, address), headers={"Content-Type": ENTRY_TYPE})

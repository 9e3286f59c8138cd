"""HTTP: authorization, faults, counters and headers around every request."""

from __future__ import annotations

import asyncio
from collections import Counter
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiohttp import web

from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.reply import Reply, error_reply
from sandbox.cosmos.request import Request
from sandbox.cosmos.routes import route

if TYPE_CHECKING:
    from sandbox.clock import Clock
    from sandbox.cosmos.auth import Authority
    from sandbox.cosmos.faults import Fault, Faults
    from sandbox.cosmos.metadata import Metadata
    from sandbox.cosmos.service import Items

SERVER = "cosmos-sandbox (development tool)"
VERSION = "2020-07-15"


class Gateway:
    """Turns HTTP requests into operations and their replies into HTTP responses.

    `counts` holds how often each operation name was answered with each status; a cut connection
    counts as status 0.
    """

    def __init__(self, authority: Authority, faults: Faults, metadata: Metadata, items: Items, clock: Clock) -> None:
        self._authority = authority
        self._faults = faults
        self._metadata = metadata
        self._items = items
        self._clock = clock
        self.counts: Counter[tuple[str, int]] = Counter()

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        body = await http.read()
        operation = "unknown"
        try:
            asked = route(http.method, http.raw_path, http.headers)
            operation = asked.operation
            self._authority.check(http.method, asked.resource_type, asked.link, http.headers)
            reply = await self._answer(Request(asked, http.headers, body), http)
        except CosmosError as error:
            reply = error_reply(error)
        self.counts[operation, reply.status] += 1
        return self._respond(http, reply)

    async def _answer(self, request: Request, http: web.BaseRequest) -> Reply:
        fault = self._faults.strike(request.route.operation, http.method, unquote(http.raw_path))
        if fault is None:
            return await self._perform(request)
        if fault.when == "before":
            struck = await _suffer(fault, http)
            return struck or await self._perform(request)
        try:
            reply = await self._perform(request)
        except CosmosError as error:
            reply = error_reply(error)
        return await _suffer(fault, http) or reply

    async def _perform(self, request: Request) -> Reply:
        operation = request.route.operation
        if operation.startswith("item."):
            return await self._items.answer(request)
        handler = self._metadata.handlers.get(operation)
        if handler is None:
            raise bad_request(f"The sandbox does not support {operation}.")
        return handler(request)

    def _respond(self, http: web.BaseRequest, reply: Reply) -> web.Response:
        headers = reply.headers
        headers["Date"] = formatdate(self._clock.now(), usegmt=True)
        headers["Server"] = SERVER
        headers["x-ms-version"] = VERSION
        headers["x-ms-request-charge"] = f"{reply.charge_ru:.2f}"
        headers["x-ms-activity-id"] = http.headers.get("x-ms-activity-id", "")
        if reply.body:
            headers["Content-Type"] = "application/json"
        return web.Response(status=reply.status or 500, body=reply.body or None, headers=headers)


async def _suffer(fault: Fault, http: web.BaseRequest) -> Reply | None:
    """Let a fault happen; None when it only delayed."""
    if fault.delay_s:
        await asyncio.sleep(fault.delay_s)
    if fault.cut:
        if http.transport is not None:
            http.transport.abort()
        return Reply(0)
    if fault.status is None:
        return None
    injected = CosmosError(
        fault.status,
        "Injected by the sandbox.",
        substatus=fault.substatus,
        retry_after_ms=fault.retry_after_ms,
    )
    return error_reply(injected)

"""Stands before a local service: writes down what is asked and how it is answered, and refuses what it is told to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from types import TracebackType

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}

DENIED = {
    "json": '{"__type": "AccessDeniedException", "message": "no"}',
    "xml": "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
}


@dataclass(frozen=True)
class Asked:
    """A request; `action` is what AWS calls it where it is told apart from the path, or `Query` of a database.
    `status` is the answer's.
    """

    method: str
    path: str
    action: str
    status: int


@dataclass
class Relay:
    """Listens on loopback while it is entered. `denied` judges by method, path and action."""

    target: str
    denied: Callable[[str, str, str], bool] = lambda _method, _path, _action: False
    asked: list[Asked] = field(default_factory=list)
    _port: int = 0
    _runner: web.AppRunner | None = None
    _client: aiohttp.ClientSession | None = None

    @property
    def endpoint(self) -> str:
        """What to give to clients instead of the target."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._relay)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._runner is not None and self._client is not None:
            await self._client.close()
            await self._runner.cleanup()

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        action = _action(request, body)
        if self.denied(request.method, request.path, action):
            self.asked.append(Asked(request.method, request.path, action, 403))
            kind = "xml" if "xml" in request.headers.get("Accept", "") or not action else "json"
            return web.Response(status=403, text=DENIED["xml" if b"Action=" in body else kind])
        assert self._client is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = f"{self.target.rstrip('/')}{request.raw_path}"
        async with self._client.request(
            request.method,
            URL(url, encoded=True),
            data=body or None,
            headers=headers,
            skip_auto_headers={"Content-Type"},
        ) as answer:
            told = (await answer.read()).replace(_place(self.target), _place(self.endpoint))
            self.asked.append(Asked(request.method, request.path, action, answer.status))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if encoding := answer.headers.get("Content-Encoding"):
                kept["Content-Encoding"] = encoding
            return web.Response(status=answer.status, body=told, headers=kept)


def _place(url: str) -> bytes:
    """Host and port, which a service may tell of itself."""
    return url.rstrip("/").partition("://")[2].partition("/")[0].encode()


def _action(request: web.Request, body: bytes) -> str:
    """By the target of JSON services, or the form of older ones; empty for those that have paths."""
    if request.headers.get("x-ms-documentdb-isquery", "").lower() == "true":
        return "Query"
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    found = re.search(rb"(?:^|&)Action=(\w+)", body)
    return found[1].decode() if found else ""

"""The server: starts and stops it, and what tests may turn while it runs."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypedDict

from aiohttp import web

from sandbox.clock import Clock
from sandbox.control import PREFIX
from sandbox.cosmos.account import Account, Settings
from sandbox.cosmos.auth import EMULATOR_KEY, Authority
from sandbox.cosmos.control import control
from sandbox.cosmos.faults import Faults
from sandbox.cosmos.gateway import Gateway
from sandbox.cosmos.metadata import Metadata
from sandbox.cosmos.service import Items

if TYPE_CHECKING:
    import asyncio
    import ssl
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

    from sandbox.cosmos.wire import JsonObject

_MAX_HEADER_BYTES = 64 * 1024
_MAX_BODY_BYTES = 16 * 1024 * 1024
_SHUTDOWN_S = 1.0


class Stats(TypedDict):
    """How often each operation was answered with each status, and how many items there are."""

    operations: dict[str, dict[str, int]]
    items: dict[str, int]


class CosmosServer:
    """A Cosmos DB account on a loopback port, for development and tests only.

        async with CosmosServer() as server:
            client = CosmosClient(server.endpoint, server.key)

    Everything is in memory. `port` 0 takes a free one. `settings` are for new containers,
    `consistency` is what the account document claims (reads are always consistent). With `tls` it
    is served over https.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str = EMULATOR_KEY,
        name: str = "sandbox",
        settings: Settings | None = None,
        consistency: str = "Session",
        clock: Clock | None = None,
        seed: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        self.clock = clock or Clock()
        self.faults = Faults(seed)
        self.account = Account(settings or Settings(), self.clock)
        self._host = host
        self._port = port
        self._tls = tls
        self._metadata = Metadata(self.account, name, consistency)
        self._gateway = Gateway(Authority(key), self.faults, self._metadata, Items(self.account), self.clock)
        self._runner: web.ServerRunner | None = None

    @property
    def endpoint(self) -> str:
        """The account's URL, with its trailing slash; empty before the server has started."""
        return self._metadata.endpoint

    @property
    def account_document(self) -> JsonObject:
        """Members that the account document has instead of its own; to be changed in place."""
        return self._metadata.account_document

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; `endpoint` is known afterwards. Raises OSError when the port is taken."""
        server = web.Server(
            self._handle,
            request_factory=_make_request,
            access_log=None,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        listener = socket.create_server((self._host, self._port), backlog=512)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=self._tls).start()
        scheme = "http" if self._tls is None else "https"
        self._metadata.endpoint = f"{scheme}://{self._host}:{listener.getsockname()[1]}/"

    async def stop(self) -> None:
        """Close the port and all connections. What was stored stays until `reset`."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def set_budget(self, ru_per_s: float | None, names: tuple[str, str] | None = None) -> None:
        """Set the throughput of one container (database, name), or of all and those to come."""
        if names is not None:
            self.account.container(*names).budget.set_rate(ru_per_s)
            return
        self.account.settings = replace(self.account.settings, ru_per_s=ru_per_s)
        for container in self.account.containers().values():
            container.budget.set_rate(ru_per_s)

    def stats(self) -> Stats:
        """Counts since the start or the last `clear_stats`; a cut connection counts as status 0."""
        operations: dict[str, dict[str, int]] = {}
        for (operation, status), count in self._gateway.counts.items():
            operations.setdefault(operation, {})[str(status)] = count
        containers = self.account.containers().items()
        items = {"/".join(names): sum(1 for _ in container.items()) for names, container in containers}
        return {"operations": operations, "items": items}

    def clear_stats(self) -> None:
        """Start counting anew."""
        self._gateway.counts.clear()

    def reset(self) -> None:
        """Drop all databases, faults and counts; budget settings and the clock stay."""
        self.account.reset()
        self.faults.clear()
        self.clear_stats()

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.raw_path.startswith(PREFIX):
            return await control(self, http)
        return await self._gateway.handle(http)


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, task.get_loop(), client_max_size=_MAX_BODY_BYTES)

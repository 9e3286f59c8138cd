"""The server: starts and stops it, and what tests may turn while it runs."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypedDict

from aiohttp import web

from sandbox.clock import Clock
from sandbox.control import PREFIX
from sandbox.servicebus.alarm import Alarm
from sandbox.servicebus.auth import EMULATOR_KEY, Authority
from sandbox.servicebus.broker.errors import FORCED, NOT_FOUND, RefusedError
from sandbox.servicebus.broker.namespace import Namespace
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.gate import Gate
from sandbox.servicebus.http.administration import Administration
from sandbox.servicebus.http.certificate import server_context
from sandbox.servicebus.http.control import control
from sandbox.servicebus.wire.connection import Connection
from sandbox.servicebus.wire.service import Service

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.broker.settings import QueueSettings

BACKLOG: Final = 512
_SHUTDOWN_S: Final = 1.0


class Stats(TypedDict):
    """How often each operation ended how; per queue, the messages in each state and what became of all so far."""

    connections: int
    accepted: int
    duplicates: int
    operations: dict[str, dict[str, int]]
    queues: dict[str, dict[str, int]]


class ServiceBusServer:
    """A Service Bus namespace on loopback ports, for development and tests only.

        async with ServiceBusServer({"orders": QueueSettings(sessions=True)}) as server:
            client = ServiceBusClient.from_connection_string(server.connection_string)

    Everything is in memory. Ports 0 take free ones. `port` is for AMQP, `management_port` for Atom over TLS, and
    `http_port` for Atom and the control path in plain HTTP. `certificate` is the file that the certificate for TLS is
    written to; without it that is a temporary one. Leaving it drops every connection.
    """

    def __init__(
        self,
        queues: Mapping[str, QueueSettings] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        management_port: int = 0,
        http_port: int = 0,
        key: str = EMULATOR_KEY,
        certificate: Path | None = None,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self.host = host
        self.port = port
        self.management_port = management_port
        self.http_port = http_port
        self.clock = clock or Clock()
        self.faults = Faults(seed)
        self.certificate = certificate or Path()
        self._kept_certificate = certificate
        self._alarm = Alarm(self.clock, self._catch_up)
        self.namespace = Namespace(self.clock, self._alarm.set)
        self._authority = Authority(key)
        self._gate = Gate(self.faults)
        self._service = Service(self.namespace, self._authority, self._gate)
        self._administration = Administration(self.namespace, self._authority)
        self._declared = dict(queues or {})
        self._connections: set[Connection] = set()
        self._running = AsyncExitStack()
        self.namespace.on_deleted.append(self._drop_links)
        self._declare()

    @property
    def connection_string(self) -> str:
        """For clients that send and receive."""
        return self._connection_string(self.port)

    @property
    def management_connection_string(self) -> str:
        """For administration clients, which insist on TLS; they are to trust `certificate`."""
        return self._connection_string(self.management_port)

    @property
    def http_endpoint(self) -> str:
        """Where the control path is, with a slash at the end."""
        return f"http://{self.host}:{self.http_port}/"

    def whereabouts(self) -> dict[str, str]:
        """All of that in one, as the program prints it."""
        return {
            "connection_string": self.connection_string,
            "management_connection_string": self.management_connection_string,
            "management_endpoint": f"https://{self.host}:{self.management_port}/",
            "certificate": str(self.certificate),
            "http_endpoint": self.http_endpoint,
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; ports, connection strings and `certificate` are known afterwards. Raises OSError."""
        try:
            await self._listen()
        except BaseException:
            await self._running.aclose()
            raise
        self._alarm.start()
        self._running.callback(self._alarm.stop)
        self._running.callback(self._gate.close)

    async def stop(self) -> None:
        """Close the ports and drop all connections. What was stored stays until `reset`."""
        await self._running.aclose()
        await asyncio.sleep(0)  # aborted transports close in the loop's next turn

    def cut(self) -> None:
        """Drop every connection, once; clients see a reset."""
        for connection in list(self._connections):
            connection.cut()

    def detach_links(self, queue_name: str, condition: str = FORCED) -> None:
        """End every link to a queue, as the service does with links that were idle for ten minutes."""
        for connection in list(self._connections):
            connection.detach(
                queue_name, RefusedError(condition, "The link is force detached. Idle timeout: 00:10:00.")
            )

    def stats(self) -> Stats:
        """Counts of operations since the start or the last `clear_stats`, and of messages."""
        operations: dict[str, dict[str, int]] = {}
        for (operation, outcome), count in self._gate.counts.items():
            operations.setdefault(operation, {})[outcome] = count
        queues = {queue.name: queue.stats() for queue in self.namespace.queues()}
        return {
            "connections": len(self._connections),
            "accepted": sum(counts["accepted"] for counts in queues.values()),
            "duplicates": sum(counts["duplicates"] for counts in queues.values()),
            "operations": operations,
            "queues": queues,
        }

    def clear_stats(self) -> None:
        """Start counting operations anew."""
        self._gate.counts.clear()

    def reset(self) -> None:
        """Drop all queues with their messages, faults and counts; declared queues are there again, empty."""
        for queue in self.namespace.queues():
            self.namespace.delete(queue.name)
        self.faults.clear()
        self.clear_stats()
        self._declare()

    def _declare(self) -> None:
        for name, settings in self._declared.items():
            self.namespace.create(name, settings)

    async def _listen(self) -> None:
        amqp = self._bind(self.port)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._service, self._connections.add, self._connections.discard), sock=amqp
        )
        self._running.callback(self.cut)
        self._running.callback(server.close)
        self.port = _port(amqp)
        folder = Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="servicebus-sandbox-")))
        context, self.certificate = server_context(folder, self.host, self._kept_certificate)
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=_SHUTDOWN_S)
        self._running.push_async_callback(runner.cleanup)
        await runner.setup()
        self.management_port = await self._site(runner, self.management_port, context)
        self.http_port = await self._site(runner, self.http_port, None)

    async def _site(self, runner: web.ServerRunner, port: int, context: ssl.SSLContext | None) -> int:
        listener = self._bind(port)
        await web.SockSite(runner, listener, ssl_context=context).start()
        return _port(listener)

    def _bind(self, port: int) -> socket.socket:
        listener = socket.create_server((self.host, port), backlog=BACKLOG)
        listener.setblocking(False)
        return listener

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path.startswith(PREFIX) and not http.secure:
            return await control(self, http)
        return await self._administration.handle(http)

    def _catch_up(self) -> float | None:
        self.namespace.catch_up()
        return self.namespace.next_at()

    def _drop_links(self, queue: Queue) -> None:
        gone = RefusedError(NOT_FOUND, f"The messaging entity '{queue.name}' was deleted.")
        for connection in list(self._connections):
            connection.detach(queue.name, gone)

    def _connection_string(self, port: int) -> str:
        return (
            f"Endpoint=sb://{self.host}:{port};SharedAccessKeyName={self._authority.key_name};"
            f"SharedAccessKey={self._authority.key};UseDevelopmentEmulator=true;"
        )


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])

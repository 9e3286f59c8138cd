"""The server: starts and stops it, and what tests may turn while it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from sandbox.clock import Clock
from sandbox.servicebus.auth import EMULATOR_KEY, KEY_NAME, Authority
from sandbox.servicebus.broker.namespace import Namespace
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.gate import Gate
from sandbox.servicebus.wire.connection import Connection
from sandbox.servicebus.wire.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.servicebus.broker.settings import QueueSettings

LONGEST_NAP_S: Final = 60.0


class ServiceBusServer:
    def __init__(
        self,
        queues: Mapping[str, QueueSettings] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str = EMULATOR_KEY,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self.key = key
        self.clock = clock or Clock()
        self.faults = Faults(seed)
        self.namespace = Namespace(self.clock)
        self.host = host
        self.port = port
        self._declared = dict(queues or {})
        self._gate = Gate(self.faults)
        self._service = Service(self.namespace, Authority(key), self._gate, self.clock)
        self._connections: set[Connection] = set()

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://{self.host}:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={self.key};"
            "UseDevelopmentEmulator=true;"
        )

    async def __aenter__(self) -> Self:
        for name, settings in self._declared.items():
            self.namespace.create(name, settings)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._service, self._connections.add, self._connections.discard), self.host, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.cut()
        await asyncio.sleep(0)

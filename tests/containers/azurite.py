"""Azurite's blob service, in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from containers import clouds
from containers.answering import answers
from containers.engine import described, free_port, started
from sandbox.azurite import Azurite

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

PORT = 10_000
COMMAND = [
    *("azurite-blob", "--blobHost", "0.0.0.0", "--blobPort", str(PORT)),  # noqa: S104 -- of the container
    *("--inMemoryPersistence", "--extentMemoryLimit", "1024"),
    *("--silent", "--disableTelemetry", "--skipApiVersionCheck"),
]


class AzuriteContainer(Azurite):
    """To whoever uses it like the one that is embedded, except that it has no process here."""

    def __init__(self) -> None:
        super().__init__()
        self._container: DockerContainer | None = None

    async def start(self) -> None:
        """Raises ContainersError."""
        self.port = port = free_port()
        accounts = {"AZURITE_ACCOUNTS": f"{self.account_name}:{self.account_key}"}
        container = described(clouds.AZURITE, {PORT: port}, accounts).with_command(COMMAND)
        await anyio.to_thread.run_sync(started, container, lambda: answers(port))
        self._container = container

    async def stop(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            await anyio.to_thread.run_sync(container.stop)

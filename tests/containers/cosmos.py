"""Microsoft's emulator of Cosmos DB (the Linux one, vnext), in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from containers import clouds
from containers.answering import answers
from containers.engine import described, free_port, started
from sandbox.aws import LOOPBACK
from sandbox.cosmos import EMULATOR_KEY

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

START_DEADLINE_S = 180.0


class CosmosContainer:
    """An account in plain HTTP, with the key that Microsoft publishes. Enter it to start it, leave it to end it.

    Clients go where the account document says it is, so the emulator is told the port by which it is reached.
    """

    key = EMULATOR_KEY

    def __init__(self) -> None:
        self.port = 0
        self._container: DockerContainer | None = None

    @property
    def endpoint(self) -> str:
        """The account's URL, with its trailing slash."""
        return f"http://{LOOPBACK}:{self.port}/"

    def __enter__(self) -> Self:
        self.port = port = free_port()
        environment = {
            "PROTOCOL": "http",
            "PORT": str(port),
            "ENABLE_EXPLORER": "false",
            "ENABLE_TELEMETRY": "false",
        }
        container = described(clouds.COSMOS, {port: port}, environment)
        started(container, lambda: answers(port), START_DEADLINE_S)
        self._container = container
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is not None:
            self._container.stop()

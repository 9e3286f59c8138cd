"""The local AWS, in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from containers import clouds
from containers.answering import answers
from containers.engine import described, free_port, started
from sandbox.aws import LOOPBACK, READY_PATH, AwsServer

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer


class AwsContainer(AwsServer):
    """To whoever uses it like the one that is embedded, except that it has no process here.

    The URLs of its queues name a host and port, so it is told the ones by which it is reached.
    """

    def __init__(self) -> None:
        super().__init__()
        self._container: DockerContainer | None = None

    def start(self) -> None:
        """Raises ContainersError."""
        self.port = port = free_port()
        container = described(clouds.AWS, {port: port}, _environment(port, self.region))
        started(container, lambda: answers(port, READY_PATH))
        self._container = container

    def stop(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.stop()


def _environment(port: int, region: str) -> dict[str, str]:
    """Of ministack, and of LocalStack (the last two), which ignore each other's."""
    return {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": region,
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent.sock",
        "LOG_LEVEL": "WARNING",
        "GATEWAY_LISTEN": f"0.0.0.0:{port}",
        "LOCALSTACK_HOST": f"{LOOPBACK}:{port}",
    }

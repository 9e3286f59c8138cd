"""`replicator sandbox up`, and the local clouds of the demo."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import typer

from replicator.errors import ConfigurationError

try:
    from sandbox.aws import AwsServer, AwsServerError
    from sandbox.cosmos import EMULATOR_KEY
    from sandbox.processes import ProgramError, cosmos_program, servicebus_program
except ImportError as missing:
    raise ConfigurationError(
        "sandbox",
        f"the local clouds are not installed ({missing.name})",
        "Install the extra: pip install '.[sandbox]' from a clone",
    ) from missing


LOOPBACK = "127.0.0.1,localhost"
"""What no proxy of the environment can reach."""


@dataclass(frozen=True, slots=True)
class LocalClouds:
    """Where the local clouds are, and the credentials they take."""

    aws: AwsServer
    cosmos_endpoint: str
    cosmos_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon needs in its environment."""
        return {
            **self.aws.environment,
            "COSMOS_KEY": self.cosmos_key,
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK])),
        }


@asynccontextmanager
async def local_clouds(folder: Path, *, aws_port: int = 0, cosmos_port: int = 0) -> AsyncIterator[LocalClouds]:
    """Both clouds on loopback, each a process of its own, ended on leaving; their logs go to `folder`.

    Raises ConfigurationError when they do not start.
    """
    async with AsyncExitStack() as stack:
        try:
            aws = await stack.enter_async_context(AwsServer(port=aws_port))
            cosmos = await stack.enter_async_context(cosmos_program(folder, "--port", str(cosmos_port)))
            endpoint = await cosmos.line("http://")
        except (AwsServerError, ProgramError, OSError) as error:
            problem = f"the local clouds do not start ({error})"
            raise ConfigurationError("sandbox", problem, "Look whether something else is in their way") from error
        yield LocalClouds(aws, endpoint, EMULATOR_KEY)


def sandbox_up() -> None:
    """Until SIGINT or SIGTERM."""
    with TemporaryDirectory(prefix="replicator-sandbox-") as folder:
        anyio.run(_up, Path(folder))


async def _up(folder: Path) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with local_clouds(folder) as clouds, servicebus_program(folder) as broker:
            where: dict[str, str] = json.loads(await broker.line("connection_string"))
            typer.echo(f"DynamoDB and its streams: {clouds.aws.endpoint}")
            typer.echo(f"Cosmos DB:                {clouds.cosmos_endpoint}")
            typer.echo(f"Service Bus:              {where['http_endpoint']}_sandbox/")
            service_bus = {
                "SERVICEBUS_CONNECTION_STRING": f"'{where['connection_string']}'",
                "SERVICEBUS_MANAGEMENT_CONNECTION_STRING": f"'{where['management_connection_string']}'",
                "SERVICEBUS_CERTIFICATE": where["certificate"],
            }
            for name, value in {**clouds.environment, **service_bus}.items():
                typer.echo(f"export {name}={value}")
            typer.echo("Up until interrupted; nothing is kept.")
            async for _ in signals:
                return

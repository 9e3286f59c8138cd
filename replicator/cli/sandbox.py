"""`replicator sandbox up`, and the local clouds of the demo."""

import json
import os
import shlex
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import typer

from replicator.cli.services import Service
from replicator.errors import ConfigurationError

try:
    from sandbox.aws import AwsServer, AwsServerError
    from sandbox.azurite import Azurite, InstallError
    from sandbox.azurite.node import NodeMissingError
    from sandbox.cosmos import EMULATOR_KEY
    from sandbox.processes import Program, ProgramError, cosmos_program, servicebus_program
except ImportError as missing:
    raise ConfigurationError(
        "sandbox",
        f"the local clouds are not installed ({missing.name})",
        "Install the extra: pip install '.[sandbox]' from a clone. Of the images, replicator-demo has them",
    ) from missing


LOOPBACK = "127.0.0.1,localhost"
"""What no proxy of the environment can reach."""

TITLES = {
    Service.AWS: "AWS",
    Service.COSMOS: "Cosmos DB",
    Service.BLOB: "Blob Storage",
    Service.SERVICEBUS: "Service Bus",
}
BLOB_FOLDER = "azurite"
CERTIFICATE = "servicebus-certificate.pem"


@dataclass(frozen=True, slots=True)
class LocalClouds:
    """Where the local services are, and the credentials they take.

    Empty where a service was left out; `aws` does not run then. `servicebus_management_endpoint` speaks TLS with the
    certificate in the file `servicebus_certificate`; `servicebus_http_endpoint` serves the same in plain HTTP, and the
    control path.
    """

    aws: AwsServer
    cosmos_endpoint: str = ""
    cosmos_key: str = ""
    blob_endpoint: str = ""
    blob_account: str = ""
    blob_key: str = ""
    blob_connection_string: str = ""
    servicebus_connection_string: str = ""
    servicebus_management_connection_string: str = ""
    servicebus_management_endpoint: str = ""
    servicebus_http_endpoint: str = ""
    servicebus_certificate: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon, or a client of the services, needs in its environment."""
        secrets = {
            **(self._aws_environment if self.aws.pid else {}),
            "COSMOS_KEY": self.cosmos_key,
            "BLOB_KEY": self.blob_key,
            "AZURE_STORAGE_CONNECTION_STRING": self.blob_connection_string,
            "SERVICEBUS_CONNECTION_STRING": self.servicebus_connection_string,
            "SERVICEBUS_MANAGEMENT_CONNECTION_STRING": self.servicebus_management_connection_string,
            "SERVICEBUS_CERTIFICATE": self.servicebus_certificate,
        }
        unproxied = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK]
        return {name: value for name, value in secrets.items() if value} | {
            "no_proxy": ",".join(filter(None, unproxied))
        }

    @property
    def _aws_environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.aws.access_key,
            "AWS_SECRET_ACCESS_KEY": self.aws.secret_key,
            "AWS_DEFAULT_REGION": self.aws.region,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """What people are shown, by name."""
        named = {
            TITLES[Service.AWS]: self.aws.endpoint if self.aws.pid else "",
            TITLES[Service.COSMOS]: self.cosmos_endpoint,
            TITLES[Service.BLOB]: self.blob_endpoint,
            TITLES[Service.SERVICEBUS]: self.servicebus_http_endpoint and f"{self.servicebus_http_endpoint}_sandbox/",
        }
        return {name: address for name, address in named.items() if address}


def _nobody(_: str) -> None:
    """Hears how the start is going where nobody else does."""


@asynccontextmanager
async def local_clouds(
    folder: Path, *, without: Collection[Service] = (), say: Callable[[str], None] = _nobody
) -> AsyncIterator[LocalClouds]:
    """The services on loopback, each a process of its own, started side by side and ended on leaving.

    Their logs go to `folder`, and the certificate; blobs are in a folder of it meanwhile. `say` is told of each that is
    up. Raises ConfigurationError when one does not start or cannot be installed; none is left then.
    """
    async with AsyncExitStack() as stack:
        found = await _started(stack, folder, [one for one in Service if one not in without], say)
        yield LocalClouds(**{"aws": AwsServer(), **found})


async def _started(
    stack: AsyncExitStack, folder: Path, services: Collection[Service], say: Callable[[str], None]
) -> dict[str, Any]:
    """The fields of LocalClouds that the services know."""
    found: dict[str, Any] = {}
    refusals: list[ConfigurationError] = []
    began = time.monotonic()

    async def start(service: Service) -> None:
        try:
            found.update(await STARTS[service](stack, folder))
        except (AwsServerError, ProgramError, InstallError, NodeMissingError, OSError) as error:
            refusals.append(_refusal(service, error))
            tasks.cancel_scope.cancel()
        else:
            say(f"{TITLES[service]} is up after {time.monotonic() - began:.1f} s")

    async with anyio.create_task_group() as tasks:
        for service in services:
            tasks.start_soon(start, service)
    if refusals:
        raise refusals[0]
    return found


def _refusal(service: Service, error: Exception) -> ConfigurationError:
    fix = "Look whether something else is in its way"
    if isinstance(error, InstallError | NodeMissingError):
        fix = f"Without it: replicator sandbox up --without {service}"
    return ConfigurationError("sandbox", f"the local {TITLES[service]} does not start: {str(error).rstrip('.')}", fix)


async def _aws(stack: AsyncExitStack, _: Path) -> dict[str, AwsServer]:
    return {"aws": await stack.enter_async_context(AwsServer())}


async def _cosmos(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    return {
        "cosmos_endpoint": await _announced(stack, cosmos_program(folder), "http://"),
        "cosmos_key": EMULATOR_KEY,
    }


async def _blob(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    content = folder / BLOB_FOLDER
    remove = partial(anyio.to_thread.run_sync, partial(shutil.rmtree, content, ignore_errors=True))
    await remove()  # what one that was killed has left
    stack.push_async_callback(_to_the_end, remove)
    blobs = await stack.enter_async_context(Azurite(location=content, log=folder / "azurite.log"))
    return {
        "blob_endpoint": blobs.endpoint,
        "blob_account": blobs.account_name,
        "blob_key": blobs.account_key,
        "blob_connection_string": blobs.connection_string,
    }


async def _servicebus(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    program = servicebus_program(folder, "--certificate", str(folder / CERTIFICATE))
    where: dict[str, str] = json.loads(await _announced(stack, program, "connection_string"))
    return {
        "servicebus_connection_string": where["connection_string"],
        "servicebus_management_connection_string": where["management_connection_string"],
        "servicebus_management_endpoint": where["management_endpoint"],
        "servicebus_http_endpoint": where["http_endpoint"],
        "servicebus_certificate": where["certificate"],
    }


STARTS: Mapping[Service, Callable[[AsyncExitStack, Path], Awaitable[Mapping[str, Any]]]] = {
    Service.AWS: _aws,
    Service.COSMOS: _cosmos,
    Service.BLOB: _blob,
    Service.SERVICEBUS: _servicebus,
}


async def _announced(stack: AsyncExitStack, program: Program, containing: str) -> str:
    """The line in which a program of ours says where it is; what an earlier one has said there is dropped."""
    program.log.unlink(missing_ok=True)
    await stack.enter_async_context(program)
    return await program.line(containing)


async def _to_the_end(last: Callable[[], Awaitable[None]]) -> None:
    """Also where everything else is cancelled."""
    with anyio.CancelScope(shield=True):
        await last()


def sandbox_up(without: Collection[Service] = ()) -> None:
    """Until SIGINT or SIGTERM, which end a start as well."""
    with TemporaryDirectory(prefix="replicator-sandbox-") as folder:
        anyio.run(until_interrupted, partial(_show, Path(folder), without))


async def until_interrupted(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Cancels it, at whatever it is, on SIGINT or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(what)
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return


async def _show(folder: Path, without: Collection[Service]) -> None:
    async with local_clouds(folder, without=without, say=partial(typer.echo, err=True)) as clouds:
        print_clouds(clouds)
        await anyio.sleep_forever()


def print_clouds(clouds: LocalClouds) -> None:
    """Where they are, and what a client of theirs needs in its environment."""
    width = max(map(len, clouds.addresses), default=0) + 2
    for name, address in clouds.addresses.items():
        typer.echo(f"{f'{name}:':<{width}}{address}")
    for name, value in clouds.environment.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo("Up until interrupted; nothing is kept.")

"""The real Blob Storage target: our connector and the unmodified SDK, over sockets, against Azurite or a fake."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.storage.blob.aio import ContainerClient
from pydantic import SecretStr

from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.target import BlobTarget, open_target
from fakes import cosmos
from replicator.model import Change, GuardedResult, Observed, Rule
from replicator.registry import TargetContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replicator.delivery import Delivery
    from replicator.objects import StoredObject
    from replicator.telemetry import PipelineTelemetry
    from sandbox.azurite import Azurite

WHERE = cosmos.WHERE


@dataclass
class Bench:
    """A target and what it is made of; `container` is a way to the blobs past it."""

    target: BlobTarget
    delivery: Delivery
    telemetry: PipelineTelemetry
    container: ContainerClient
    config: BlobTargetConfig

    async def replace(self, *changes: Change[StoredObject]) -> GuardedResult:
        """As the engine does it: look, then write on the condition of what was seen."""
        keys = [change.key for change in changes]
        observed = await self.target.observe(keys)
        return await self.target.replace({change.key: change for change in changes}, observed, Rule.FOLLOW)

    async def observe(self, key: str) -> Observed:
        return (await self.target.observe([key]))[key]

    async def content(self, name: str) -> bytes:
        return await (await self.container.download_blob(name, decompress=False)).readall()

    async def names(self, **options: Any) -> list[str]:
        return [name async for name in self.container.list_blob_names(**options)]

    async def held(self) -> dict[str, bytes]:
        """Every blob with its bytes."""
        return {name: await self.content(name) for name in await self.names()}


def config(azurite: Azurite, endpoint: str = "", **settings: Any) -> BlobTargetConfig:
    """A target of a container of its own, which is made."""
    defaults: dict[str, Any] = {
        "endpoint": endpoint or azurite.endpoint,
        "key": SecretStr(azurite.account_key),
        "container": f"c{uuid.uuid4().hex}",
        "marker_container": f"m{uuid.uuid4().hex}",
        "create": True,
    }
    return BlobTargetConfig(type="blob", **{**defaults, **settings})


@asynccontextmanager
async def bench(azurite: Azurite, *, to: str = "", **settings: Any) -> AsyncIterator[Bench]:
    """Not connected, nothing created. `to` is another endpoint to go through; settings are the config's or ours."""
    told = cosmos.telemetry()
    ours = {name: settings.pop(name) for name in ("timeout_s", "lifetime_s", "most") if name in settings}
    carrier = cosmos.delivery(told, **ours)
    wanted = config(azurite, to, **settings)
    past = ContainerClient.from_connection_string(azurite.connection_string, wanted.container, retry_total=0)
    async with past, open_target(wanted, TargetContext(WHERE, told, carrier)) as target:
        yield Bench(target, carrier, told, past, wanted)


@asynccontextmanager
async def ready(azurite: Azurite, **settings: Any) -> AsyncIterator[Bench]:
    """Connected and created."""
    async with bench(azurite, **settings) as made:
        await made.target.connect(())
        await made.target.create()
        yield made

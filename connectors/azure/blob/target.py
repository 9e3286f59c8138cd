"""A container of blobs as a target of objects."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from azure.storage.blob.aio import BlobServiceClient

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.check import Looked, findings
from connectors.azure.blob.client import open_client
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.containers import Account, Containers, Existing
from connectors.azure.blob.estimating import MarkerProbe, blob_figures, probe_plan, with_probe
from connectors.azure.blob.hashing import content_digest
from connectors.azure.blob.label import LabelRules, label_of
from connectors.azure.blob.marker import MarkerBlob, Subject
from connectors.azure.blob.names import blob_name, object_key
from connectors.azure.blob.observing import Observer
from connectors.azure.blob.planning import planned_of_blobs
from connectors.azure.blob.scanning import Scanner, parse_handle
from connectors.azure.blob.streaming import TransferLimits
from connectors.azure.blob.writing import Writer
from connectors.azure.buffers import ByteBudget
from connectors.azure.parallel import in_parallel, those_foreign
from replicator.delivery import RateBudget
from replicator.estimate.figures import TargetFigures
from replicator.model import (
    Change,
    Finding,
    Foreign,
    GuardedResult,
    Listed,
    Marker,
    Observed,
    Operation,
    Rejection,
    Rule,
    Watched,
)
from replicator.objects import StoredObject
from replicator.planning.model import Intended
from replicator.registry import TargetContext


class BlobTarget:
    """See `replicator.ports.Target`. Usable once connected."""

    def __init__(self, config: BlobTargetConfig, context: TargetContext, client: BlobServiceClient) -> None:
        self._config = config
        self._client = client
        self._delivery = context.delivery
        self._where = context.where
        self._calls = Calls(context.delivery, context.telemetry)
        self._container = client.get_container_client(config.container)
        self._containers = Containers(client, self._calls, config, context.where)
        self._marker_container = client.get_container_client(config.marker_container)
        self._marker = MarkerBlob(self._marker_container, self._calls, config.container)
        self._account = Account()
        self._existing = Existing()
        self.limits = TransferLimits(
            block_bytes=config.block_bytes,
            block_concurrency=config.block_concurrency,
            buffer=ByteBudget(config.buffer_bytes),
            rate=RateBudget(config.max_bytes_per_s),
        )
        self._made()

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        self._account = await self._containers.account()
        self._found(await self._containers.find())
        if self._existing.container is not None:
            await self._containers.require_access()
        self._made()

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self._config.endpoint,)

    async def create(self) -> None:
        self._found(await self._containers.create(self._existing))

    async def is_empty(self) -> bool:
        return self._existing.container is None or await self._scanner.is_empty()

    async def apply(self, changes: Sequence[Change[StoredObject]], rule: Rule) -> list[Rejection]:
        return await self._writer.apply(changes, rule)

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        return await self._observer.observe(keys)

    async def replace(
        self, changes: Mapping[str, Change[StoredObject]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        return await self._writer.replace(changes, observed)

    async def content_digest(self, key: str) -> str | None:
        return await content_digest(self._container.get_blob_client(blob_name(key, self._config.prefix)), self._calls)

    def fingerprint(self, change: Change[StoredObject]) -> str | None:
        if change.operation is Operation.DELETE:
            return None
        blob_name(change.key, self._config.prefix)
        return label_of(change.record, self._rules).digest()

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedTarget`."""
        return planned_of_blobs(self._config, self._existing)

    async def figures(self, sample: Sequence[Change[StoredObject]], record_bytes: float | None) -> TargetFigures:
        """See `replicator.estimate.figures.SurveyedTarget`."""
        plan = probe_plan(self._config.marker_container) if self._existing.marker is not None else ""
        return blob_figures(self._config, record_bytes, plan)

    async def probe(self, sample: Sequence[Change[StoredObject]], figures: TargetFigures) -> TargetFigures:
        """See `replicator.estimate.figures.SurveyedTarget`."""
        probe = MarkerProbe(self._marker_container, self._calls, figures.record_bytes or 0.0)
        probed = await probe.run(self._config.max_concurrency, self._delivery.begin_with)
        return with_probe(figures, self._config, probed)

    def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        return self._scanner.scan(position)

    def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        return self._scanner.watch()

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        async def is_foreign(name: str) -> bool:
            blob = await self._observer.find(name)
            return blob is not None and not blob.intact

        return await those_foreign(records, is_foreign)

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        async def remove(text: str) -> None:
            name, etag = parse_handle(text)
            await self._writer.remove(object_key(name, self._config.prefix) or name, name, etag)

        await in_parallel(remove, handles)

    async def sweep(self, removed: Callable[[int], None]) -> None:
        """Nothing is held off: an object neither expires nor leaves a tombstone."""

    async def read_marker(self) -> Marker | None:
        missing = self._existing.marker is None or not self._existing.incarnation
        return None if missing else await self._marker.read()

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        await self._containers.require_same(self._existing)
        return await self._marker.write(marker, previous)

    async def check(self) -> list[Finding]:
        asks = self._config.transfer == "server" and self._existing.container is not None
        looked = Looked(
            config=self._config,
            account=self._account,
            existing=self._existing,
            retention=await self._containers.retention(),
            fetches=await self._containers.fetches() if asks else None,
            marker=await self.read_marker(),
            empty=await self.is_empty(),
        )
        return findings(looked, self._where)

    def _found(self, existing: Existing) -> None:
        self._existing = existing
        self._marker.subject = Subject(existing.incarnation, self._config.prefix) if existing.incarnation else None

    def _made(self) -> None:
        """What rests on what the account can do."""
        tiers = self._config.tiers if self._account.has_tiers else {}
        self._rules = LabelRules(self._config.tags, tiers)
        parts = (self._container, self._calls, self._rules, self._config.prefix)
        self._observer = Observer(*parts)
        self._scanner = Scanner(self._container, self._calls, self._config.prefix, self._rules)
        self._writer = Writer(*parts, self.limits, fetching=self._config.transfer == "server")


@asynccontextmanager
async def open_target(config: BlobTargetConfig, context: TargetContext) -> AsyncIterator[BlobTarget]:
    """A target with a client of its own, closed on leaving. Raises ConfigurationError where it cannot be set up."""
    async with open_client(config, context.where) as client:
        yield BlobTarget(config, context, client)

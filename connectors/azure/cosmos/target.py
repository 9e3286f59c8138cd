"""A Cosmos DB container as a target of documents."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import cycle

import anyio.lowlevel
from azure.cosmos.aio import CosmosClient

from connectors.azure.cosmos.account import Account, enter_account
from connectors.azure.cosmos.calls import Calls
from connectors.azure.cosmos.check import Looked, findings
from connectors.azure.cosmos.client import open_client
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.containers import Containers, Existing, mapping_rules
from connectors.azure.cosmos.estimating import (
    NO_PLACE,
    MarkerProbe,
    Throughput,
    container_figures,
    document_bodies,
    probe_plan,
    read_throughput,
    typical,
    with_probe,
)
from connectors.azure.cosmos.guarded import Guarded, fingerprint
from connectors.azure.cosmos.mapping import MappingRules, matches_digest
from connectors.azure.cosmos.marker import MarkerDocument, Subject
from connectors.azure.cosmos.planning import planned_of_container
from connectors.azure.cosmos.scanning import Scanner
from connectors.azure.cosmos.watching import Watcher
from connectors.azure.cosmos.writing import Action, Write, Writer, as_write
from connectors.azure.parallel import in_parallel
from replicator.documents import Document
from replicator.errors import ConfigurationError
from replicator.estimate.figures import TargetFigures
from replicator.model import (
    Change,
    Finding,
    Foreign,
    GuardedResult,
    Listed,
    Marker,
    Observed,
    Rejection,
    Rule,
    Watched,
)
from replicator.planning.model import Intended
from replicator.registry import TargetContext

BREATH = 50
"""Mapping so many records takes some milliseconds; then others get their turn."""

READ_TIMEOUT_MARGIN_S = 1.0
"""The SDK's own timeout lies beyond ours, which then always comes first."""


class CosmosTarget:
    """See `replicator.ports.Target`. Usable once connected."""

    def __init__(self, config: CosmosTargetConfig, context: TargetContext, client: CosmosClient) -> None:
        self._config = config
        self._client = client
        self._delivery = context.delivery
        self._where = context.where
        self._calls = Calls(context.delivery, context.telemetry)
        database = client.get_database_client(config.database)
        self._database = database
        self._container = database.get_container_client(config.container)
        self._containers = Containers(client, self._calls, config, context.where)
        self._marker = MarkerDocument(
            database.get_container_client(config.marker_container), self._calls, config.container
        )
        self._writer = Writer(self._container, self._calls)
        self._rules: MappingRules | None = None
        self._account: Account | None = None
        self._existing = Existing(None, None)

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        self._rules = mapping_rules(self._config, key_names, self._where)
        self._account = await enter_account(self._client, self._calls, self._config, self._where)
        self._found(await self._containers.find(self._rules))
        if not self._calls.clock.known:
            raise ConfigurationError(
                self._where,
                "answers carry no Date header, so it cannot be told what has expired",
                "Let the proxy pass that header on",
            )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self._config.endpoint,)

    async def create(self) -> None:
        self._found(await self._containers.create(self._existing, self._connected))

    async def is_empty(self) -> bool:
        return self._existing.container is None or await self._scanner.is_empty()

    async def apply(self, changes: Sequence[Change[Document]], rule: Rule) -> list[Rejection]:
        now = self._calls.now()
        writes: list[Write] = []
        rejections: list[Rejection] = []
        for index, change in enumerate(changes):
            if index % BREATH == BREATH - 1:
                await anyio.lowlevel.checkpoint()
            try:
                write = as_write(change, rule, self._connected, now)
            except ValueError as error:
                rejections.append(Rejection(change.key, str(error)))
            else:
                writes.extend([write] if write else ())
        return rejections + await self._writer.write(writes)

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        return await self._guarded.observe(keys)

    async def replace(
        self, changes: Mapping[str, Change[Document]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        return await self._guarded.replace(changes, observed, rule)

    def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        return self._scanner.scan(position)

    def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        return self._watcher.watch(position)

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        return await self._watcher.still_foreign(records)

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        await in_parallel(self._scanner.remove, handles)

    async def sweep(self, removed: Callable[[int], None]) -> None:
        await self._scanner.sweep(removed)

    async def read_marker(self) -> Marker | None:
        missing = self._existing.marker is None or self._existing.container is None
        return None if missing else await self._marker.read()

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        await self._containers.require_same(self._existing)
        return await self._marker.write(marker, previous)

    async def check(self) -> list[Finding]:
        assert self._account is not None, "connect comes first"  # noqa: S101
        looked = Looked(
            config=self._config,
            account=self._account,
            existing=self._existing,
            rules=self._connected,
            marker=await self.read_marker(),
            empty=await self.is_empty(),
        )
        return findings(looked, self._where)

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedTarget`."""
        return planned_of_container(self._config, self._existing)

    async def figures(self, sample: Sequence[Change[Document]], record_bytes: float | None) -> TargetFigures:
        """See `replicator.estimate.figures.SurveyedTarget`."""
        bodies = document_bodies(sample, self._connected, self._calls.now())
        plan = probe_plan(self._config.database, self._config.marker_container)
        found = container_figures(bodies, record_bytes, await self._throughput(), plan if self._existing.marker else "")
        if self._existing.marker is None:
            return replace(found, notes=(*found.notes, NO_PLACE))
        return found

    async def probe(self, sample: Sequence[Change[Document]], figures: TargetFigures) -> TargetFigures:
        """See `replicator.estimate.figures.SurveyedTarget`."""
        size = figures.record_bytes or 0.0
        now, records = self._calls.now(), cycle(sample or [None])
        body = typical(document_bodies(sample, self._connected, now), size)
        marker = self._database.get_container_client(self._config.marker_container)

        def mapped() -> None:
            record = next(records)
            if record is not None:
                document_bodies([record], self._connected, now)

        probe = MarkerProbe(marker, self._calls, body, mapped)
        probed = await probe.run(self._config.max_concurrency, self._delivery.begin_with)
        return with_probe(figures, probed, await self._throughput(), size)

    async def _throughput(self) -> Throughput:
        """The least of what is provisioned, what a container that is created will have, and what the config allows."""
        config, exists = self._config, self._existing.container is not None
        found = await read_throughput(self._container, self._database, self._calls, self._where, exists=exists)
        created = None if exists else config.throughput or config.autoscale_max_throughput
        limits = [limit for limit in (found.most_per_s, created, config.max_request_units) if limit]
        return replace(found, most_per_s=min(limits, default=None))

    async def content_digest(self, key: str) -> str | None:
        return None

    def fingerprint(self, change: Change[Document]) -> str | None:
        write = as_write(change, Rule.FOLLOW, self._connected, self._calls.now())
        if write is None or write.action is Action.DELETE:
            return None
        body = json.loads(json.dumps(write.document.body))
        if not matches_digest(body):
            raise ValueError("the record would not come back from its document as it was")
        return fingerprint(body)

    def _found(self, existing: Existing) -> None:
        self._existing = existing
        self._rules = replace(self._connected, unique_paths=existing.unique_paths)
        self._writer.unique_keys = bool(existing.unique_paths)
        self._marker.subject = Subject(existing.incarnation, self._rules) if existing.incarnation else None

    @property
    def _connected(self) -> MappingRules:
        assert self._rules is not None, "connect comes first"  # noqa: S101
        return self._rules

    @property
    def _guarded(self) -> Guarded:
        return Guarded(self._container, self._calls, self._connected)

    @property
    def _scanner(self) -> Scanner:
        return Scanner(self._container, self._calls, self._connected)

    @property
    def _watcher(self) -> Watcher:
        return Watcher(self._container, self._calls, self._connected)


@asynccontextmanager
async def open_target(config: CosmosTargetConfig, context: TargetContext) -> AsyncIterator[CosmosTarget]:
    """A target with a client of its own, closed on leaving. Raises ConfigurationError where it cannot be set up."""
    async with open_client(config, context.where, context.delivery.timeout_s + READ_TIMEOUT_MARGIN_S) as client:
        yield CosmosTarget(config, context, client)

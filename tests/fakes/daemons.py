"""Whole daemons over the fakes, in virtual time: each pipeline has a table and a target service of its own."""

import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import anyio

from fakes.memory import MemoryService, MemoryTarget
from fakes.rig import LIFETIME_S, TIMEOUT_S
from fakes.scripted import ScriptedSource, ScriptedTable
from fakes.stores import InlineStore
from replicator.config.models import (
    LimitsConfig,
    MigrationConfig,
    PipelineConfig,
    ReplicasConfig,
    SourceConfig,
    TargetConfig,
)
from replicator.delivery import Delivery
from replicator.engine.daemon import Daemon
from replicator.registry import Registry, SourceContext, SourceKind, TargetContext, TargetKind
from replicator.replicas.network import Network
from replicator.telemetry import Metrics, PipelineTelemetry

LIMITS = LimitsConfig(request_timeout_s=TIMEOUT_S, request_lifetime_s=LIFETIME_S, lease_s=6, drain_deadline_s=1)


class HookedTarget(MemoryTarget):
    """`creating` is called when what is missing shall be created; it may raise."""

    def __init__(self, service: MemoryService, delivery: Delivery, creating: Callable[[], None]) -> None:
        super().__init__(service, delivery)
        self._creating = creating

    async def create(self) -> None:
        self._creating()


class Place:
    """Tables, targets and state store of one migration; they outlive its daemons. Those of `once` are in mode copy.

    `deliveries` are those of the targets that are open now, `telemetries` those of the sources.
    """

    def __init__(self, *names: str, once: Collection[str] = (), shards: int = 1) -> None:
        rng = random.Random(0)
        self.tables = {name: ScriptedTable(rng, shards=shards) for name in names}
        self.services = {name: MemoryService() for name in names}
        self.source: Callable[[Any], ScriptedSource] = ScriptedSource
        self.deliveries: list[Delivery] = []
        self.telemetries: list[PipelineTelemetry] = []
        self.creating: dict[str, Callable[[], None]] = {}
        self.store = InlineStore()
        self._once = once

    def daemon(
        self,
        *,
        adopt: bool = False,
        repair: bool = False,
        migration: str = "shop",
        store: InlineStore | None = None,
        network: Network | None = None,
    ) -> Daemon:
        """A new process; by itself it opens the state store anew, which must be open. One of several with a network."""
        source, target = SourceConfig(type="scripted"), TargetConfig(type="memory")
        pipelines = {
            name: PipelineConfig(source=source, target=target, mode="copy" if name in self._once else "async")
            for name in self.tables
        }
        replicas = None if network is None else ReplicasConfig()
        config = MigrationConfig(migration=migration, limits=LIMITS, pipelines=pipelines, replicas=replicas)
        store = store or self.store.beside()
        return Daemon(config, self._registry(), store, Metrics(), adopt=adopt, repair=repair, network=network)

    async def lease_left_s(self) -> float:
        """How long the next daemon would have to wait."""
        return await self.store.beside().acquire_lease("the next daemon", 0.001)

    def _registry(self) -> Registry:
        return Registry(
            {"scripted": SourceKind("document", SourceConfig, self._source)},
            {"memory": TargetKind("document", TargetConfig, self._target)},
        )

    @asynccontextmanager
    async def _source(self, _: SourceConfig, context: SourceContext) -> AsyncIterator[ScriptedSource]:
        """With a task group of its own, as sources have that keep what they received from others."""
        self.telemetries.append(context.telemetry)
        try:
            async with anyio.create_task_group() as tasks:
                yield self.source(self.tables[_name(context.where)])
                tasks.cancel_scope.cancel()
        finally:
            self.telemetries.remove(context.telemetry)

    @asynccontextmanager
    async def _target(self, _: TargetConfig, context: TargetContext) -> AsyncIterator[HookedTarget]:
        name = _name(context.where)
        self.deliveries.append(context.delivery)
        try:
            yield HookedTarget(self.services[name], context.delivery, self.creating.get(name, lambda: None))
        finally:
            self.deliveries.remove(context.delivery)


def _name(where: str) -> str:
    """Of the pipeline, from `pipelines.<name>.source` or `.target`."""
    return where.split(".")[1]

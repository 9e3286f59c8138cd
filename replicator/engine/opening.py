"""What a migration is made of: the two sides of each pipeline, opened from the config, and what all of them share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from replicator.config.models import LimitsConfig, MigrationConfig, PipelineConfig, TargetConfig
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.engine.confirming import Meeting
from replicator.engine.payloads import Payloads
from replicator.engine.pipeline import Pipeline, PipelineOptions
from replicator.engine.placing import ALONE, Cluster
from replicator.engine.syncing import SyncLimits
from replicator.engine.verifying import VerificationOptions
from replicator.model import Mode
from replicator.naming import Naming
from replicator.ports import Source, StateStore, Target
from replicator.registry import RecordKind, Registry, SourceContext, TargetContext
from replicator.telemetry import Metrics, PipelineTelemetry


@dataclass(slots=True)
class Shared:
    """What the pipelines of a migration have in common."""

    config: MigrationConfig
    registry: Registry
    store: StateStore
    fence: Fence
    metrics: Metrics
    naming: Naming = field(default_factory=Naming)
    cluster: Cluster = ALONE
    repair: bool = False
    again: bool = False
    meeting: Meeting = field(init=False)

    def __post_init__(self) -> None:
        self.meeting = Meeting(set(self.config.copied_once))


@dataclass(frozen=True, slots=True)
class Sides:
    """The source and the target of a pipeline, and what carries requests to them."""

    source: Source[Any]
    target: Target[Any]
    delivery: Delivery
    telemetry: PipelineTelemetry
    payloads: Payloads[Any]


@asynccontextmanager
async def open_sides(name: str, config: PipelineConfig, shared: Shared) -> AsyncIterator[Sides]:
    """Not connected yet. Raises ConfigurationError where they do not match."""
    source_kind, target_kind = shared.registry.pair(name, config.source.type, config.target.type)
    telemetry = PipelineTelemetry(shared.metrics, name)
    delivery = _delivery(config.target, shared, telemetry)
    where = f"pipelines.{name}"
    seen = SourceContext(f"{where}.source", telemetry, Mode(config.mode), _siblings(name, shared.config))
    async with (
        source_kind.open(config.source, seen) as source,
        target_kind.open(config.target, TargetContext(f"{where}.target", telemetry, delivery)) as target,
    ):
        payloads = Payloads(_records(shared.registry, source_kind.record), shared.config.dead_letters)
        yield Sides(source, target, delivery, telemetry, payloads)


@asynccontextmanager
async def open_pipeline(name: str, config: PipelineConfig, shared: Shared) -> AsyncIterator[Pipeline[Any]]:
    """A pipeline with its source and target, not connected yet. Raises ConfigurationError where they do not match."""
    async with open_sides(name, config, shared) as sides:
        yield Pipeline(
            name=name,
            source=sides.source,
            target=sides.target,
            delivery=sides.delivery,
            store=shared.store,
            options=replace(_options(config, shared.config.limits), repair=shared.repair, again=shared.again),
            telemetry=sides.telemetry,
            payloads=sides.payloads,
            naming=shared.naming,
            met=partial(shared.meeting.meet, name),
            cluster=shared.cluster,
        )


def _records(registry: Registry, record: str) -> RecordKind[Any]:
    return registry.records.get(record, RecordKind())


def _delivery(target: TargetConfig, shared: Shared, telemetry: PipelineTelemetry) -> Delivery:
    return Delivery(
        limiter=AdaptiveLimiter(target.max_concurrency),
        budget=RateBudget(target.max_request_units),
        fence=shared.fence,
        timeout_s=shared.config.limits.request_timeout_s,
        telemetry=telemetry,
    )


def _options(config: PipelineConfig, limits: LimitsConfig) -> PipelineOptions:
    return PipelineOptions(
        lifetime_s=limits.request_lifetime_s,
        beat_s=limits.marker_interval_s,
        discover_s=config.discover_interval_s,
        watch_s=config.watch_interval_s,
        most_batches=limits.max_batches,
        mode=Mode(config.mode),
        remove_foreign=config.target.foreign == "remove",
        verification=_verification(config),
        sync=SyncLimits(config.sync.max_lag_s, config.sync.steady_s),
    )


def _verification(config: PipelineConfig) -> VerificationOptions:
    """What is copied once is compared when that is over, and never by itself."""
    options = VerificationOptions(**config.verification.model_dump(), remove_foreign=config.target.foreign == "remove")
    return replace(options, continuous=options.continuous and Mode(config.mode) is not Mode.COPY)


def _siblings(name: str, migration: MigrationConfig) -> frozenset[tuple[str, ...]]:
    """The places of the other pipelines' sources."""
    return frozenset(p.source.place for other, p in migration.pipelines.items() if other != name and p.source.place)


async def connect(pipeline: Pipeline[Any] | Sides) -> None:
    """Both sides, source first: the target is told how the source's keys are made, and what order it must keep."""
    source = pipeline.source
    await source.connect()
    await pipeline.target.connect(source.key_names, ordered_groups=source.ordered_groups)

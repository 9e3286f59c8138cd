"""Opens a pipeline to look at both of its sides, beside a daemon or without one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from connectors import registry
from replicator.clocks import elapsed_s
from replicator.config.models import MigrationConfig, PipelineConfig
from replicator.delivery import Fence
from replicator.engine.opening import Shared, open_pipeline
from replicator.engine.pipeline import Pipeline
from replicator.ports import StateStore
from replicator.state.kind import throw_away
from replicator.telemetry import Metrics

LONGEST_LOOK_S = 86_400.0


@asynccontextmanager
async def look_at(
    name: str, config: PipelineConfig, migration: MigrationConfig, store: StateStore | None = None
) -> AsyncIterator[Pipeline[Any]]:
    """A pipeline to read from only: its state store is a throw-away, be it a copy, and no lease is needed."""
    fence = Fence(migration.limits.request_lifetime_s)
    fence.extend(elapsed_s() + LONGEST_LOOK_S)
    async with AsyncExitStack() as stack:
        if store is None:
            store = await stack.enter_async_context(throw_away())
        shared = Shared(migration, registry(), store, fence, Metrics())
        yield await stack.enter_async_context(open_pipeline(name, config, shared))

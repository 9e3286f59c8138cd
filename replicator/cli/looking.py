"""Opens a pipeline to look at both of its sides, beside a daemon or without one."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors import registry
from replicator.clocks import elapsed_s
from replicator.config.models import MigrationConfig, PipelineConfig
from replicator.delivery import Fence
from replicator.engine.daemon import open_pipeline
from replicator.engine.pipeline import Pipeline
from replicator.state.sqlite import SqliteStore
from replicator.telemetry import Metrics, PipelineTelemetry

LONGEST_LOOK_S = 86_400.0


@asynccontextmanager
async def look_at(name: str, config: PipelineConfig, migration: MigrationConfig) -> AsyncIterator[Pipeline[Any]]:
    """A pipeline to read from only: its state store is a throw-away, and no lease is needed."""
    fence = Fence(migration.limits.request_lifetime_s)
    fence.extend(elapsed_s() + LONGEST_LOOK_S)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            SqliteStore(Path(folder) / "unused.sqlite") as store,
            open_pipeline(
                name,
                config,
                migration,
                registry(),
                store=store,
                fence=fence,
                telemetry=PipelineTelemetry(Metrics(), name),
            ) as pipeline,
        ):
            yield pipeline

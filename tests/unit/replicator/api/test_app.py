"""Promises of the HTTP interface that no command of ours asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client import CollectorRegistry

from replicator.api.app import create_app
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.engine.status import PipelineStatus
from replicator.errors import ConfigurationError, LeaseLostError, ReplicatorError
from replicator.model import DeadLetter, Retried

PIPELINE = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))


@dataclass
class Refusing:
    """A daemon that cannot take dead letters up again."""

    error: ReplicatorError
    config: MigrationConfig = field(
        default_factory=lambda: MigrationConfig(migration="shop", pipelines={"orders": PIPELINE})
    )
    statuses: dict[str, PipelineStatus] = field(default_factory=dict)

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        return []

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("pipelines.orders", "is being stopped", "Try again"), LeaseLostError("another daemon has it")],
)
async def test_a_daemon_that_may_not_write_answers_a_retry_with_its_reason(error: ReplicatorError) -> None:
    app = create_app(Refusing(error), CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daemon") as client:
        answer = await client.post("/v1/dead-letters/retry", json={"pipeline": "orders", "keys": ["k"]})
    assert answer.status_code == 409
    assert answer.json() == {"detail": str(error)}

"""Promises of the HTTP interface that no command of ours asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from prometheus_client import CollectorRegistry

from fakes.statuses import FINE, but
from replicator.api import dead_letters
from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.cutover import Cutover, Watch
from replicator.errors import ConfigurationError, LeaseLostError, ReplicatorError
from replicator.model import DeadLetter, Discarded, Retried
from replicator.naming import Naming
from replicator.status import PipelineStatus

PIPELINE = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))


@dataclass
class Refusing:
    """A daemon that cannot take dead letters up again."""

    error: ReplicatorError
    config: MigrationConfig = field(
        default_factory=lambda: MigrationConfig(migration="shop", pipelines={"orders": PIPELINE})
    )
    statuses: dict[str, PipelineStatus] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)

    def cutover(self) -> Cutover:
        return Watch(self.config).judge()

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        return []

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried:
        raise self.error

    async def letter(self, pipeline: str, key: str) -> DeadLetter | None:
        return None

    async def discard(self, pipeline: str, keys: Sequence[str]) -> Discarded:
        raise self.error

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [ConfigurationError("pipelines.orders", "is being stopped", "Try again"), LeaseLostError("another daemon has it")],
)
async def test_a_daemon_that_may_not_write_answers_a_retry_with_its_reason(error: ReplicatorError) -> None:
    routes = dead_letters.router(Refusing(error), Access(None))
    app = create_app(Refusing(error), CollectorRegistry(), routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.post("/v1/dead-letters/retry", json={"pipeline": "orders", "keys": ["k"]})
    assert answer.status_code == 409
    assert answer.json() == {"detail": str(error)}


@pytest.mark.parametrize(
    ("moment", "spelled"),
    [
        (datetime(2026, 11, 23, 9, 36, 2, 30622, tzinfo=UTC), '"2026-11-23T09:36:02.030622+00:00"'),
        (datetime(2026, 11, 23, 9, 36, 2, tzinfo=timezone(timedelta(hours=1))), '"2026-11-23T09:36:02+01:00"'),
        (None, "null"),
    ],
)
async def test_the_status_is_spelled_as_ever(moment: datetime | None, spelled: str) -> None:
    """To the letter: scripts and dashboards read it."""
    daemon = Refusing(LeaseLostError("none of this"))
    daemon.statuses["orders"] = but(FINE, replicated_through=moment, degraded={"target": "busy"}, problems=["busy"])
    app = create_app(daemon, CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.get("/v1/status")
    assert answer.text == (
        '{"migration":"shop","phase":"following","pipelines":{"orders":{'
        '"name":"orders","phase":"following","copy_stage":"swept",'
        '"repairing":false,"begins_in_s":0.0,"epoch":1,"failure":"","paused":false,"copied":5,"copy_total":5,"copied_per_s":0.0,'
        '"copy_eta_s":0.0,"read":9,"applied":9,"coalesced":0,"rejected":0,"late":0,"applied_per_s":1.5,'
        '"copied_bytes":null,"copy_total_bytes":null,"relisted":null,"read_per_s":null,'
        f'"replicated_through":{spelled},"lag_s":1.21,"stream_lag_s":1.2,"retention_headroom_s":null,"proven_through":null,'
        '"source_time":null,"settling_s":null,"kept_for_ever":false,'
        '"partitions":{},"dead_letters":0,"suspect_keys":0,"concurrency":1,"degraded":{"target":"busy"},'
        '"problems":["busy"],"queue":null,"verification":null,"foreign":null,"sync":null,"drain":null,"throttled_at":null,"unread":null,'
        '"lease_left_s":null,"azure_triggers":null}},"replicas":[]}'
    )


def test_the_interface_describes_the_status_to_tools() -> None:
    described = create_app(Refusing(LeaseLostError("none of this")), CollectorRegistry()).openapi()
    answer = described["paths"]["/v1/status"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/MigrationStatus"}
    members = described["components"]["schemas"]["PipelineStatus"]["properties"]
    assert members["copy_total"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert members["replicated_through"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]


async def test_readiness_is_what_the_pipelines_say() -> None:
    daemon = Refusing(LeaseLostError("none of this"))
    app = create_app(daemon, CollectorRegistry())
    told: list[tuple[int, str]] = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for statuses in ({}, {"orders": FINE}, {"orders": FINE, "customers": but(FINE, problems=["busy"])}):
            daemon.statuses = statuses
            answer = await client.get("/readyz")
            told.append((answer.status_code, answer.text))
    assert told == [
        (503, '{"ready":false,"problems":{"shop":["starting"]}}'),
        (200, '{"ready":true,"problems":{}}'),
        (503, '{"ready":false,"problems":{"customers":["busy"]}}'),
    ]

"""Promises: gauges and log say what the answer says, and gauges are never older than the scrape."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from fakes.evidence import HELD, READY, UNREHEARSED
from fakes.statuses import but
from replicator.api import cutover
from replicator.api.app import create_app
from replicator.clocks import elapsed_s
from replicator.config.models import (
    CutoverConfig,
    MigrationConfig,
    PipelineConfig,
    RehearsalConfig,
    SourceConfig,
    TargetConfig,
)
from replicator.cutover import Announcer, Cutover, Watch
from replicator.status import PipelineStatus
from replicator.telemetry import Metrics

PIPELINE = PipelineConfig(source=SourceConfig(type="none"), target=TargetConfig(type="none"))


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@dataclass
class Told:
    """A daemon with two pipelines that answers by these statuses, taken when `take` is called."""

    config: MigrationConfig = field(
        default_factory=lambda: MigrationConfig(
            migration="shop",
            pipelines={"orders": PIPELINE, "jobs": PIPELINE},
            cutover=CutoverConfig(steady_s=0, rehearsal=UNREHEARSED),
        )
    )
    statuses: dict[str, PipelineStatus] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.watch = Watch(self.config)
        self.announcer = Announcer(self.metrics)

    def take(self, at: float | None = None, **statuses: PipelineStatus) -> None:
        self.statuses = statuses
        self.watch.take(statuses, elapsed_s() if at is None else at)

    def cutover(self) -> Cutover:
        judged = self.watch.judge()
        self.announcer.tell(judged)
        return judged

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_the_gauges_say_what_the_answer_says() -> None:
    daemon = Told()
    daemon.take(orders=READY, jobs=but(HELD, name="jobs"))
    assert daemon.cutover().ready
    assert daemon.gauge("replicator_cutover_ready") == 1
    assert daemon.gauge("replicator_cutover_check", pipeline="jobs", check="queue") == 1
    assert daemon.gauge("replicator_migration_phase", phase="following") == 1
    daemon.take(orders=but(READY, foreign=None, phase="failed"), jobs=HELD)
    daemon.cutover()
    assert daemon.gauge("replicator_cutover_ready") == 0
    assert daemon.gauge("replicator_cutover_check", pipeline="orders", check="foreign") == 0
    assert daemon.gauge("replicator_cutover_check", pipeline="orders", check="dead_letters") == 1
    assert daemon.gauge("replicator_migration_phase", phase="failed") == 1
    assert daemon.gauge("replicator_migration_phase", phase="following") == 0


@pytest.mark.parametrize(("waived", "value"), [(None, 0), ("it was done last week", 1)])
def test_what_is_demanded_of_the_migration_itself_has_gauges_without_a_pipeline(
    waived: str | None, value: float
) -> None:
    demanded = CutoverConfig(steady_s=0, rehearsal=RehearsalConfig(waived=waived))
    daemon = Told(MigrationConfig(migration="shop", pipelines={"orders": PIPELINE}, cutover=demanded))
    daemon.take(orders=READY)
    assert daemon.cutover().ready is bool(value)
    assert daemon.gauge("replicator_cutover_check", pipeline="", check="rehearsed") == value
    assert daemon.gauge("replicator_cutover_ready") == value


def test_a_change_is_a_line_in_the_log_with_its_reasons_and_said_once() -> None:
    daemon = Told()
    with capture_logs() as lines:
        for suspects in (0, 0, 3, 3, 0):
            daemon.take(orders=but(READY, suspect_keys=suspects), jobs=HELD)
            daemon.cutover()
    assert [line["event"] for line in lines] == [
        "migration phase changed",
        "ready for the cutover",
        "not ready for the cutover any more",
        "ready for the cutover",
    ]
    assert "suspect_keys fails" in lines[2]["reasons"][0]


async def test_a_scrape_of_a_daemon_that_has_not_looked_for_a_while_says_not_ready() -> None:
    daemon = Told()
    daemon.take(orders=READY, jobs=HELD)
    assert daemon.cutover().ready
    daemon.take(at=elapsed_s() - 5.1, orders=READY, jobs=HELD)
    app = create_app(daemon, daemon.metrics.registry, cutover.router(daemon))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert "replicator_cutover_ready 0.0" in (await client.get("/metrics")).text
        answer = await client.get("/v1/cutover")
    assert (answer.status_code, answer.json()["ready"]) == (200, False)


async def test_a_daemon_that_is_starting_answers_that_it_is_not_ready() -> None:
    daemon = Told()
    app = create_app(daemon, daemon.metrics.registry, cutover.router(daemon))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = (await client.get("/v1/cutover")).json()
    assert (answer["ready"], answer["phase"], answer["pipelines"]) == (False, "", {})
    assert answer["reasons"] == [f"{name}: starting, nothing is known yet" for name in daemon.config.pipelines]


def test_a_pipeline_may_have_a_limit_of_its_own_and_waive_what_cannot_be() -> None:
    own = PIPELINE.model_copy(
        update={"cutover": PIPELINE.cutover.model_copy(update={"max_lag_s": 900, "waive": {"foreign": "a queue"}})}
    )
    daemon = Told(
        MigrationConfig(
            migration="shop", pipelines={"orders": own}, cutover=CutoverConfig(steady_s=0, rehearsal=UNREHEARSED)
        )
    )
    daemon.take(orders=but(READY, lag_s=800, foreign=None))
    answer = daemon.cutover()
    assert answer.ready
    assert [(c.name, c.waived) for c in answer.pipelines["orders"].checks if c.waived] == [("foreign", "a queue")]


def test_a_pipeline_in_mode_sync_is_not_ready_while_nothing_is_known_of_that() -> None:
    synchronous = PIPELINE.model_copy(update={"mode": "sync"})
    daemon = Told(
        MigrationConfig(
            migration="shop",
            pipelines={"orders": synchronous},
            cutover=CutoverConfig(steady_s=0, rehearsal=UNREHEARSED),
        )
    )
    daemon.take(orders=READY)
    assert daemon.cutover().reasons == ["orders: sync is unknown: wait until it is known"]

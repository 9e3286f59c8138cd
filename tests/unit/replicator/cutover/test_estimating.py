"""Promises of the estimate: backlog over the best rate that was measured, and what the source takes to prove itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.evidence import HELD, READY, evidence
from fakes.statuses import but
from replicator.cutover import Cutover, PipelineCutover
from replicator.cutover.estimating import estimate, longest
from replicator.cutover.report import DrainEstimate
from replicator.status import QueueDepth

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def drain(seconds: float | None) -> DrainEstimate:
    return DrainEstimate(seconds=seconds, backlog=None, per_s=None, settling_s=None)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.1, 1000), st.floats(0, 1000))
def test_a_log_is_drained_in_lag_times_read_rate_over_apply_rate_and_the_margins(
    lag_s: float, read_per_s: float, applied_per_s: float, settling_s: float
) -> None:
    status = but(READY, lag_s=lag_s, read_per_s=read_per_s, applied_per_s=applied_per_s, settling_s=settling_s)
    assert estimate(evidence(status)).seconds == pytest.approx(lag_s * read_per_s / applied_per_s + settling_s)


@pytest.mark.parametrize("held", [True, False])
def test_a_queue_is_drained_by_its_depth_be_it_held_or_not(held: bool) -> None:
    queue = QueueDepth(visible=70, in_flight=20, delayed=10, oldest_age_s=1, held=held, age_s=1)
    found = estimate(evidence(but(HELD, queue=queue, applied_per_s=4.0, settling_s=130)))
    assert (found.seconds, found.backlog, found.per_s) == (155, 100, 4)


def test_without_a_rate_nothing_is_told_but_for_what_is_empty() -> None:
    assert estimate(evidence(but(HELD, applied_per_s=0))).seconds is None
    assert estimate(evidence(but(READY, applied_per_s=0, read_per_s=0))).seconds == READY.settling_s


@pytest.mark.parametrize("member", ["lag_s", "read_per_s", "settling_s"])
def test_what_is_unknown_makes_it_unknown(member: str) -> None:
    assert estimate(evidence(but(READY, **{member: None}))).seconds is None


def test_a_migration_takes_as_long_as_its_slowest_pipeline() -> None:
    assert longest([3, 7]) == 7
    assert longest([3, None]) is None
    assert longest([]) is None


@pytest.mark.parametrize(
    "standing",
    [{"paused": True}, {"degraded": {"target": "unavailable"}}, {"partitions": {"stopped": 1}}],
    ids=["paused", "failing", "stopped"],
)
def test_where_reading_stands_still_its_rate_says_nothing_of_what_waits(standing: dict[str, object]) -> None:
    """Nothing is read then, while the source goes on changing: that is no empty backlog."""
    assert estimate(evidence(but(READY, read_per_s=0.0, lag_s=3600.0, **standing))).seconds is None


@pytest.mark.parametrize("age_s", [None, 61.0])
def test_a_depth_that_is_not_known_for_now_is_no_backlog(age_s: float | None) -> None:
    queue = QueueDepth(visible=0, in_flight=0, delayed=0, oldest_age_s=None, held=False, age_s=age_s)
    assert estimate(evidence(but(READY, queue=queue))).seconds is None


@pytest.mark.parametrize(("total", "seconds"), [(4000, 40.0), (500, 10.0), (None, 10.0)])
def test_a_comparison_of_when_there_was_less_is_expected_to_take_longer_by_as_much(
    total: int | None, seconds: float
) -> None:
    assert READY.verification is not None
    known = READY.verification.model_copy(update={"fast_s": 10.0, "fast_compared": 1000, "total": total})
    assert estimate(evidence(but(READY, verification=known))).comparison_s == seconds


def test_a_comparison_that_nobody_knows_hides_no_other_that_takes_longer_than_the_pause() -> None:
    def pipeline(comparison_s: float | None) -> PipelineCutover:
        told = drain(1.0).model_copy(update={"comparison_s": comparison_s})
        return PipelineCutover(ready=True, held=False, replicated_through=T0, lag_s=0, drain=told, checks=[])

    found = Cutover(
        migration="shop", phase="following", ready=True, judged_at=T0, drain_s=1.0, reasons=[],
        pipelines={"orders": pipeline(600.0), "media": pipeline(None)},
    )  # fmt: skip
    assert found.expected_s == 601.0

"""Promises of being in sync: it is lost at once, won back only by proof, and never said where it is not known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engine.syncing import Seen, SyncLimits, SyncState, next_sync, obstacle

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = SyncLimits(max_lag_s=10, steady_s=30)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def fine(now: float, lag: float = 2) -> Seen:
    return Seen(at(now), at(now - lag), following=True)


def run(*seen: Seen) -> SyncState:
    state: SyncState | None = None
    for one in seen:
        state = next_sync(state, one, LIMITS)
    assert state is not None
    return state


SYNCED = run(fine(0), fine(40))

AGAINST = [
    (replace(fine(50), failed=True), "has failed"),
    (replace(fine(50), following=False), "not through"),
    (replace(fine(50), halted=2), "2 partitions have stopped"),
    (replace(fine(50), replaying=True), "repeated"),
    (replace(fine(50), dead_letters=1), "1 dead letter"),
    (replace(fine(50), replicated_through=None), "not known"),
    (fine(50, lag=10.001), "more than 10 s behind"),
]


def test_it_begins_with_catching_up() -> None:
    state = run(fine(0))
    assert not state.in_sync
    assert state.since == at(0)
    assert state.status.state == "catching_up"


def test_it_is_in_sync_after_a_steady_period() -> None:
    assert not run(fine(0), fine(29.9)).in_sync
    state = run(fine(0), fine(29.9), fine(30))
    assert state.in_sync
    assert state.since == at(30)
    assert (state.status.state, state.status.reason) == ("in_sync", "")


def test_it_stays_in_sync_since_then() -> None:
    assert next_sync(SYNCED, fine(100, lag=10), LIMITS) == SYNCED


@pytest.mark.parametrize(("seen", "why"), AGAINST, ids=[why for _, why in AGAINST])
def test_it_is_lost_at_once(seen: Seen, why: str) -> None:
    state = next_sync(SYNCED, seen, LIMITS)
    assert not state.in_sync
    assert why in state.reason
    assert state.since == seen.now


@pytest.mark.parametrize(("seen", "why"), AGAINST, ids=[why for _, why in AGAINST])
def test_the_period_begins_anew_with_each_obstacle(seen: Seen, why: str) -> None:
    lost = next_sync(SYNCED, seen, LIMITS)
    assert not next_sync(next_sync(lost, fine(51), LIMITS), fine(80.9), LIMITS).in_sync
    assert next_sync(next_sync(lost, fine(51), LIMITS), fine(81), LIMITS).in_sync
    assert lost.since == at(50), why


def test_what_was_committed_before_the_obstacle_was_gone_must_be_at_the_target() -> None:
    """However long that takes and however short the period is."""
    limits = SyncLimits(max_lag_s=10, steady_s=0)
    state = next_sync(None, Seen(at(0), at(-5), following=True), limits)
    state = next_sync(state, Seen(at(5), at(0), following=True), limits)
    assert not state.in_sync
    assert next_sync(state, Seen(at(6), at(0.001), following=True), limits).in_sync


seen = st.builds(
    lambda step, lag, following, halted, replaying, letters: (
        step,
        lag,
        {"following": following, "halted": halted, "replaying": replaying, "dead_letters": letters},
    ),
    st.floats(0, 20),
    st.none() | st.floats(0, 15),
    st.just(True) | st.booleans(),
    st.just(0) | st.integers(0, 1),
    st.just(False) | st.booleans(),
    st.just(0) | st.integers(0, 1),
)


@given(st.lists(seen, min_size=1, max_size=60))
def test_in_sync_is_never_said_while_anything_speaks_against_it_or_did_within_the_period(
    steps: list[tuple[float, float | None, dict[str, int]]],
) -> None:
    now, state, bad_until = 0.0, None, float("-inf")
    for step, lag, more in steps:
        now += step
        one = Seen(at(now), None if lag is None else at(now - lag), **more)  # type: ignore[arg-type]
        state = next_sync(state, one, LIMITS)
        if obstacle(one, LIMITS):
            bad_until = now
        if state.in_sync:
            assert now - bad_until >= LIMITS.steady_s
        assert bool(state.reason) is not state.in_sync

"""Promises of the history: it is bounded, survives a restart, and never makes the past look better than it was."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fakes.statuses import FINE, but
from replicator.engine.rounds import Ask, Round
from replicator.report import history as module
from replicator.report.history import (
    MOST_FIRST,
    MOST_MOMENTS,
    MOST_POINTS,
    MOST_RECENT,
    MOST_ROUNDS,
    RECENT_STEP_S,
    STEP_S,
    History,
    Lags,
    Recent,
    Seen,
    Witness,
    read_history,
    write_history,
)
from replicator.status import SyncStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def fed(*looks: tuple[float, float | None]) -> Lags:
    lags = Lags()
    for seconds, lag_s in looks:
        lags.take(later(seconds), lag_s)
    return lags


def told(lags: Lags) -> list[tuple[float, float | None, bool]]:
    """Each stretch by when it began, in seconds from T0."""
    return [(s.index * lags.step_s - T0.timestamp(), s.worst_s, s.unknown) for s in lags.stretches]


def test_a_stretch_keeps_the_worst_lag_and_that_it_was_unknown() -> None:
    lags = fed((0, 1.0), (1, 7.0), (9, 2.0), (10, None), (12, 3.0), (20, None))
    assert told(lags) == [(0, 7.0, False), (10, 3.0, True), (20, None, True)]
    assert lags.worst_s == 7.0


def test_what_was_not_observed_stays_a_gap() -> None:
    assert [at for at, _, _ in told(fed((0, 1.0), (100, 1.0)))] == [0, 100]


def test_a_clock_that_was_set_back_adds_to_the_latest_stretch() -> None:
    assert told(fed((50, 1.0), (0, 9.0), (55, 2.0))) == [(50, 9.0, False)]


def test_the_last_hour_is_not_thinned_but_forgets() -> None:
    recent = Recent()
    for n in range(3 * MOST_RECENT):
        recent.take(later(n * RECENT_STEP_S), float(n))
    assert [s.worst_s for s in recent.stretches] == [float(n) for n in range(2 * MOST_RECENT, 3 * MOST_RECENT)]
    recent.take(later(2 * 3 * MOST_RECENT * RECENT_STEP_S), None)
    assert [(s.worst_s, s.unknown) for s in recent.stretches] == [(None, True)], "all else is older than an hour"


def test_the_last_hour_survives_a_restart() -> None:
    witness = Witness(History())
    witness.see(T0, FINE, None)
    assert read_history(write_history(witness.history)).recent == witness.history.recent
    assert len(witness.history.recent.stretches) == 1


@given(st.lists(st.tuples(st.integers(0, 10**6), st.none() | st.floats(0, 1e6)), max_size=60))
def test_thinning_never_makes_it_look_better(looks: list[tuple[int, float | None]]) -> None:
    """Every look lies in a stretch that is no better than it was; and there are never too many of them."""
    looks = sorted(looks, key=lambda look: look[0])
    lags = Lags()
    most, module.MOST_POINTS = module.MOST_POINTS, 8
    try:
        for seconds, lag_s in looks:
            lags.take(later(seconds), lag_s)
    finally:
        module.MOST_POINTS = most
    assert len(lags.stretches) <= 8
    by_index = {s.index: s for s in lags.stretches}
    for seconds, lag_s in looks:
        stretch = by_index[int(later(seconds).timestamp() // lags.step_s)]
        assert stretch.unknown if lag_s is None else stretch.worst_s is not None and stretch.worst_s >= lag_s


def test_half_a_year_takes_no_more_room_than_an_hour() -> None:
    history = History()
    for step in range(200_000):
        history.lags.take(later(step * 90), 1.5)
    assert MOST_POINTS / 2 <= len(history.lags.stretches) <= MOST_POINTS
    assert len(write_history(history)) < 150_000
    assert history.lags.step_s > STEP_S


def test_it_is_the_same_after_a_restart_and_counts_go_on() -> None:
    witness = Witness(History())
    witness.began(T0)
    witness.see(later(1), but(FINE, applied=5, read=9, copied_per_s=3.0), None)
    witness.see(later(2), but(FINE, applied=8, read=9, applied_per_s=0.5), None)
    again = Witness(read_history(write_history(witness.history)))
    assert again.history == witness.history
    again.began(later(60))
    again.see(later(61), but(FINE, applied=2, read=2), None)
    assert (again.history.counts.applied, again.history.counts.read) == (10, 11)
    assert again.history.best_copied_per_s == 3.0
    assert again.history.best_applied_per_s == 1.5
    assert [m.what for m in again.history.moments] == ["daemon started", "following", "daemon started"]


def test_one_that_cannot_be_read_is_begun_anew() -> None:
    assert read_history('{"lags": 3}') == read_history(None) == History()


def test_phases_and_being_in_sync_are_noted_when_they_change() -> None:
    witness = Witness(History())
    catching_up = SyncStatus(state="catching_up", since=T0, reason="behind by 20 s")
    in_sync = SyncStatus(state="in_sync", since=T0, reason="")
    looks = [
        (but(FINE, phase="copying", sync=catching_up), True),
        (but(FINE, phase="copying", sync=catching_up), False),
        (but(FINE, sync=catching_up), True),
        (but(FINE, sync=in_sync), True),
        (but(FINE, sync=catching_up), True),
        (but(FINE, phase="failed", failure="position lost", sync=None), True),
    ]
    assert [witness.see(later(n), status, None) for n, (status, _) in enumerate(looks)] == [new for _, new in looks]
    assert [(m.what, m.detail) for m in witness.history.moments] == [
        ("copying", ""),
        ("following", ""),
        ("in sync", ""),
        ("no longer in sync", "behind by 20 s"),
        ("failed", "position lost"),
    ]


def test_each_round_that_ended_is_kept_once() -> None:
    witness, round_ = Witness(History()), Round(T0, Ask(sample=9), compared=7, differences=2)
    assert witness.see(T0, but(FINE, phase=""), round_) is False
    round_.ended_at = later(5)
    assert [witness.see(T0, but(FINE, phase=""), round_) for _ in range(3)] == [True, False, False]
    (kept,) = witness.history.rounds
    assert (kept.compared, kept.differences, kept.clean, kept.sample) == (7, 2, False, 9)
    for n in range(MOST_ROUNDS + 4):
        witness.see(T0, but(FINE, phase=""), Round(later(n + 10), ended_at=later(n + 11)))
    assert len(witness.history.rounds) == MOST_ROUNDS
    assert witness.history.rounds_left_out == 5
    assert witness.history.rounds[-1].clean


def test_of_too_many_moments_the_first_and_the_latest_are_kept() -> None:
    witness = Witness(History())
    for n in range(MOST_MOMENTS + 10):
        witness.began(later(n))
    moments = witness.history.moments
    assert len(moments) == MOST_MOMENTS
    assert moments[MOST_FIRST - 1 : MOST_FIRST + 1] == [
        Seen(later(MOST_FIRST - 1), "daemon started"),
        Seen(later(MOST_FIRST + 10), "daemon started"),
    ]
    assert witness.history.moments_left_out == 10

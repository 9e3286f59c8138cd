"""Promises of the steady period: seen all the time, without a gap, and begun anew by anything that spoils it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.evidence import DEMANDS, READY, SOURCE_TIME
from fakes.statuses import but
from replicator.cutover.steady import RATE_KEPT_S, Steady, watch
from replicator.status import PipelineStatus

BAD = but(READY, lag_s=30.1)
UNKNOWN = but(READY, lag_s=None)

looks = st.lists(st.tuples(st.floats(0, 6), st.sampled_from([READY, READY, READY, BAD, UNKNOWN])), min_size=1)
"""Pauses before a look, and what it showed."""


def after(seen: list[tuple[float, PipelineStatus]], at: float = 0.0) -> Steady:
    found: Steady | None = None
    for pause_s, status in seen:
        at += pause_s
        found = watch(found, status, at, DEMANDS)
    assert found is not None
    return found


@given(looks)
def test_the_lag_has_been_under_its_limit_since_the_first_good_look_after_every_bad_one_and_every_gap(
    seen: list[tuple[float, PipelineStatus]],
) -> None:
    at, since = 0.0, None
    for index, (pause_s, status) in enumerate(seen):
        at += pause_s
        is_gap = index > 0 and at - (at - pause_s) > DEMANDS.max_gap_s
        if status is not READY:
            since = None
        elif since is None or is_gap:
            since = at
    assert after(seen).in_lag_since == since


@pytest.mark.parametrize("pause_s", [5.1, 3600.0, -0.1])
def test_a_gap_begins_everything_anew(pause_s: float) -> None:
    """Or a clock that goes backwards."""
    before = after([(1.0, READY)] * 100)
    at = before.seen_at + pause_s
    found = watch(before, READY, at, DEMANDS)
    assert (found.in_lag_since, found.watched_since, found.unthrottled_since, found.punctual_since) == (at, at, at, at)


def test_a_restart_begins_everything_anew() -> None:
    found = watch(None, but(READY, throttled_at=SOURCE_TIME, late=3), 7.0, DEMANDS)
    assert (found.in_lag_since, found.unthrottled_since, found.punctual_since) == (7.0, 7.0, 7.0)


def test_a_request_that_was_refused_as_too_many_begins_the_time_without_any_anew() -> None:
    """Whatever the wall clock said: it may have been set back."""
    once = but(READY, throttled_at=SOURCE_TIME)
    again = but(READY, throttled_at=SOURCE_TIME - timedelta(hours=1))
    assert after([(1.0, READY)] * 3 + [(1.0, once)] * 3).unthrottled_since == 4.0
    assert after([(1.0, once)] * 3 + [(1.0, again)] * 3).unthrottled_since == 4.0
    assert after([(1.0, once)] * 6).unthrottled_since == 1.0


def test_a_late_record_begins_the_time_without_any_anew() -> None:
    """The lag had been told better than it was."""
    assert after([(1.0, READY)] * 3 + [(1.0, but(READY, late=1))] * 3).punctual_since == 4.0


def test_the_best_rate_is_believed_for_an_hour() -> None:
    fast, slow = but(READY, applied_per_s=100.0), but(READY, applied_per_s=2.0)
    assert after([(1.0, fast)] + [(1.0, slow)] * 100).best_per_s == 100.0
    assert after([(1.0, fast)] + [(5.0, slow)] * int(RATE_KEPT_S / 5 + 2)).best_per_s == 2.0

"""Promises of the service's clock: the true time is always within the bounds, and they become narrow."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from replicator.clocks import ServiceClock, elapsed_s, utc_now

millis = st.integers(0, 5000).map(lambda ms: ms / 1000)
calls = st.lists(st.tuples(st.integers(0, 400_000).map(lambda ms: ms / 1000), millis, millis), min_size=1, max_size=40)


def true_time(local: float, offset_s: float) -> datetime:
    return datetime.fromtimestamp(local + offset_s, UTC)


SLACK = timedelta(microseconds=10)
"""Rounding of floating point and of instants to microseconds."""


@given(st.floats(-1e6, 1e9), calls, st.floats(0, 1e4))
def test_the_true_time_is_always_within_the_bounds(
    offset_s: float, made: list[tuple[float, float, float]], later_s: float
) -> None:
    """Whatever the latencies there and back, the offset of our clock, and the time between calls."""
    now = 1_000_000.0
    clock = ServiceClock(lambda: now)
    for pause_s, there_s, back_s in made:
        sent = now = now + pause_s
        stamp = true_time(sent + there_s, offset_s).replace(microsecond=0)
        now = sent + there_s + back_s
        clock.observe(stamp, sent, now)
        for at in (None, sent, now + later_s):
            true = true_time(now if at is None else at, offset_s)
            assert clock.earliest(at) - SLACK <= true <= clock.latest(at) + SLACK


def test_it_is_unknown_until_there_is_an_answer() -> None:
    clock = ServiceClock(lambda: 0.0)
    assert not clock.known
    clock.observe(datetime(2026, 1, 1, tzinfo=UTC), 0.0, 0.1)
    assert clock.known


def test_a_few_answers_narrow_the_bounds_to_the_latency() -> None:
    now, offset_s = 0.0, 1_700_000_000.3
    clock = ServiceClock(lambda: now)
    for call in range(50):
        sent = call * 0.137
        now = sent + 0.010
        clock.observe(true_time(sent + 0.005, offset_s).replace(microsecond=0), sent, now)
    assert clock.latest() - clock.earliest() < timedelta(milliseconds=150)


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    now = 0.0
    clock = ServiceClock(lambda: now)
    for jump_s in (0, 3600, -7200):
        now += 1
        stamp = true_time(now, 1_700_000_000 + jump_s).replace(microsecond=0)
        clock.observe(stamp, now - 0.01, now)
        assert clock.earliest() - SLACK <= stamp + timedelta(seconds=1)
        assert clock.latest() + SLACK >= stamp


def test_drift_does_not_accumulate() -> None:
    """Ours runs a little fast: the bounds stay about right for a year, since old ones are forgotten."""
    clock = ServiceClock(lambda: now)
    for minute in range(60 * 24):
        true_s = 1_700_000_000.0 + minute * 60
        now = minute * 60 * 1.00005
        clock.observe(datetime.fromtimestamp(int(true_s), UTC), now - 0.01, now)
        assert abs((clock.earliest(now) - datetime.fromtimestamp(true_s, UTC)).total_seconds()) < 1.1


def test_our_own_clocks_move_forward_and_are_aware() -> None:
    assert elapsed_s() <= elapsed_s()
    assert utc_now().tzinfo is UTC

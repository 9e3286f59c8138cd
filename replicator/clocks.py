"""The clocks of the process. Instants are aware UTC; durations count time spent suspended."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed_s() -> float:
    """Seconds since some fixed moment, suspension of the machine or the process included."""
    return time.clock_gettime(_BOOT_CLOCK)


def utc_now() -> datetime:
    """The local wall clock, for records of when we did something; never for judging what a source did."""
    return datetime.now(UTC)


class ServiceClock:
    """A service's clock, known within bounds from the times its answers carry; our own wall clock plays no part.

    An answer stamped with the whole second D, to a request sent at s and received at r, shows that the service's clock
    less ours lies between D - r and D + 1 - s. Intersecting a few answers narrows that to milliseconds. Bounds are kept
    for `window_s` and then found anew, so that drift cannot accumulate.
    """

    def __init__(self, clock: Callable[[], float] = elapsed_s, window_s: float = 300.0) -> None:
        self._clock = clock
        self._window_s = window_s
        self._bounds = (float("-inf"), float("inf"))
        self._next = self._bounds
        self._renew_at = float("-inf")

    def observe(self, stamp: datetime, sent: float, received: float) -> None:
        """An answer carried `stamp`, rounded down to a second; `sent` and `received` are by this object's clock."""
        second = stamp.timestamp()
        sample = (second - received, second + 1 - sent)
        self._bounds = _intersect(self._bounds, sample)
        self._next = _intersect(self._next, sample)
        if received >= self._renew_at:
            self._bounds, self._next = self._next, sample
            self._renew_at = received + self._window_s

    @property
    def known(self) -> bool:
        """Whether there was an answer yet."""
        return self._bounds[0] > float("-inf")

    def earliest(self, at: float | None = None) -> datetime:
        """The service's time is at least this now, or was at moment `at` of this object's clock."""
        return self._instant(at, self._bounds[0])

    def latest(self, at: float | None = None) -> datetime:
        """The service's time is at most this now, or was at moment `at` of this object's clock."""
        return self._instant(at, self._bounds[1])

    def _instant(self, at: float | None, offset_s: float) -> datetime:
        return datetime.fromtimestamp((self._clock() if at is None else at) + offset_s, UTC)


def _intersect(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Bounds that both allow; where they contradict each other (a clock was set), the newer alone."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else other

"""A read budget that gives way to production."""

from collections.abc import Callable

from replicator.clocks import elapsed_s
from replicator.delivery import RateBudget

RECOVERY_S = 100.0
"""From nothing back to the whole rate."""

GIVE_WAY_INTERVAL_S = 1.0
"""Refusals of calls that were under way together count once."""


class YieldingBudget(RateBudget):
    """Halves its rate when the service throttles, since production reads the same table, and recovers slowly."""

    def __init__(self, per_s: float, clock: Callable[[], float] = elapsed_s) -> None:
        super().__init__(per_s, clock)
        self.limit_per_s = per_s
        self._gave_way_at = float("-inf")
        self._recovered_at = clock()

    def set_limit(self, per_s: float) -> None:
        """From now on at most this rate."""
        self.limit_per_s = per_s
        self.set_rate(per_s)

    def give_way(self) -> None:
        """The service refused a call."""
        self._recover()
        if self._clock() - self._gave_way_at >= GIVE_WAY_INTERVAL_S:
            self._gave_way_at = self._clock()
            self.per_s = max(min(1.0, self.limit_per_s), (self.per_s or 1.0) / 2)

    def charge(self, units: float) -> None:
        """Books a call that was answered."""
        self._recover()
        super().charge(units)

    def _recover(self) -> None:
        now = self._clock()
        passed_s, self._recovered_at = now - self._recovered_at, now
        self.per_s = min(self.limit_per_s, (self.per_s or 0.0) + self.limit_per_s * passed_s / RECOVERY_S)

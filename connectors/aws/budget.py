"""A read budget that gives way to production."""

from replicator.delivery import RateBudget

RECOVERY = 1.05
"""Each call that is not throttled wins back so much of the rate given up."""


class YieldingBudget(RateBudget):
    """Halves its rate when the service throttles, since production reads the same table, and recovers slowly."""

    def __init__(self, per_s: float) -> None:
        super().__init__(per_s)
        self.limit_per_s = per_s

    def set_limit(self, per_s: float) -> None:
        """From now on at most this rate."""
        self.limit_per_s = self.per_s = per_s

    def give_way(self) -> None:
        """The service refused a call."""
        self.per_s = max(1.0, (self.per_s or 1.0) / 2)

    def charge(self, units: float) -> None:
        """Books a call that was answered."""
        super().charge(units)
        self.per_s = min(self.limit_per_s, (self.per_s or 1.0) * RECOVERY)

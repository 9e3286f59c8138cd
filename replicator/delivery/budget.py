"""A rate that is paid for afterwards, since services tell what a call has cost only in its answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from replicator.clocks import elapsed_s

NEWEST_SHARE = 0.2
"""How much the newest charge counts in what a call is expected to cost."""


SHORTEST_S = 1e-6
"""Less would be lost in rounding, and no time would pass."""


class RateBudget:
    """Holds callers back so that what is charged stays under `per_s` units a second on average.

    A call waits while the budget is in debt. While it is under way it holds what calls have typically cost, so that
    many at once do not overdraw the budget together; then it pays what it did cost. At most one second's worth is
    saved up. `per_s` None is no limit.
    """

    def __init__(self, per_s: float | None, clock: Callable[[], float] = elapsed_s) -> None:
        self.per_s = per_s
        self._clock = clock
        self._balance = per_s or 0.0
        self._settled_at = clock()
        self._typical = 0.0
        self._turn = anyio.Lock()
        self._changed = anyio.Event()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Entered when nothing is owed any more, in order of arrival; the call is made and charged inside."""
        async with self._turn:
            while (owed_s := self.owed_s()) > 0:
                with anyio.move_on_after(max(owed_s, SHORTEST_S)):
                    await self._changed.wait()
            reserved = self._typical
            self._balance -= reserved
        try:
            yield
        finally:
            self._balance += reserved

    def charge(self, units: float) -> None:
        """Books what a call has cost, in the service's units."""
        self._accrue()
        if self.per_s is not None:
            self._balance -= units
        self._typical += (units - self._typical) * NEWEST_SHARE

    def set_rate(self, per_s: float | None) -> None:
        """From now on this rate. A debt made at a higher one is lowered with it: paying it would take forever."""
        self._accrue()
        self._balance = self._balance * min(1.0, per_s / self.per_s) if self.per_s and per_s else 0.0
        self.per_s = per_s
        self._changed.set()
        self._changed = anyio.Event()

    def owed_s(self) -> float:
        """Seconds until the debt is paid, 0 when there is none."""
        self._accrue()
        if self.per_s is None or self._balance >= 0:
            return 0.0
        return -self._balance / self.per_s

    def _accrue(self) -> None:
        now = self._clock()
        passed_s, self._settled_at = now - self._settled_at, now
        if self.per_s is not None:
            self._balance = min(self._balance + passed_s * self.per_s, self.per_s)

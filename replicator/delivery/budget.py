"""A rate that is paid for afterwards, since services tell what a call has cost only in its answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from replicator.clocks import elapsed_s

NEWEST_SHARE = 0.2
"""How much the newest charge counts in what a call is expected to cost."""


class RateBudget:
    """Holds callers back so that what is charged stays under `per_s` units a second on average.

    A call waits while the budget is in debt. While it is under way it holds what calls have typically cost, so that
    many at once do not overdraw the budget together; then it pays what it did cost. At most one second's worth is
    saved up. `per_s` None is no limit; it may be changed at run time.
    """

    def __init__(self, per_s: float | None, clock: Callable[[], float] = elapsed_s) -> None:
        self.per_s = per_s
        self._clock = clock
        self._balance = per_s or 0.0
        self._settled_at = clock()
        self._typical = 0.0
        self._turn = anyio.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Entered when nothing is owed any more, in order of arrival; the call is made and charged inside."""
        async with self._turn:
            while (owed_s := self.owed_s()) > 0:  # noqa: ASYNC110 — sleeps exactly as long as it must
                await anyio.sleep(owed_s)
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

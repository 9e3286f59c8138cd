"""What the pages of a shard prove about time. Pure.

A record proves its commit time, which is rounded down to the second. One empty page proves nothing, since a shard may
answer with empty pages before data that exists; a run of several that spans a margin proves that nothing older than the
run's beginning, less the margin, is still to come, as far as can be known.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

LEAST_EMPTY_PAGES = 3

ROUNDING = timedelta(seconds=1)
"""Commit times are rounded down to whole seconds."""

MOST_SLACK = timedelta(minutes=10)
"""The margins grow no further than this when records keep coming late."""


class ShardTime:
    """Follows one shard; `claim` is the instant before which every change in it has been read."""

    def __init__(self, claim: datetime | None, margin: timedelta) -> None:
        self.claim = claim
        self._margin = margin
        self._slack = timedelta(0)
        self._empty: deque[datetime] = deque()

    def records(self, committed: Sequence[datetime]) -> int:
        """A page with records of these commit times, in order; returns how many are surely older than claimed.

        Those are reported as they are, and from then on less is claimed.
        """
        self._empty.clear()
        late = 0 if self.claim is None else sum(moment + ROUNDING <= self.claim for moment in committed)
        if late and self.claim is not None:
            behind = self.claim - min(committed)
            self._slack = min(MOST_SLACK, max(self._slack * 2, behind))
        self._raise_to(committed[-1] - self._slack)
        return late

    def empty(self, asked_at: datetime) -> None:
        """A page without records, asked for at this instant of the service's clock, the earliest it may have been."""
        self._empty.append(asked_at)
        needed = self._margin + self._slack
        while len(self._empty) > LEAST_EMPTY_PAGES and asked_at - self._empty[1] >= needed:
            self._empty.popleft()
        if len(self._empty) >= LEAST_EMPTY_PAGES and asked_at - self._empty[0] >= needed:
            self._raise_to(self._empty[0] - needed)

    def _raise_to(self, claim: datetime) -> None:
        if self.claim is None or claim > self.claim:
            self.claim = claim

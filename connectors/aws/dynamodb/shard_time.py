"""What the pages of a shard prove about time. Pure.

A record proves its commit time, which is rounded down to the second. One empty page proves nothing, since a shard may
answer with empty pages before data that exists; a run of several that spans a margin proves that nothing older than the
run's beginning, less the margin, is still to come, as far as can be known.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from connectors.aws.slack import Slack

LEAST_EMPTY_PAGES = 3

LEAST_EMPTY_PAGES_BEHIND = 20
"""So many while the reader is not known to have reached the shard's end: gaps in a backlog answer with empty pages too.
"""

NEAR_THE_END = timedelta(seconds=60)
"""A record committed so shortly before it was read shows that the reader has reached the shard's end."""

ROUNDING = timedelta(seconds=1)
"""Commit times are rounded down to whole seconds."""

MOST_SLACK = timedelta(minutes=10)
"""The margins grow no further than this when records keep coming late."""


class ShardTime:
    """Follows one shard; `claim` is the instant before which every change in it has been read."""

    def __init__(self, claim: datetime | None, margin: timedelta) -> None:
        self.claim = claim
        self._margin = margin
        self._slack = Slack(MOST_SLACK)
        self._empty: deque[datetime] = deque()
        self._at_the_end = False

    def records(self, committed: Sequence[datetime], asked_at: datetime) -> int:
        """A page with records of these commit times, in order; returns how many are surely older than claimed.

        Those are reported as they are, and from then on less is claimed. `asked_at` is as for `empty`.
        """
        self._empty.clear()
        self._at_the_end = asked_at - committed[-1] < NEAR_THE_END
        late = 0 if self.claim is None else sum(moment + ROUNDING <= self.claim for moment in committed)
        if late and self.claim is not None:
            self._slack.late(self.claim - min(committed))
        self._raise_to(committed[-1] - self._slack.now)
        return late

    def empty(self, asked_at: datetime) -> None:
        """A page without records, asked for at this instant of the service's clock, the earliest it may have been."""
        self._empty.append(asked_at)
        needed = self._margin + self._slack.now
        pages = LEAST_EMPTY_PAGES if self._at_the_end else LEAST_EMPTY_PAGES_BEHIND
        while len(self._empty) > pages and asked_at - self._empty[1] >= needed:
            self._empty.popleft()
        if len(self._empty) >= pages and asked_at - self._empty[0] >= needed:
            self._at_the_end = True
            self._raise_to(self._empty[0] - needed)

    def _raise_to(self, claim: datetime) -> None:
        if self.claim is None or claim > self.claim:
            self.claim = claim
            self._slack.claimed()

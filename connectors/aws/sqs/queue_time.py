"""What receiving from a queue proves about time. Pure.

A queue promises no order, so nothing is proven strictly. What is claimed holds as long as

- a message that can be received is handed out within `margin` to whoever keeps asking, and none overtakes another by
  more than that;
- the service's approximate counts are no older than `counts_lag`;
- nobody else receives from the queue without showing in the count of messages in flight;
- a message that cannot be received since one of its group is in flight or parked is newer than that one.

A message that contradicts an earlier claim is counted as late, and less is claimed from then on.
"""

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.aws.slack import Slack

LEAST_EMPTY = 3
"""So many receives in a row must have brought nothing."""

COUNTS_LAG = timedelta(seconds=60)
"""The service brings its counts up to date within about a minute."""

LONGEST_DELAY = timedelta(seconds=900)
"""No message is delayed for longer than this."""

MOST_SLACK = timedelta(minutes=10)
"""The margin grows by no more than this when messages keep coming late."""

FINENESS = timedelta(seconds=1)
"""Moments that lie closer together are remembered as one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages a queue holds, approximately: to be received now, in flight at anybody's, and delayed."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def messages(self) -> int:
        return self.visible + self.in_flight + self.delayed


class QueueTime:
    """Follows one queue with any number of receivers, each named. Instants are by the service's clock, the earliest
    they may have been.

    `claim` is the instant before which every message sent has been handed out, as far as can be known.
    """

    def __init__(
        self, margin: timedelta, *, counts_lag: timedelta = COUNTS_LAG, longest_delay: timedelta = LONGEST_DELAY
    ) -> None:
        self.claimed: datetime | None = None
        self._margin = margin
        self._counts_lag = counts_lag
        self._longest_delay = longest_delay
        self._slack = Slack(MOST_SLACK)
        self._asked: dict[str, datetime | None] = {}
        self._answered: datetime | None = None
        self._reached: datetime | None = None
        self._believed_from: datetime | None = None
        self._empty: list[datetime] = []
        self._run = 0
        self._recent: deque[tuple[datetime, datetime]] = deque()
        self._undelayed: deque[datetime] = deque()
        self._over_through: datetime | None = None
        self._counted: datetime | None = None
        self._own: deque[tuple[datetime, int]] = deque()
        self._foreign = True

    def resume(self, claim: datetime | None) -> None:
        """What was claimed when one of the receivers was last saved: an older message counts as late."""
        if claim is not None and (self.claimed is None or claim < self.claimed) and self._counted is None:
            self.claimed = claim

    def asking(self, by: str) -> None:
        """A receive begins. While it is under way it may already have taken messages that nobody sees."""
        self._asked.setdefault(by, self._reached)

    def unclear(self, by: str, until: datetime) -> None:
        """A receive failed, and may have taken messages all the same; they can be received again from `until`.

        It still counts as under way: it is repeated, or `left`.
        """
        self._doubt(until, self._asked.get(by))

    def left(self, by: str) -> None:
        """A receive ended without an answer, and is not repeated."""
        self._asked.pop(by, None)

    def received(self, by: str, sent: Sequence[datetime], at: datetime, behind: datetime | None = None) -> int:
        """A receive asked for at `at` brought messages; returns how many were sent before what was claimed.

        Messages that are known to come again are left out of `sent`. `behind` is when the oldest message was sent that
        others of its group may have to wait for; None where none does.
        """
        self._answer(by, at)
        self._end_run()
        late = 0 if self.claimed is None else sum(moment < self.claimed for moment in sent)
        if late and self.claimed is not None:
            self._slack.late(self.claimed - min(sent))
        if sent:
            self._show(at, min(sent) if behind is None else min(behind, *sent))
        return late

    def empty(self, by: str, at: datetime, behind: datetime | None = None) -> None:
        """A receive asked for at `at` brought nothing; `behind` as in `received`: whatever waits there is newer."""
        self._answer(by, at)
        if behind is not None:
            self._end_run()
            self._show(at, behind)
        elif self._believed_from is not None and at >= self._believed_from:
            self._run += 1
            insort(self._empty, at)
            self._thin_out()
            self._reach_idle()

    def holding(self, at: datetime, own: int) -> None:
        """So many messages in flight are ours."""
        if self._own and at - self._own[-1][0] < FINENESS:
            at, other = self._own.pop()
            own = max(own, other)
        self._own.append((at, own))
        while self._own[0][0] < at - self._counts_lag - FINENESS:
            self._own.popleft()

    def counted(self, at: datetime, counts: Counts, own: int) -> None:
        """The service's counts, asked for at `at`; `own` messages in flight were ours then.

        What others hold comes back to the queue or is gone, nobody knows when: what was proven before is doubted.
        """
        self._counted = at
        self.holding(at, own)
        foreign, self._foreign = self._foreign, counts.in_flight > max(most for _, most in self._own)
        if foreign and not self._foreign:
            self._doubt(at, self.claimed)
        self._note_delays(at, counts.delayed)
        self._reach_idle()

    def claim(self, unsettled: datetime | None) -> datetime | None:
        """What may be claimed; `unsettled` is when the oldest message was sent that is handed out to others."""
        bounds = [self._reached, self._over_through, *self._asked.values()]
        known = [bound for bound in bounds if bound is not None]
        if self._foreign or len(known) < len(bounds):
            return self.claimed
        claim = min([*known, *([] if unsettled is None else [unsettled])])
        if self.claimed is None or claim > self.claimed:
            self.claimed = claim
            self._slack.claimed()
        return self.claimed

    @property
    def _needed(self) -> timedelta:
        return self._margin + self._slack.now

    def _answer(self, by: str, at: datetime) -> None:
        self._asked.pop(by, None)
        self._answered = at if self._answered is None else max(at, self._answered)

    def _doubt(self, until: datetime, reached: datetime | None) -> None:
        """Until then messages may be hidden that no receive shows; goes back to what had been reached."""
        self._reached = _earlier(self._reached, reached)
        self._end_run()
        self._recent.clear()
        self._believed_from = until if self._believed_from is None else max(self._believed_from, until)

    def _note_delays(self, at: datetime, delayed: int) -> None:
        """Through when every message has ended its delay, and is in hand or shows in the latest counts.

        At a reading without delayed messages none was that had been sent before, as far as the counts had come; what
        was then to be received, somebody has within the margin if anybody asks, and it shows in counts that have come
        as far as that.
        """
        if not delayed and (not self._undelayed or at - self._undelayed[-1] >= FINENESS):
            self._undelayed.append(at)
        seen = min(at - self._counts_lag, self._answered or at - self._longest_delay) - self._needed
        while len(self._undelayed) > 1 and self._undelayed[1] <= seen:
            self._undelayed.popleft()
        through = seen - self._longest_delay
        if self._undelayed and self._undelayed[0] <= seen:
            through = max(through, self._undelayed[0] - self._counts_lag)
        self._over_through = through

    def _reach_idle(self) -> None:
        """A run of empty receives proves its beginning, if counts were read so late that they show what others hold."""
        if self._counted is None or self._run < LEAST_EMPTY:
            return
        latest = min(self._empty[-1] - self._needed, self._counted - self._counts_lag)
        index = bisect_right(self._empty, latest) - 1
        if index >= 0:
            self._reach(self._empty[index] - self._needed)
            del self._empty[:index]

    def _end_run(self) -> None:
        self._empty.clear()
        self._run = 0

    def _thin_out(self) -> None:
        """Keeps the beginning of a run and its end, and in between no more than is needed."""
        if len(self._empty) > 2 and self._empty[-2] - self._empty[-3] < FINENESS:
            del self._empty[-2]

    def _show(self, at: datetime, oldest: datetime) -> None:
        """Nothing that could be received at `at` was older than this, by more than is needed."""
        if self._believed_from is None or at < self._believed_from:
            return
        self._remember(at, oldest)
        if at - self._believed_from >= self._needed:
            self._reach(min(moment for _, moment in self._recent) - self._needed)

    def _remember(self, at: datetime, oldest: datetime) -> None:
        """The oldest message of each moment, as far back as the margin."""
        if self._recent and at - self._recent[-1][0] < FINENESS:
            began, other = self._recent.pop()
            self._recent.append((began, min(oldest, other)))
        else:
            self._recent.append((at, oldest))
        while len(self._recent) > 1 and self._recent[1][0] <= at - self._needed:
            self._recent.popleft()

    def _reach(self, moment: datetime) -> None:
        if self._reached is None or moment > self._reached:
            self._reached = moment


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """None is earlier than everything."""
    return None if one is None or other is None else min(one, other)

"""Keys whose record at the target may be ahead of the stream, because a reconcile read the source's present state.

A change of such a key must not be written as it is: it may be older than what is there. By its commit time it is either
surely contained in what the reconcile read (dropped), surely later (written), or neither (reconciled again). A guard is
over when the watermark has passed it; a change that comes late, and contradicts the watermark, is reconciled all the
same. Pure.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from replicator.model import Change, R

MARGIN = timedelta(seconds=2)
"""One second because commit times are rounded down, one for clocks of the source that disagree."""

EVER = datetime(1, 1, 1, tzinfo=UTC)

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Decision(Enum):
    """What is to be done with a change."""

    WRITE = "write"
    RECONCILE = "reconcile"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Interval:
    """When the source was read, by its own clock: not before `since`, not after `until`."""

    since: datetime
    until: datetime


class Guards:
    """Remembers when keys were reconciled, by the source's clock, until the watermark has passed that.

    `all_until` guards every key without an entry of its own: `NEVER` during a repair. Memory is bounded: beyond `most`
    keys the oldest entries are given up and guard all keys instead.
    """

    def __init__(self, all_until: datetime | None = None, most: int = 100_000) -> None:
        self.all_until = all_until
        self._reconciled: OrderedDict[str, Interval] = OrderedDict()  # a dict is slow to drop its oldest entries
        self._open: Counter[str] = Counter()
        self._most = most
        self._over = EVER

    @property
    def any(self) -> bool:
        """Whether there is any change on time that would not simply be written."""
        return bool(self._reconciled or self._open) or self.all_until is not None

    def decide(self, change: Change[R]) -> Decision:
        """How to treat a change read from the stream."""
        committed = change.committed_at
        if not self.any and (committed is None or committed > self._over):
            return Decision.WRITE
        if change.key in self._open or committed is None:
            return Decision.RECONCILE
        read = self._reconciled.get(change.key)
        if read is not None and committed + MARGIN < read.since:
            return Decision.DROP
        until = read.until if read is not None else self.all_until
        ahead = until is not None and committed <= until + MARGIN
        return Decision.RECONCILE if ahead or committed <= self._over else Decision.WRITE

    def open(self, keys: Iterable[str]) -> None:
        """These keys are about to be reconciled: until they are closed as often, nothing may write them unguarded."""
        self._open.update(keys)

    def close(self, keys: Iterable[str]) -> None:
        """What these keys were opened for is done, and told by `reconciled`."""
        self._open -= Counter(keys)

    def reconciled(self, keys: Iterable[str], read: Interval) -> None:
        """The source was read for these keys, and that is what the target holds."""
        for key in keys:
            self._reconciled.pop(key, None)
            self._reconciled[key] = read
        while len(self._reconciled) > self._most:
            self._guard_all(self._reconciled.popitem(last=False)[1].until)

    def passed(self, watermark: datetime) -> None:
        """Every change committed before `watermark` has been treated: guards up to then are over."""
        if self.all_until is not None and watermark > self.all_until + MARGIN:
            self._end(self.all_until)
            self.all_until = None
        while self._reconciled:
            oldest = next(iter(self._reconciled))
            if watermark <= self._reconciled[oldest].until + MARGIN:
                break
            self._end(self._reconciled.pop(oldest).until)

    def end_repair(self, now: datetime) -> None:
        """No key will be reconciled but for its guard any more: whatever was, was before `now`."""
        self.all_until = now

    def _end(self, until: datetime) -> None:
        self._over = max(self._over, until + MARGIN)

    def _guard_all(self, until: datetime) -> None:
        if self.all_until is None or self.all_until < until:
            self.all_until = until

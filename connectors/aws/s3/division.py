"""A bucket divided into ranges of keys, and where its keys were when these were last listed. Pure.

Ranges hold every key there may ever be, whatever is known: what has changed meanwhile makes them uneven, no more.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from connectors.aws.s3.bucket import MOST_KEYS
from connectors.aws.s3.ranges import KeyRange, cut

MOST_MARKS = 32
"""So many are kept of one range: the next division is uneven by an eighth of it at most."""

Mark = tuple[str, int]
"""A key that was listed, and how many were from the mark before it up to this one."""


class Marks:
    """Those of one range, taken while it is listed."""

    def __init__(self) -> None:
        self.taken: list[Mark] = []
        self._apart = 0

    def add(self, last: str, count: int) -> None:
        """So many more keys were listed, this one last."""
        if self.taken and self.taken[-1][1] + count <= self._apart:
            count += self.taken.pop()[1]
        self.taken.append((last, count))
        if len(self.taken) == MOST_MARKS:
            pairs = zip(self.taken[::2], self.taken[1::2], strict=True)
            self.taken = [(key, fewer + more) for (_, fewer), (key, more) in pairs]
            self._apart = max(together for _, together in self.taken)


class Division:
    """One way to divide a bucket."""

    def __init__(self, bounds: Sequence[str]) -> None:
        self.ranges = cut(bounds)
        self._listed: dict[KeyRange, list[Mark]] = {}

    def listed(self, keys: KeyRange, marks: Marks) -> None:
        """A range was listed from its beginning to its end. Ranges of another division tell nothing."""
        if keys in self.ranges:
            self._listed[keys] = marks.taken

    def evened(self, parts: int) -> "Division | None":
        """At most so many ranges of about as many keys each, no more than there are pages; None before each of these
        was listed.
        """
        if len(self._listed) < len(self.ranges):
            return None
        marks = [mark for keys in self.ranges for mark in self._listed[keys]]
        reached = list(accumulate(count for _, count in marks))
        total = reached[-1] if reached else 0
        parts = min(parts, -(-total // MOST_KEYS))
        ends = [_nearest(reached, total * part / parts) for part in range(1, parts)]
        return Division([marks[end][0] for end in ends if end < len(marks) - 1])


def _nearest(ordered: Sequence[int], wanted: float) -> int:
    """The index of what is closest to this, which is no more than the last."""
    index = bisect_left(ordered, wanted)
    before = index > 0 and wanted - ordered[index - 1] < ordered[index] - wanted
    return index - before

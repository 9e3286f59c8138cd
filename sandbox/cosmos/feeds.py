"""The two logs of a physical partition that change feeds read.

Both are ordered by LSN and found by bisection. The latest-version log holds each live item at its
last LSN; the all-versions log holds a bounded number of past changes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cosmos.items import Item, LogicalPartition

_SLACK = 1_024


class LatestFeed:
    """Live items by their last LSN. Superseded entries are skipped and compacted away in time."""

    def __init__(self) -> None:
        self._lsns = array("Q")
        self._items: list[Item] = []
        self._dead = 0

    def add(self, item: Item) -> None:
        """Append an item just written; its LSN must be the highest so far."""
        self._lsns.append(item.lsn)
        self._items.append(item)

    def supersede(self) -> None:
        """Count one earlier entry as dead: its item was rewritten or deleted."""
        self._dead += 1
        if self._dead > _SLACK and self._dead * 2 > len(self._items):
            self._compact()

    def after(self, lsn: int) -> Iterator[Item]:
        """Live items whose last write came after `lsn`, in order."""
        for index in range(bisect_right(self._lsns, lsn), len(self._lsns)):
            item = self._items[index]
            if item.live and item.lsn == self._lsns[index]:
                yield item

    def _compact(self) -> None:
        pairs = zip(self._lsns, self._items, strict=True)
        self._items = [item for lsn, item in pairs if item.live and item.lsn == lsn]
        self._lsns = array("Q", (item.lsn for item in self._items))
        self._dead = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One create, replace or delete as all-versions mode reports it.

    `current` is None for deletes; `previous` is kept only where previous images are enabled.
    """

    operation: str
    lsn: int
    ts: int
    id: str
    home: LogicalPartition
    current: bytes | None
    previous: bytes | None = None
    previous_lsn: int | None = None
    expired: bool = False


class AllVersionsFeed:
    """The last `retained` changes of a partition, or nothing where the mode is not enabled (0)."""

    def __init__(self, retained: int) -> None:
        self._retained = retained
        self._changes: list[Change] = []
        self._lsns = array("Q")
        self.trimmed_lsn = 0
        """LSN of the last change dropped; a reader that stands before it has lost changes."""

    @property
    def enabled(self) -> bool:
        """Whether the mode can be read at all."""
        return self._retained > 0

    def add(self, change: Change) -> None:
        """Append a change; its LSN must be the highest so far."""
        if not self._retained:
            return
        self._changes.append(change)
        self._lsns.append(change.lsn)
        surplus = len(self._changes) - self._retained
        if surplus > max(self._retained // 4, 1):
            self.trimmed_lsn = self._lsns[surplus - 1]
            del self._changes[:surplus]
            del self._lsns[:surplus]

    def after(self, lsn: int) -> Iterator[Change]:
        """Changes made after `lsn`, in order."""
        for index in range(bisect_right(self._lsns, lsn), len(self._lsns)):
            yield self._changes[index]

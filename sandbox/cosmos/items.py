"""What a container is made of: items, logical partitions, physical partitions."""

from __future__ import annotations

import base64
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.cosmos.feeds import AllVersionsFeed, Change, LatestFeed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cosmos.keys import PartitionKey

_SLACK = 1_024


@dataclass(slots=True, eq=False)
class LogicalPartition:
    """All items of one partition key value; exists while it has any."""

    key: PartitionKey
    partition: Partition
    items: dict[str, Item] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Item:
    """One stored item. `body` is its whole JSON, system properties included.

    The object stays the same over rewrites. `number` orders items by creation and makes the `_rid`;
    `ttl_s` is the item's own time to live, None when the container's default counts.
    """

    id: str
    home: LogicalPartition
    number: int
    body: bytes
    lsn: int
    ts: int
    ttl_s: int | None
    live: bool = True


@dataclass(frozen=True, slots=True)
class Write:
    """A write that passed every check and waits for its commit; `body` None deletes."""

    id: str
    lsn: int
    ts: int
    body: bytes | None
    number: int
    ttl_s: int | None


class Partition:
    """One physical partition: a slice of the hash space with its own LSN and change feeds."""

    def __init__(self, index: int, low: str, high: str, *, tag: str, rid: bytes, retained: int) -> None:
        self.index = index
        self.id = str(index)
        self.low = low
        self.high = high
        self.lsn = 0
        self.latest = LatestFeed()
        self.versions = AllVersionsFeed(retained)
        self._tag = f"{tag}-{index:04x}"
        self._rid = rid
        self._scan: list[Item] = []
        self._dead = 0
        self.created = 0

    @property
    def session_token(self) -> str:
        """The token the service would answer with: partition, version, LSN."""
        return f"{self.id}:-1#{self.lsn}"

    def etag(self, lsn: int) -> str:
        """The ETag, with its quotes, of what was written at `lsn`."""
        return f'"{self._tag}-0000-{lsn >> 48:04x}-{lsn & 0xFFFFFFFFFFFF:012x}"'

    def rid(self, number: int) -> str:
        """The `_rid` of the item with this creation number."""
        own = (self.index << 48 | number).to_bytes(8, "big")
        return base64.b64encode(self._rid + own, b"+-").decode()

    def insert(self, item: Item) -> None:
        """Take a new item in."""
        self._scan.append(item)
        self.latest.add(item)

    def rewrite(self, item: Item) -> None:
        """Note that an item has a new body and LSN."""
        self.latest.add(item)
        self.latest.supersede()

    def remove(self, item: Item) -> None:
        """Take an item out."""
        item.live = False
        self.latest.supersede()
        self._dead += 1
        if self._dead > _SLACK and self._dead * 2 > len(self._scan):
            self._scan = [kept for kept in self._scan if kept.live]
            self._dead = 0

    def scan(self, after: int = 0) -> Iterator[Item]:
        """Live items in the order of their creation, beginning after creation number `after`.

        The order does not change when items are rewritten, so that paging sees each one once.
        """
        scan = self._scan
        for index in range(bisect_right(scan, after, key=_number), len(scan)):
            if scan[index].live:
                yield scan[index]

    def count(self) -> int:
        """How many items are live."""
        return len(self._scan) - self._dead

    def record(self, change: Change) -> None:
        """Hand a change to the all-versions feed."""
        self.versions.add(change)


def _number(item: Item) -> int:
    return item.number

"""A container: its settings and its items, spread over physical partitions."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from typing import TYPE_CHECKING

from sandbox.cosmos import keys
from sandbox.cosmos.budget import Budget
from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.expiry import ExpiryQueue, valid_ttl
from sandbox.cosmos.feeds import Change
from sandbox.cosmos.items import Item, LogicalPartition, Partition, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.clock import Clock
    from sandbox.cosmos.keys import PartitionKey
    from sandbox.cosmos.wire import JsonObject


class Container:
    """Holds items and commits writes that were checked before; enforces expiry.

    `previous_images` and `retained` (changes per partition, 0 for none) set what all-versions mode
    can tell. Not safe for threads: everything happens on the server's event loop.
    """

    def __init__(
        self,
        properties: JsonObject,
        rid: bytes,
        self_link: str,
        *,
        clock: Clock,
        partitions: int,
        retained: int,
        previous_images: bool,
    ) -> None:
        self.properties = properties
        self.definition = keys.define(properties.get("partitionKey"))
        self.default_ttl_s = valid_ttl(properties.get("defaultTtl"), "defaultTtl")
        self.rid = rid
        self.self_link = self_link
        self.budget = Budget(clock)
        self.watchers: list[Callable[[Change], None]] = []
        """Told of each change the moment it is committed; tests watch what an application could ever see."""
        self._clock = clock
        self._previous_images = previous_images
        self._logical: dict[str, LogicalPartition] = {}
        self._expiry = ExpiryQueue()
        self._lows = keys.boundaries(partitions)
        tag = secrets.token_hex(4)
        highs = [*self._lows[1:], "FF"]
        self.partitions = [
            Partition(index, low, high, tag=tag, rid=rid, retained=retained)
            for index, (low, high) in enumerate(zip(self._lows, highs, strict=True))
        ]

    def partition_of(self, key: PartitionKey) -> Partition:
        """The physical partition a complete key belongs to."""
        home = self._logical.get(key.text)
        return home.partition if home else self.partitions[bisect_right(self._lows, key.epk) - 1]

    def partition_by_id(self, range_id: str) -> Partition | None:
        """The physical partition with this partition key range id."""
        found = range_id.isdecimal() and int(range_id) < len(self.partitions)
        return self.partitions[int(range_id)] if found else None

    def logical(self, key: PartitionKey) -> LogicalPartition | None:
        """The logical partition of a key, if it has items."""
        return self._logical.get(key.text)

    def expire(self) -> int:
        """Delete what is past its time; called before every operation. Returns the present second."""
        now_s = self._clock.now()
        for item in self._expiry.due(now_s):
            partition = item.home.partition
            write = Write(item.id, partition.lsn + 1, int(now_s), None, item.number, None)
            self.commit(item.home.key, [write], expired=True)
        return int(now_s)

    def commit(self, key: PartitionKey, writes: list[Write], *, expired: bool = False) -> None:
        """Apply checked writes of one logical partition, in order, at the LSNs they name."""
        home = self._logical.get(key.text)
        if home is None:
            home = self._logical[key.text] = LogicalPartition(key, self.partition_of(key))
        for write in writes:
            home.partition.lsn = write.lsn
            item = home.items.get(write.id)
            self._record(home, write, item, expired=expired)
            if write.body is None:
                self._delete(home, item)
            else:
                self._put(home, item, write, write.body)
        if not home.items:
            del self._logical[key.text]

    def replace(self, properties: JsonObject) -> None:
        """Take new settings over; the partition key must stay (400), the default TTL may change."""
        if properties.get("partitionKey") != self.properties["partitionKey"]:
            raise bad_request("The partition key of a container cannot be changed.")
        self.default_ttl_s = valid_ttl(properties.get("defaultTtl"), "defaultTtl")
        self.properties = properties
        self._expiry.rebuild(self.items(), self.default_ttl_s)

    def items(self) -> Iterator[Item]:
        """All live items."""
        for partition in self.partitions:
            yield from partition.scan()

    def system_properties(self, partition: Partition, number: int, lsn: int, ts: int) -> bytes:
        """The members the service adds at the end of an item, with the brace that closes it."""
        rid = partition.rid(number)
        etag = partition.etag(lsn).replace('"', '\\"')
        return (
            f',"_rid":"{rid}","_self":"{self.self_link}docs/{rid}/","_etag":"{etag}"'
            f',"_attachments":"attachments/","_ts":{ts}}}'
        ).encode()

    def _put(self, home: LogicalPartition, item: Item | None, write: Write, body: bytes) -> None:
        partition = home.partition
        if item is None:
            item = Item(write.id, home, write.number, body, write.lsn, write.ts, write.ttl_s)
            home.items[write.id] = item
            partition.created = max(partition.created, write.number)
            partition.insert(item)
        else:
            item.body, item.lsn, item.ts, item.ttl_s = body, write.lsn, write.ts, write.ttl_s
            partition.rewrite(item)
        self._expiry.watch(item, self.default_ttl_s)

    @staticmethod
    def _delete(home: LogicalPartition, item: Item | None) -> None:
        if item is not None:
            del home.items[item.id]
            home.partition.remove(item)

    def _record(self, home: LogicalPartition, write: Write, item: Item | None, *, expired: bool) -> None:
        operation = "delete" if write.body is None else "replace" if item else "create"
        change = Change(
            operation,
            write.lsn,
            write.ts,
            write.id,
            home,
            write.body,
            previous=item.body if item and self._previous_images else None,
            previous_lsn=item.lsn if item else None,
            expired=expired,
        )
        home.partition.record(change)
        for watcher in self.watchers:
            watcher(change)

    def named_key(self, key: PartitionKey) -> JsonObject:
        """The partition key as all-versions mode prints it for a delete: by property name."""
        return {path[-1]: value for path, value in zip(self.definition.paths, key.values, strict=True)}

"""Which items a query or a feed is about: a logical partition, a physical one, a range, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.keys import PartitionKey, parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.cosmos.container import Container
    from sandbox.cosmos.items import Item, LogicalPartition, Partition

PARTITION_KEY = "x-ms-documentdb-partitionkey"
RANGE_ID = "x-ms-documentdb-partitionkeyrangeid"
START_EPK = "x-ms-start-epk"
END_EPK = "x-ms-end-epk"
RANGE_GONE = 1002


@dataclass(frozen=True, slots=True)
class Scope:
    """Physical partitions, narrowed to one complete key, or to hashes from `low` up to `high`."""

    container: Container
    partitions: tuple[Partition, ...]
    key: PartitionKey | None = None
    low: str | None = None
    high: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every item of the partitions is meant."""
        return self.key is None and self.low is None

    @property
    def single(self) -> bool:
        """Whether it was asked for by key or by range, so that no plan is needed to merge results."""
        return len(self.partitions) == 1

    def includes(self, home: LogicalPartition) -> bool:
        """Whether a logical partition lies inside."""
        if self.key is not None:
            return home.key.text == self.key.text
        return self.low is None or self.high is None or self.low <= home.key.epk < self.high

    def scan(self, partition: Partition, after: int = 0) -> Iterator[Item]:
        """Items inside, of one of the partitions, by creation number."""
        if self.key is not None:
            home = self.container.logical(self.key)
            items = sorted(home.items.values(), key=lambda item: item.number) if home else []
            return (item for item in items if item.number > after)
        scanned = partition.scan(after)
        return scanned if self.whole else (item for item in scanned if self.includes(item.home))


def scope_of(container: Container, headers: Mapping[str, str]) -> Scope:
    """Read the scope from the headers of a request.

    Raises CosmosError 410 with sub status 1002 for a partition key range that does not exist.
    """
    low, high = headers.get(START_EPK), headers.get(END_EPK)
    key_text = headers.get(PARTITION_KEY)
    range_id = headers.get(RANGE_ID)
    if key_text is not None:
        return _scope_of_key(container, parse_header(key_text))
    if range_id is not None:
        partition = container.partition_by_id(range_id)
        if partition is None:
            raise CosmosError(410, f"There is no partition key range {range_id}.", substatus=RANGE_GONE)
        return Scope(container, (partition,), None, low, high)
    return Scope(container, _overlapping(container, low, high), None, low, high)


def _scope_of_key(container: Container, key: PartitionKey) -> Scope:
    if len(key.values) == len(container.definition.paths):
        return Scope(container, (container.partition_of(key),), key)
    low, high = key.epk, key.epk + "FF"
    return Scope(container, _overlapping(container, low, high), None, low, high)


def _overlapping(container: Container, low: str | None, high: str | None) -> tuple[Partition, ...]:
    if low is None or high is None:
        return tuple(container.partitions)
    return tuple(part for part in container.partitions if part.low < high and low < part.high)

"""The copy of a table: parallel scan segments, resumable by the last key read.

This is one way to read a whole table; `CopyReader` is the seam for others (a point-in-time export in S3, which costs
the table nothing): whatever lists bounded partitions and reads them as rows.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from connectors.aws.calls import Caller
from connectors.aws.dynamodb.attributes import read_item
from connectors.aws.dynamodb.records import TableShape, row_change, wire_key
from connectors.aws.dynamodb.sdk import TableClient
from replicator.documents import Document, key_text
from replicator.model import Batch, Partition, Resume


class CopyReader(Protocol):
    """A way to read every row of a table once, in bounded partitions. Rows may be old: they are only created."""

    def partitions(self) -> tuple[Partition, ...]:
        """The partitions that together hold every row."""

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        """The rows of one partition after `resume.position`."""


class SegmentScan:
    """Parallel scan, within the read budget."""

    def __init__(
        self, caller: Caller, client: TableClient, table: str, shape: TableShape, *, segments: int, consistent: bool
    ) -> None:
        self._caller = caller
        self._client = client
        self._table = table
        self._shape = shape
        self._segments = segments
        self._consistent = consistent

    def partitions(self) -> tuple[Partition, ...]:
        """The number of segments is part of the ids: it must not change within a copy."""
        return tuple(Partition(f"segment-{i}-of-{self._segments}", bounded=True) for i in range(self._segments))

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        """One batch a page."""
        _, segment, _, segments = partition.id.split("-")
        position = resume.position
        while True:
            start = {"ExclusiveStartKey": wire_key(position)} if position else {}
            answer = await self._caller.paid(
                self._client.scan,
                TableName=self._table,
                Segment=int(segment),
                TotalSegments=int(segments),
                ConsistentRead=self._consistent,
                **start,
            )
            last = answer.get("LastEvaluatedKey")
            position = key_text(read_item(last)) if last else None
            now = self._caller.clock.latest()
            rows = tuple(row_change(item, self._shape, now) for item in answer["Items"])
            yield Batch(changes=rows, position=position, read=len(rows))
            if position is None:
                return

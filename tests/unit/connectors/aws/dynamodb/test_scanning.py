"""The copy by scan: every row once, resumed anywhere, within a budget that gives way."""

import random

import anyio
import pytest

from connectors.aws.budget import RECOVERY_S, YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.dynamodb.records import TableShape
from connectors.aws.dynamodb.scanning import SegmentScan
from fakes.follower import telemetry
from fakes.records import key_of
from fakes.streams import KEY_NAME, TABLE_NAME, StreamedTable, StreamsClient, client_error
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.documents import Document
from replicator.model import Batch, Operation, Partition, Resume

ROWS = 40


class Bench:
    """A table with rows, and a scan of it."""

    def __init__(self, *, segments: int = 3, page_units: float = 0.0, per_s: float = 100.0) -> None:
        self.table = StreamedTable(random.Random(0))
        for number in range(ROWS):
            self.table.put(f"n{number:02d}")
        self.client = TableClient(self.table, page_units=page_units)
        self.budget = YieldingBudget(per_s)
        self.caller = Caller("source", telemetry(), self.budget)
        self.scan = SegmentScan(
            self.caller, self.client, TABLE_NAME, TableShape((KEY_NAME,)), segments=segments, consistent=False
        )

    async def connected(self) -> "Bench":
        await self.caller.call(self.client.describe_table, TableName=TABLE_NAME)
        return self

    async def read(self, partition: Partition, position: str | None = None) -> list[Batch[Document]]:
        return [batch async for batch in self.scan.read(partition, Resume(position))]


def keys(batches: list[Batch[Document]]) -> list[str]:
    return [change.key for batch in batches for change in batch.changes]


@pytest.mark.parametrize("segments", [1, 3, 60])
def test_the_segments_together_hold_every_row_once(segments: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = await Bench(segments=segments).connected()
        partitions = bench.scan.partitions()
        assert len(partitions) == segments
        assert all(p.bounded for p in partitions)
        batches = [batch for partition in partitions for batch in await bench.read(partition)]
        assert sorted(keys(batches)) == [key_of(f"n{number:02d}") for number in range(ROWS)]
        assert sum(b.read for b in batches) == ROWS
        changes = [change for batch in batches for change in batch.changes]
        assert {(c.operation, c.version, c.committed_at) for c in changes} == {(Operation.UPSERT, "", None)}

    run()


@in_virtual_time
async def test_a_segment_is_resumed_after_any_page() -> None:
    bench = await Bench(segments=1).connected()
    (partition,) = bench.scan.partitions()
    batches = await bench.read(partition)
    assert batches[-1].position is None
    for index, batch in enumerate(batches[:-1]):
        assert batch.position is not None
        assert keys(await bench.read(partition, batch.position)) == keys(batches[index + 1 :])


@in_virtual_time
async def test_reading_waits_until_what_it_cost_is_paid() -> None:
    bench = await Bench(segments=1, page_units=25.0, per_s=10.0).connected()
    began = elapsed_s()
    batches = await bench.read(bench.scan.partitions()[0])
    assert elapsed_s() - began == pytest.approx((len(batches) - 1) * 2.5, rel=0.2)


@in_virtual_time
async def test_throttling_halves_the_rate_and_time_wins_it_back() -> None:
    bench = await Bench(segments=1, page_units=0.1).connected()
    throttles = iter([True, True, False])
    throttled = client_error("scan", "ProvisionedThroughputExceededException")
    bench.client.fault = lambda _: throttled if next(throttles, False) else None
    (partition,) = bench.scan.partitions()
    reading = bench.scan.read(partition, Resume())
    await anext(reading)
    assert bench.budget.per_s == pytest.approx(50.0, abs=1), "two refusals within a second count once"
    await anyio.sleep(30)
    await bench.read(partition)
    assert bench.budget.per_s == pytest.approx(85, abs=10)
    await anyio.sleep(RECOVERY_S)
    await bench.read(partition)
    assert bench.budget.per_s == bench.budget.limit_per_s == 100.0
    await reading.aclose()


@in_virtual_time
async def test_a_rate_below_one_unit_is_never_raised_by_throttling() -> None:
    bench = await Bench(segments=1, per_s=0.5).connected()
    bench.budget.give_way()
    assert bench.budget.per_s == 0.5


@in_virtual_time
async def test_a_throttled_stream_does_not_slow_the_copy_down() -> None:
    """Reading a shard five times a second is its limit and says nothing about the table's capacity."""
    bench = await Bench().connected()
    streams = StreamsClient(bench.table)
    throttles = iter([True] * 6)
    throttled = client_error("get_records", "LimitExceededException")
    streams.fault = lambda _: throttled if next(throttles, False) else None
    await bench.caller.call(streams.describe_stream, StreamArn="")
    assert bench.budget.per_s == 100.0

"""One shard: resumed, replayed exactly, read through expired iterators, and never skipped in silence."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.dynamodb.reading import ShardReader
from connectors.aws.dynamodb.records import TableShape
from connectors.aws.dynamodb.shards import ShardListing, partition_id
from connectors.aws.errors import AwsRefusal
from fakes.follower import telemetry
from fakes.records import number_in
from fakes.streams import (
    ITERATOR_LIFE_S,
    KEY_NAME,
    MOST_EMPTY_PAGES,
    RETENTION_S,
    STREAM_ARN,
    StreamedTable,
    StreamsClient,
    client_error,
)
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.errors import PositionLostError
from replicator.model import Batch, Partition, Resume

SHARD = "shardId-00000"
PARTITION = Partition(partition_id(STREAM_ARN, SHARD), bounded=False, log=STREAM_ARN)
HOUR_S = 3600.0


class Bench:
    """One shard, its stream, and readers of it."""

    def __init__(self, seed: int = 0, *, page: int = 6) -> None:
        self.table = StreamedTable(random.Random(seed))
        self.streams = StreamsClient(self.table, page=page)
        self.caller = Caller("source", telemetry(), YieldingBudget(1.0))

    async def connected(self) -> "Bench":
        """With the service's clock known, as it is once a source has connected."""
        await self.caller.call(self.streams.describe_stream, StreamArn=STREAM_ARN)
        return self

    def reader(self, resume: Resume) -> ShardReader:
        return ShardReader(
            self.caller,
            self.streams,
            ShardListing(self.caller, self.streams, STREAM_ARN),
            PARTITION,
            resume,
            TableShape((KEY_NAME,)),
            margin=timedelta(seconds=3),
            poll_interval_s=0.25,
        )

    async def read(self, resume: Resume, most: int = 1000) -> list[Batch[Document]]:
        """To the shard's end, or so many pages, pausing as asked."""
        batches: list[Batch[Document]] = []
        async for batch in self.reader(resume).batches():
            batches.append(batch)
            if len(batches) == most:
                break
            await anyio.sleep(batch.pause_s)
        return batches

    def instant(self, ago_s: float = 0.0) -> datetime:
        """By the service's clock."""
        return datetime.fromtimestamp(self.table.now() - ago_s, UTC)

    async def fill(self, count: int = 20, pause_s: float = 1.0) -> list[str]:
        """Puts so many items; returns their sequence numbers."""
        sequences: list[str] = []
        for number in range(count):
            sequences.append(self.table.put(f"n{number}").sequence)
            await anyio.sleep(pause_s)
        return sequences


def versions(batches: Sequence[Batch[Document]]) -> list[str]:
    """The sequence numbers of all changes, in order."""
    return [change.version for batch in batches for change in batch.changes]


def failing_at(pattern: dict[str, dict[int, Exception]]) -> Callable[[str], Exception | None]:
    """Fails the nth call (from 1) of an operation."""
    counts = dict.fromkeys(pattern, 0)

    def fault(operation: str) -> Exception | None:
        if operation not in pattern:
            return None
        counts[operation] += 1
        return pattern[operation].get(counts[operation])

    return fault


@in_virtual_time
async def test_a_shard_is_read_from_its_beginning_to_its_end() -> None:
    bench = await Bench().connected()
    sequences = await bench.fill()
    bench.table.close(SHARD)
    batches = await bench.read(Resume())
    assert versions(batches) == sequences
    assert [b.position for b in batches if b.changes][-1] == sequences[-1]
    assert sum(b.read for b in batches) == len(sequences)
    assert [number_in(c.record) for b in batches for c in b.changes] == list(range(1, 21))


@pytest.mark.parametrize("seed", range(5))
def test_reading_resumes_after_any_position(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = await Bench(seed).connected()
        sequences = await bench.fill()
        bench.table.close(SHARD)
        for index, position in enumerate(sequences):
            assert versions(await bench.read(Resume(position))) == sequences[index + 1 :]

    run()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("closed", [True, False])
def test_a_replay_ends_exactly_at_its_end(seed: int, closed: bool) -> None:
    """Wherever the pages are cut, and whether the shard has ended meanwhile or not."""

    @in_virtual_time
    async def run() -> None:
        bench = await Bench(seed).connected()
        sequences = await bench.fill()
        if closed:
            bench.table.close(SHARD)
        for start in (0, 5, 12):
            for end in range(start, len(sequences)):
                resume = Resume(sequences[start - 1] if start else None, until=sequences[end])
                assert versions(await bench.read(resume)) == sequences[start : end + 1]

    run()


@in_virtual_time
async def test_a_replay_whose_end_was_trimmed_hands_out_nothing_beyond_it() -> None:
    """What lies between was covered, or else the position would have been refused."""
    bench = await Bench().connected()
    early = await bench.fill(4)
    await anyio.sleep(RETENTION_S)
    await bench.fill(3)
    resume = Resume(early[0], replicated_through=bench.instant(HOUR_S), until=early[2])
    batches = await bench.read(resume)
    assert versions(batches) == []
    assert len(batches) <= 1 + MOST_EMPTY_PAGES, "it ends there"


@in_virtual_time
async def test_what_the_copy_surely_holds_is_skipped_but_read() -> None:
    bench = await Bench().connected()
    sequences = await bench.fill(10)
    skip_before = datetime.fromtimestamp(int(bench.table.log[4].at), UTC)
    bench.table.close(SHARD)
    batches = await bench.read(Resume(skip_before=skip_before))
    assert versions(batches) == sequences[4:]
    assert sum(b.read for b in batches) == 10


@in_virtual_time
async def test_a_batch_of_skipped_records_still_moves_the_position() -> None:
    bench = await Bench().connected()
    sequences = await bench.fill(1)
    bench.table.close(SHARD)
    batches = await bench.read(Resume(skip_before=bench.instant(-60)))
    assert versions(batches) == []
    assert batches[-1].position == sequences[-1]


@pytest.mark.parametrize("nth", range(1, 12))
def test_an_iterator_may_expire_anywhere(nth: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = await Bench(nth).connected()
        sequences = await bench.fill()
        bench.table.close(SHARD)
        expired = client_error("get_records", "ExpiredIteratorException")
        bench.streams.fault = failing_at({"get_records": {nth: expired, nth + 1: expired}})
        assert versions(await bench.read(Resume())) == sequences

    run()


@in_virtual_time
async def test_iterators_expire_while_the_engine_is_busy() -> None:
    bench = await Bench(page=4).connected()
    sequences = await bench.fill()
    bench.table.close(SHARD)
    seen: list[str] = []
    async for batch in bench.reader(Resume()).batches():
        seen += versions([batch])
        await anyio.sleep(ITERATOR_LIFE_S + 1)
    assert seen == sequences


@in_virtual_time
async def test_a_refused_read_proves_nothing_about_time() -> None:
    """Only pages that were really empty may move the claim of an idle shard."""
    bench = await Bench().connected()
    bench.table.put("n0")
    expired = client_error("get_records", "ExpiredIteratorException")
    bench.streams.fault = failing_at({"get_records": dict.fromkeys(range(1, 40), expired)})
    claims = [b.replicated_through for b in await bench.read(Resume(), most=1)]
    assert bench.streams.calls["get_records"] > 39, "not before a page was read"
    assert claims[0] is None or claims[0] <= datetime.fromtimestamp(int(bench.table.log[0].at), UTC)


@in_virtual_time
async def test_throttles_and_failures_are_repeated() -> None:
    bench = await Bench().connected()
    sequences = await bench.fill()
    bench.table.close(SHARD)
    rng = random.Random(1)

    def fault(operation: str) -> Exception | None:
        errors = [
            client_error(operation, "ProvisionedThroughputExceededException"),
            client_error(operation, "InternalServerError", status=500),
            ConnectionResetError(),
            TimeoutError(),
        ]
        return rng.choice(errors) if rng.random() < 0.5 else None

    bench.streams.fault = fault
    assert versions(await bench.read(Resume())) == sequences


@in_virtual_time
async def test_an_idle_shard_tells_the_time_and_asks_for_a_pause() -> None:
    bench = await Bench().connected()
    batches = await bench.read(Resume(), most=60)
    assert {b.pause_s for b in batches} == {0.25}
    assert batches[-1].replicated_through is not None
    lag_s = (bench.instant() - batches[-1].replicated_through).total_seconds()
    assert 6 <= lag_s < 8


@in_virtual_time
async def test_full_pages_are_read_on_without_a_pause() -> None:
    bench = await Bench(page=1000).connected()
    await bench.fill(800, pause_s=0.0)
    bench.table.close(SHARD)
    batches = await bench.read(Resume())
    assert {b.pause_s for b in batches if b.read >= 100} == {0.0}
    assert {b.pause_s for b in batches if b.read < 100} == {0.25}


@in_virtual_time
async def test_records_that_contradict_a_claim_are_counted_and_handed_out() -> None:
    bench = await Bench().connected()
    await bench.fill(5)
    bench.table.close(SHARD)
    batches = await bench.read(Resume(replicated_through=bench.instant()))
    assert sum(b.late for b in batches) >= 3
    assert len(versions(batches)) == 5


class TestGaps:
    """What is gone is either covered by what was replicated, or loses the position by name."""

    @in_virtual_time
    async def test_a_trimmed_position_is_fine_when_all_older_changes_are_replicated(self) -> None:
        bench = await Bench().connected()
        old = await bench.fill(3)
        await anyio.sleep(RETENTION_S)
        new = await bench.fill(3)
        bench.table.close(SHARD)
        resume = Resume(old[-1], replicated_through=bench.instant(HOUR_S))
        assert versions(await bench.read(resume)) == new

    @in_virtual_time
    async def test_a_trimmed_position_is_lost_otherwise(self) -> None:
        bench = await Bench().connected()
        old = await bench.fill(3)
        replicated = bench.instant()
        await anyio.sleep(RETENTION_S + HOUR_S)
        with pytest.raises(PositionLostError) as lost:
            await bench.read(Resume(old[-1], replicated_through=replicated))
        assert f"{replicated:%Y-%m-%d %H:%M:%S} UTC" in str(lost.value), "the gap begins here"
        assert f"{bench.instant(RETENTION_S - 300):%Y-%m-%d %H:%M}" in str(lost.value), "and ends here"
        assert "--adopt" in str(lost.value)
        assert SHARD in str(lost.value)

    @in_virtual_time
    async def test_records_trimmed_while_they_are_read_are_lost(self) -> None:
        """The engine is held up for a day in the middle of a shard."""
        bench = await Bench(page=1).connected()
        await bench.fill(5)
        batches = bench.reader(Resume(replicated_through=bench.instant(HOUR_S))).batches()
        await anext(batches)
        await anyio.sleep(RETENTION_S + HOUR_S)
        with pytest.raises(PositionLostError):
            await anext(batches)

    @in_virtual_time
    async def test_a_vanished_shard_is_over_when_all_of_it_is_replicated(self) -> None:
        bench = await Bench().connected()
        old = await bench.fill(3)
        bench.table.close(SHARD)
        await anyio.sleep(RETENTION_S + 1)
        for position in (old[-1], None):
            assert versions(await bench.read(Resume(position, replicated_through=bench.instant(HOUR_S)))) == []

    @in_virtual_time
    async def test_a_vanished_shard_is_lost_otherwise(self) -> None:
        bench = await Bench().connected()
        old = await bench.fill(3)
        replicated = bench.instant()
        bench.table.close(SHARD)
        await anyio.sleep(RETENTION_S + HOUR_S)
        for position in (old[0], None):
            with pytest.raises(PositionLostError, match=f"{replicated:%H:%M:%S}"):
                await bench.read(Resume(position, replicated_through=replicated))

    @in_virtual_time
    async def test_a_fresh_shard_read_too_late_is_lost(self) -> None:
        """Reading would begin at the horizon without a word, behind records nobody has seen."""
        bench = await Bench().connected()
        await bench.fill(3)
        inherited = bench.instant()
        await anyio.sleep(RETENTION_S + HOUR_S)
        await bench.fill(3)
        with pytest.raises(PositionLostError, match=f"not read in time.*{inherited:%H:%M:%S} UTC and"):
            await bench.read(Resume(replicated_through=inherited))

    @in_virtual_time
    async def test_what_the_copy_holds_cannot_be_lost(self) -> None:
        """At the first start the oldest records are a day old, prove only that, and are trimmed while they are read."""
        bench = await Bench(page=1).connected()
        bench.table.put("n0")
        await anyio.sleep(1)
        bench.table.put("n1")
        await anyio.sleep(RETENTION_S - 20)
        recent = bench.table.put("n2").sequence
        copied = bench.instant(60)
        seen: list[str] = []
        with anyio.move_on_after(600):
            async for batch in bench.reader(Resume(skip_before=copied)).batches():
                seen += versions([batch])
                await anyio.sleep(60)
        assert seen == [recent]

    @in_virtual_time
    async def test_a_child_of_what_the_copy_holds_cannot_be_lost(self) -> None:
        """Its parents were closed a day ago, so what it inherits from them is as old."""
        bench = await Bench().connected()
        bench.table.close(SHARD)
        resume = Resume(replicated_through=bench.instant(RETENTION_S - 60), skip_before=bench.instant(60))
        assert versions(await bench.read(resume)) == []

    @in_virtual_time
    async def test_another_refusal_is_not_swallowed(self) -> None:
        bench = await Bench().connected()
        await bench.fill(2)
        for operation in ("get_records", "get_shard_iterator"):
            refused = client_error(operation, "ValidationException")
            bench.streams.fault = failing_at({operation: {1: refused}})
            with pytest.raises(AwsRefusal, match="ValidationException"):
                await bench.read(Resume(), most=3)


def test_positions_stay_text_and_are_compared_as_numbers() -> None:
    """Sequence numbers differ in length and may begin with zeros; the fake's do both."""

    @in_virtual_time
    async def run() -> None:
        bench = await Bench(3, page=3).connected()
        sequences = await bench.fill(30)
        assert sequences != sorted(sequences)
        assert any(s.startswith("0") for s in sequences)
        bench.table.close(SHARD)
        assert versions(await bench.read(Resume(sequences[2], until=sequences[20]))) == sequences[3:21]

    run()


@pytest.mark.parametrize("operation", ["get_shard_iterator", "get_records"])
def test_a_shard_that_is_neither_known_nor_listed_for_a_moment_is_asked_for_again(operation: str) -> None:
    """Both answers may come from a replica that lags behind; taken for its end, all it still gets would be lost."""

    @in_virtual_time
    async def run() -> None:
        bench = await Bench().connected()
        recent = bench.instant(60)
        await bench.fill(5)
        bench.table.hide(2, SHARD)
        bench.table.hide(3, SHARD)
        denied = client_error(operation, "ResourceNotFoundException")
        bench.streams.fault = failing_at({operation: {1: denied, 2: denied}})
        batches = await bench.read(Resume(skip_before=recent), most=200)
        assert bench.streams.runs == 3, "the listing was asked both times"
        assert len(versions(batches)) == 5

    run()


@in_virtual_time
async def test_denials_that_have_proved_wrong_do_not_add_up() -> None:
    bench = await Bench().connected()
    recent = bench.instant(60)
    await bench.fill(5)
    denied = client_error("get_records", "ResourceNotFoundException")
    bench.streams.fault = failing_at({"get_records": dict.fromkeys((1, 3, 5), denied)})
    for run in (2, 3, 4):
        bench.table.hide(run, SHARD)
    batches = await bench.read(Resume(skip_before=recent), most=200)
    assert bench.streams.runs == 4, "the listing was asked each time"
    assert len(versions(batches)) == 5


@in_virtual_time
async def test_a_shard_whose_whole_stream_is_denied_is_left_to_whoever_lists_the_streams() -> None:
    """They say whether the table is gone or its stream was turned off."""
    bench = await Bench().connected()
    await bench.fill(5)
    recent = bench.instant(60)
    bench.streams.fault = lambda called: client_error(called, "ResourceNotFoundException")
    with anyio.move_on_after(HOUR_S) as waited:
        await bench.read(Resume(skip_before=recent))
    assert waited.cancelled_caught


@in_virtual_time
async def test_a_shard_that_is_denied_but_listed_is_asked_for_again() -> None:
    """One wrong answer must not end a shard with everything in it unread."""
    bench = await Bench().connected()
    for number in range(10):
        bench.table.put(f"n{number}")
    denials = iter([client_error("get_shard_iterator", "ResourceNotFoundException")])
    bench.streams.fault = lambda called: next(denials, None) if called == "get_shard_iterator" else None
    recent = datetime.fromtimestamp(bench.table.now(), UTC)
    batches = await bench.read(Resume(skip_before=recent - timedelta(minutes=1)), most=200)
    assert sum(batch.read for batch in batches) == 10

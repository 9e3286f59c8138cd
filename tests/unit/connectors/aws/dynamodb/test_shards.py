"""The listing of a stream's shards: complete, whatever its pages look like."""

import random

import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.dynamodb.shards import ShardListing, partition_id, shard_id
from fakes.follower import telemetry
from fakes.streams import LABEL, RETENTION_S, STREAM_ARN, StreamedTable, StreamsClient, client_error
from fakes.virtual import in_virtual_time
from replicator.model import Partition

ROOT = "shardId-00000"


class Bench:
    """A stream, and its listing."""

    def __init__(self, seed: int = 0, *, shards: int = 1, shards_per_page: int = 2) -> None:
        self.table = StreamedTable(random.Random(seed), shards=shards)
        self.client = StreamsClient(self.table, shards_per_page=shards_per_page)
        self.listing = ShardListing(Caller("source", telemetry(), YieldingBudget(1.0)), self.client, STREAM_ARN)

    async def partitions(self) -> dict[str, Partition]:
        found = await self.listing.partitions()
        assert len({p.id for p in found}) == len(found), "each once"
        return {shard_id(p): p for p in found}

    def rank(self, *ids: str) -> None:
        """Listings come in this order."""
        for rank, id_ in enumerate(ids):
            self.table.shards[id_].rank = rank / 100


@pytest.mark.parametrize("shards_per_page", [1, 2, 7, 100])
@pytest.mark.parametrize("shards", [1, 6, 23])
def test_every_shard_is_listed_once_whatever_the_pages(shards: int, shards_per_page: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = Bench(shards=shards, shards_per_page=shards_per_page)
        assert set(await bench.partitions()) == set(bench.table.shards)
        assert bench.client.calls["describe_stream"] == -(-shards // shards_per_page)

    run()


@in_virtual_time
async def test_partitions_carry_the_streams_label_their_parent_and_their_log() -> None:
    bench = Bench()
    left, right = bench.table.split(ROOT)
    found = await bench.partitions()
    parent = f"{LABEL}/{ROOT}"
    assert found[ROOT] == Partition(parent, bounded=False, parents=(), log=STREAM_ARN)
    for child in (left, right):
        assert found[child] == Partition(f"{LABEL}/{child}", bounded=False, parents=(parent,), log=STREAM_ARN)


def test_streams_of_one_table_have_partitions_of_their_own() -> None:
    other = STREAM_ARN.replace("2026", "2025")
    assert partition_id(STREAM_ARN, ROOT) != partition_id(other, ROOT)
    assert shard_id(Partition(partition_id(other, ROOT), bounded=False)) == ROOT


@in_virtual_time
async def test_a_child_listed_before_its_parent_needs_no_second_listing() -> None:
    bench = Bench(shards_per_page=1)
    left, right = bench.table.split(ROOT)
    bench.rank(left, right, ROOT)
    found = await bench.partitions()
    assert found[left].parents == (f"{LABEL}/{ROOT}",)
    assert bench.client.calls["describe_stream"] == 3


@in_virtual_time
async def test_a_parent_missing_from_one_listing_is_found_by_the_next() -> None:
    bench = Bench()
    left, right = bench.table.split(ROOT)
    bench.table.hide(1, ROOT)
    assert set(await bench.partitions()) == {ROOT, left, right}


@in_virtual_time
async def test_what_either_listing_shows_counts() -> None:
    """The second one misses a child that the first one had."""
    bench = Bench()
    left, right = bench.table.split(ROOT)
    bench.table.hide(1, ROOT)
    bench.table.hide(2, left)
    assert set(await bench.partitions()) == {ROOT, left, right}


@in_virtual_time
async def test_shards_that_appear_between_two_pages_are_listed_with_their_parents() -> None:
    """The parent of a shard on a later page was born behind the reader's back, on a page already read."""
    bench = Bench(shards_per_page=1)
    (child,) = bench.table.split(ROOT, listed_after_s=[0.0])
    bench.rank(ROOT, child)
    calls: list[str] = []

    def split_late(operation: str) -> None:
        calls.append(operation)
        if len(calls) == 2:
            (middle,) = bench.table.split(child, listed_after_s=[0.0])
            (last,) = bench.table.split(middle, listed_after_s=[0.0])
            bench.rank(middle, ROOT, child, last)

    bench.client.fault = split_late
    found = await bench.partitions()
    assert set(found) == set(bench.table.shards)


@in_virtual_time
async def test_a_parent_that_was_trimmed_stays_named() -> None:
    """Whether that is harmless is the lineage's to say. The service was asked whether it is gone, once for all."""
    bench = Bench()
    (child,) = bench.table.split(ROOT, listed_after_s=[0.0])
    bench.table.shards[ROOT].closed_at = bench.table.now() - RETENTION_S - 1
    found = await bench.partitions()
    assert found == {child: Partition(f"{LABEL}/{child}", bounded=False, parents=(f"{LABEL}/{ROOT}",), log=STREAM_ARN)}
    assert await bench.partitions() == found
    assert bench.client.calls["describe_stream"] == 2
    assert bench.client.calls["get_shard_iterator"] == 1


@in_virtual_time
async def test_a_parent_that_exists_is_waited_for_however_often_it_is_not_listed() -> None:
    """Read beside its child it would break the order of keys."""
    bench = Bench()
    (child,) = bench.table.split(ROOT, listed_after_s=[0.0])
    bench.table.hidden = {run: {ROOT} for run in range(1, 6)}
    found = await bench.partitions()
    assert set(found) == {ROOT, child}
    assert found[child].parents == (f"{LABEL}/{ROOT}",)


@in_virtual_time
async def test_a_listing_survives_throttling_and_failures() -> None:
    bench = Bench(shards=9)
    rng = random.Random(2)

    def fault(operation: str) -> Exception | None:
        errors = [client_error(operation, "LimitExceededException"), client_error(operation, "", status=503)]
        return rng.choice(errors) if rng.random() < 0.6 else None

    bench.client.fault = fault
    assert set(await bench.partitions()) == set(bench.table.shards)

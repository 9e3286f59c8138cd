"""The copy of a bucket: every object once, in order, resumed after any key, and refused where there is no order."""

from contextlib import aclosing
from itertools import product
from typing import Any

import anyio
import pytest

from connectors.aws.s3.bucket import read_page
from connectors.aws.s3.counting import Count
from connectors.aws.s3.listing import RangeListing
from connectors.aws.s3.ranges import KeyRange, cut
from connectors.aws.s3.survey import MOST_LOOKS
from fakes.buckets import BucketBench
from fakes.virtual import in_virtual_time
from replicator.errors import PositionLostError
from replicator.model import Batch, Operation, Partition, Resume, Size
from replicator.objects import StoredObject
from sandbox.workload import object_keys

AWKWARD = sorted({key for _, key in object_keys()})
FLAT = [f"{a}{b}{c}" for a, b, c in product("0123456789abcdef", repeat=3)]


async def read(listing: RangeListing, partition: Partition, resume: Resume | None = None) -> list[Batch[StoredObject]]:
    async with aclosing(listing.read(partition, resume or Resume())) as batches:
        return [batch async for batch in batches]


def keys_of(batches: list[Batch[StoredObject]]) -> list[str]:
    return [change.key for batch in batches for change in batch.changes]


@in_virtual_time
async def test_every_object_is_listed_once_whatever_the_keys() -> None:
    bench = BucketBench(AWKWARD, page=7)
    listing = RangeListing(bench.bucket, 16)
    partitions = await listing.partitions()
    assert 8 < len(partitions) <= 16
    parts = [keys_of(await read(listing, partition)) for partition in partitions]
    assert [key for part in parts for key in part] == AWKWARD


@in_virtual_time
async def test_a_listed_object_is_a_look_with_what_the_listing_shows() -> None:
    bench = BucketBench(["a", "b"])
    (batch,) = await read(RangeListing(bench.bucket, 1), KeyRange().partition())
    assert (batch.read, batch.bytes, batch.position) == (2, 2, "b")
    change = batch.changes[1]
    assert change.operation is Operation.LOOK
    assert change.version == change.record.version != ""
    assert change.record.listed
    assert change.committed_at is None


@in_virtual_time
async def test_a_range_is_resumed_behind_any_key() -> None:
    bench = BucketBench(AWKWARD, page=5)
    listing = RangeListing(bench.bucket, 3)
    for partition in await listing.partitions():
        everything = keys_of(await read(listing, partition))
        for done, key in enumerate(everything, start=1):
            assert keys_of(await read(listing, partition, Resume(key))) == everything[done:]


@in_virtual_time
async def test_a_range_can_be_read_until_a_key() -> None:
    listing = RangeListing(BucketBench(["a", "b", "c"]).bucket, 1)
    assert keys_of(await read(listing, KeyRange().partition(), Resume(until="b"))) == ["a", "b"]


@in_virtual_time
async def test_ranges_hold_what_comes_later_too() -> None:
    bench = BucketBench([f"{folder}/{n}" for folder in "abcdef" for n in range(3)])
    listing = RangeListing(bench.bucket, 4)
    partitions = await listing.partitions()
    for key in AWKWARD:
        bench.client.put(key)
    found = [key for partition in partitions for key in keys_of(await read(listing, partition))]
    assert found == sorted(bench.client.objects)


@in_virtual_time
async def test_only_what_begins_with_the_prefix_is_there() -> None:
    bench = BucketBench(["a", "in/1", "in/2", "in/deep/3", "in", "z"], prefix="in/")
    listing = RangeListing(bench.bucket, 4)
    partitions = await listing.partitions()
    assert [k for p in partitions for k in keys_of(await read(listing, p))] == ["in/1", "in/2", "in/deep/3"]


@in_virtual_time
async def test_a_flat_bucket_is_divided_evenly_in_few_requests() -> None:
    bench = BucketBench(FLAT)
    listing = RangeListing(bench.bucket, 16)
    partitions = await listing.partitions()
    assert bench.client.calls["list_objects_v2"] <= MOST_LOOKS
    sizes = [len(keys_of(await read(listing, partition))) for partition in partitions]
    assert len(sizes) == 16
    assert max(sizes) <= 2 * len(FLAT) / 16


@in_virtual_time
async def test_keys_that_begin_alike_are_not_looked_at_letter_by_letter() -> None:
    keys = [f"a-rather-long-beginning-{n:04}" for n in range(4000)]
    bench = BucketBench([*keys, "a-rather-l", "a-rather-loud-one"])
    partitions = await RangeListing(bench.bucket, 16).partitions()
    assert len(partitions) == 5
    assert bench.client.calls["list_objects_v2"] <= 25


@in_virtual_time
async def test_places_are_looked_at_in_parallel() -> None:
    bench = BucketBench([f"{folder:02}/{n}" for folder in range(40) for n in range(3)])
    begun = anyio.current_time()
    await RangeListing(bench.bucket, 16).partitions()
    assert bench.client.calls["list_objects_v2"] == 41
    assert anyio.current_time() - begun < 0.1, "10 ms each"


async def walk(listing: RangeListing) -> list[list[str]]:
    """The keys of each range."""
    return [keys_of(await read(listing, partition)) for partition in await listing.partitions()]


@in_virtual_time
async def test_who_has_listed_everything_need_not_look_again() -> None:
    bench = BucketBench(FLAT)
    listing = RangeListing(bench.bucket, 16)
    await walk(listing)
    for _ in range(3):
        before = bench.client.calls["list_objects_v2"]
        parts = await walk(listing)
        assert [key for part in parts for key in part] == FLAT
        assert bench.client.calls["list_objects_v2"] - before <= 8, "pages of 1000"
        assert max(map(len, parts)) <= 1500


@in_virtual_time
async def test_keys_outside_all_that_was_known_are_listed_once() -> None:
    bench = BucketBench(FLAT)
    listing = RangeListing(bench.bucket, 16)
    await walk(listing)
    for key in AWKWARD:
        bench.client.put(key)
    for _ in range(3):
        assert [key for part in await walk(listing) for key in part] == sorted(bench.client.objects)


@in_virtual_time
async def test_ranges_follow_a_bucket_that_grows_and_shrinks() -> None:
    bench = BucketBench(["a"], page=60)
    listing = RangeListing(bench.bucket, 4)
    await walk(listing)
    for key in FLAT:
        bench.client.put(f"z{key}")
    await walk(listing)
    assert [len(part) < 1500 for part in await walk(listing)] == [True] * 4
    bench.client.objects.clear()
    assert await walk(listing) == [[]] * 4
    assert await walk(listing) == [[]]


@in_virtual_time
async def test_half_a_walk_tells_nothing_of_where_keys_are() -> None:
    bench = BucketBench(FLAT)
    listing = RangeListing(bench.bucket, 4)
    first, *others = partitions = await listing.partitions()
    await read(listing, first, Resume("0"))
    for partition in others:
        await read(listing, partition)
    assert await listing.partitions() == partitions


@in_virtual_time
async def test_the_first_to_ask_look_once_together() -> None:
    bench = BucketBench(FLAT)
    listing = RangeListing(bench.bucket, 4)
    once = BucketBench(FLAT)
    await RangeListing(once.bucket, 4).partitions()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listing.partitions)
        tasks.start_soon(listing.partitions)
    assert bench.client.calls == once.client.calls


@in_virtual_time
async def test_a_range_that_ends_with_a_page_is_read_in_one() -> None:
    bench = BucketBench(["a", "b", "c", "d"], page=2)
    await read(RangeListing(bench.bucket, 1), KeyRange(until="b").partition())
    assert bench.client.calls["list_objects_v2"] == 1


@in_virtual_time
async def test_nothing_and_little_are_one_range_each() -> None:
    for keys in ([], ["a", "b"]):
        listing = RangeListing(BucketBench(keys).bucket, 16)
        (partition,) = await listing.partitions()
        batches = await read(listing, partition)
        assert keys_of(batches) == keys
        assert batches[-1].position == (keys[-1] if keys else None)


def page(*keys: str, **more: Any) -> dict[str, Any]:
    return {"Contents": [{"Key": key} for key in keys], "IsTruncated": False, **more}


@pytest.mark.parametrize("keys", [("b", "a"), ("a", "a"), ("after",), ("\U00010000", "\uff5e")])
def test_a_listing_out_of_order_is_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(PositionLostError, match="order of UTF-8"):
        read_page(page(*keys), "after" if keys == ("after",) else "")


def test_a_page_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(PositionLostError):
        read_page(page(IsTruncated=True), "")
    assert read_page(page(IsTruncated=True, NextContinuationToken="t"), "").token == "t"


@in_virtual_time
async def test_an_empty_page_before_the_end_is_gone_on_from() -> None:
    bench = BucketBench(["a", "b"])
    real, asked = bench.client.list_objects_v2, list[dict[str, Any]]()

    async def emptied(**options: Any) -> Any:
        asked.append(options)
        if len(asked) == 1:
            return {**await real(**options), "Contents": [], "IsTruncated": True, "NextContinuationToken": "on"}
        return await real(**options)

    bench.client.list_objects_v2 = emptied  # type: ignore[method-assign, assignment]
    batches = await read(RangeListing(bench.bucket, 1), KeyRange().partition())
    assert keys_of(batches) == ["a", "b"]
    assert [batch.position for batch in batches] == [None, "b"]
    assert asked[1]["ContinuationToken"] == "on"


@in_virtual_time
async def test_a_bucket_that_is_gone_stops_the_pipeline() -> None:
    bench = BucketBench(["a"])
    bench.client.gone = True
    with pytest.raises(PositionLostError, match="is gone"):
        await read(RangeListing(bench.bucket, 1), KeyRange().partition())


@in_virtual_time
async def test_the_size_is_unknown_until_all_is_counted_and_asking_does_not_block() -> None:
    bench = BucketBench(FLAT, page=2)  # 2048 pages of 10 ms each
    count = Count(bench.bucket)
    assert await count.size() == Size()
    count.begin(cut(["4", "8", "c"]))
    assert await count.size() == Size()
    while (size := await count.size()) == Size():
        pass
    assert size == Size(len(FLAT), 3 * len(FLAT))
    asked = bench.client.calls["list_objects_v2"]
    assert await count.size() == size
    assert bench.client.calls["list_objects_v2"] == asked, "counted once"

"""What sources with a log promise: whatever was followed once can be read again, in the same order."""

from datetime import timedelta
from typing import Any

import anyio
import pytest
from contracts.reading import (
    NAMES,
    changes,
    contradicted,
    forever,
    holds,
    read_changes,
    read_until,
    states,
)
from contracts.worlds.sides import SourceCan, SourceWorld

from replicator.errors import PositionLostError
from replicator.model import Batch, Partition, Resume
from replicator.ports import Source

pytestmark = pytest.mark.sources(SourceCan.LOG)


async def test_changes_come_in_the_order_of_each_key(world: SourceWorld[Any], source: Source[Any]) -> None:
    for number in range(3):
        for name in NAMES:
            await world.put(name, number)
    await world.delete(NAMES[0])
    await world.put(NAMES[0], 9)
    found = await read_changes(world, source, 3 * len(NAMES) + 2)
    everything = await states(world, [c for batches in found.values() for c in changes(batches)])
    for name in NAMES[1:]:
        assert everything[world.key(name)] == [0, 1, 2]
    assert everything[world.key(NAMES[0])] == [0, 1, 2, None, 9]


async def test_what_was_handed_out_can_be_resumed_after_and_needs_no_receipt(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    for number, name in enumerate(NAMES):
        await world.put(name, number)
    for batches in (await read_changes(world, source, len(NAMES))).values():
        assert all(batch.position is not None for batch in batches if batch.changes)
        assert not any(batch.receipts for batch in batches)


async def test_a_key_is_in_one_partition_only(world: SourceWorld[Any], source: Source[Any]) -> None:
    for number in range(2):
        for name in NAMES:
            await world.put(name, number)
    found = await read_changes(world, source, 2 * len(NAMES))
    homes = {(c.key, p.id) for p, batches in found.items() for c in changes(batches)}
    assert len(homes) == len(NAMES)


async def busiest(world: SourceWorld[Any], source: Source[Any], count: int) -> tuple[Partition, list[Batch[Any]]]:
    """The partition with most of the changes, and its batches."""
    found = await read_changes(world, source, count)
    return max(found.items(), key=lambda item: len(changes(item[1])))


async def test_following_resumes_after_any_position(world: SourceWorld[Any], source: Source[Any]) -> None:
    for number in range(12):
        await world.put("n0", number)
    partition, batches = await busiest(world, source, 12)
    assert sum(bool(b.changes) for b in batches) > 1, "a world that reads all at once shows nothing"
    for done, batch in enumerate(batches, start=1):
        rest = changes(batches[done:])
        if batch.position is None or not rest:
            continue
        resumed = await read_until(world, source, partition, holds(len(rest)), Resume(batch.position))
        assert [c.record for c in changes(resumed)][: len(rest)] == [c.record for c in rest]


async def test_reading_until_a_position_ends_exactly_there(world: SourceWorld[Any], source: Source[Any]) -> None:
    """A replay that read further would fold in what was never begun, one that read less would lose it."""
    for number in range(8):
        await world.put("n0", number)
    partition, batches = await busiest(world, source, 8)
    ends = [b.position for b in batches if b.changes]
    for end in range(len(ends)):
        for begin in [None, *ends[:end]]:
            skipped = 0 if begin is None else ends.index(begin) + 1
            wanted = [c.record for b in [b for b in batches if b.changes][skipped : end + 1] for c in b.changes]
            replayed = await read_until(world, source, partition, forever, Resume(begin, until=ends[end]))
            assert [c.record for c in changes(replayed)] == wanted


async def test_what_is_skipped_is_surely_older_and_still_counted(world: SourceWorld[Any], source: Source[Any]) -> None:
    await world.put("n0", 1)
    await read_changes(world, source, 1)
    later = source.clock.latest() + timedelta(seconds=5)
    found: list[Batch[Any]] = []
    for partition in await source.follow_partitions():
        found += await read_until(world, source, partition, lambda b: len(b) > 10, Resume(skip_before=later))
    assert changes(found) == []
    assert sum(b.read for b in found) == 1
    for partition in await source.follow_partitions():
        kept = Resume(skip_before=later - timedelta(seconds=60))
        found += await read_until(world, source, partition, lambda b: len(b) > 10, kept)
    assert len(changes(found)) == 1, "what may be newer is not skipped"


async def test_a_record_older_than_a_claim_of_its_partition_is_owned_up_to(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    proven: list[Batch[Any]] = []
    (partition, *_) = await source.follow_partitions()
    await read_until(world, source, partition, lambda b: b[-1].replicated_through is not None)
    for number in range(3):
        await world.put("n0", number)
    for partition, batches in (await read_changes(world, source, 3)).items():
        assert contradicted([(partition, batch) for batch in batches], [partition]) == []
        proven += batches
    assert changes(proven)


@pytest.mark.sources(SourceCan.CLOSES)
async def test_a_closed_partition_ends_and_what_continues_it_names_it(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    for name in NAMES:
        await world.put(name, 1)
    before = await source.follow_partitions()
    await world.close_log()
    for name in NAMES:
        await world.put(name, 2)
    ended = [c for p in before for c in changes(await read_until(world, source, p, forever))]
    assert sorted(c.key for c in ended) == sorted(world.key(n) for n in NAMES)
    with anyio.fail_after(world.patience_s):
        while len(after := await source.follow_partitions()) <= len(before):  # noqa: ASYNC110 — a source has no event for it
            await anyio.sleep(0.01)
    children = [p for p in after if p.parents]
    assert {parent for p in children for parent in p.parents} == {p.id for p in before}


@pytest.mark.sources(SourceCan.TRIMS)
async def test_a_position_that_was_trimmed_is_lost_and_says_so(world: SourceWorld[Any], source: Source[Any]) -> None:
    for number in range(12):
        await world.put("n0", number)
    partition, batches = await busiest(world, source, 12)
    first = next(b.position for b in batches if b.changes)
    await world.trim()
    with pytest.raises(PositionLostError):
        await read_until(world, source, partition, lambda b: len(b) > 3, Resume(first))

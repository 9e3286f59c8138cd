"""What every source promises. See `contracts.worlds` for how to run it against another one."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from itertools import cycle
from typing import Any

import anyio
import pytest
from contracts.reading import NAMES, ROUNDING, Reading, changes, contradicted, following, put_all, states, whole
from contracts.worlds.sides import SourceCan, SourceWorld

from replicator.model import Change, Operation, Resume
from replicator.ports import Source

pytestmark = pytest.mark.sources()


async def test_the_clock_is_known_once_connected(world: SourceWorld[Any], source: Source[Any]) -> None:
    assert source.clock.known
    assert source.clock.earliest() <= source.clock.latest()
    assert source.clock.latest() - source.clock.earliest() < timedelta(seconds=30)
    assert source.key_names == world.key_names


async def test_partitions_have_ids_of_their_own_and_say_whether_they_end(source: Source[Any]) -> None:
    copied, followed = await source.copy_partitions(), await source.follow_partitions()
    assert all(p.bounded and not p.parents for p in copied)
    assert followed, "in mode async something is followed"
    assert not any(p.bounded for p in followed)
    assert len({p.id for p in (*copied, *followed)}) == len(copied) + len(followed)
    assert set(await source.follow_partitions()) == set(followed), "the same as long as nothing happens"


async def test_what_is_put_is_handed_out_as_it_is(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_all(world)
    async with following(world, source) as reading:
        await reading.until_keys(keys)
    assert {change.key for change in reading.changes} == set(keys)
    assert all(change.operation in {Operation.UPSERT, Operation.LOOK} for change in reading.changes)
    assert all(batch.read >= len(batch.changes) for _, batch in reading.batches)
    found = await states(world, await whole(source, reading.changes))
    assert {key: set(of) for key, of in found.items()} == {key: {number} for number, key in enumerate(keys)}


async def test_commit_times_are_the_sources_rounded_down_at_most(world: SourceWorld[Any], source: Source[Any]) -> None:
    before = source.clock.earliest()
    await world.put("n0", 1)
    after = source.clock.latest()
    async with following(world, source) as reading:
        await reading.until_changes(1)
    for change in reading.changes:
        assert change.committed_at is not None
        assert change.committed_at.tzinfo is not None
        assert before - ROUNDING <= change.committed_at <= after


@pytest.mark.sources(SourceCan.PROVES)
async def test_time_is_proven_while_idle_and_never_claims_what_is_still_to_come(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    partitions = await source.follow_partitions()
    async with following(world, source) as reading:
        await reading.until(lambda: _claiming(reading) >= set(partitions))
        assert all(b.replicated_through <= source.clock.latest() for _, b in reading.batches if b.replicated_through)
        for number, name in enumerate(NAMES):
            await world.put(name, number)
            await reading.until_keys([world.key(name)])
            await reading.settle(reading.batches[-1][1])
    assert contradicted(reading.batches, partitions) == []


@pytest.mark.sources(SourceCan.PROVES)
async def test_what_was_committed_before_is_claimed_in_the_end(world: SourceWorld[Any], source: Source[Any]) -> None:
    """A source that never claims anything would be sound too, and no pipeline would ever be ready."""
    partitions = await source.follow_partitions()
    keys = await put_all(world)
    written = source.clock.earliest()
    async with following(world, source, settling=True) as reading:
        await reading.until_keys(keys)
        await reading.until(lambda: all(_claims(reading, p.id, written) for p in partitions))


def _claiming(reading: Reading[Any]) -> set[Any]:
    return {partition for partition, batch in reading.batches if batch.replicated_through is not None}


def _claims(reading: Reading[Any], partition: str, moment: Any) -> bool:
    through = [b.replicated_through for p, b in reading.batches if p.id == partition and b.replicated_through]
    return any(claimed > moment for claimed in through)


async def test_reading_can_be_cancelled_at_any_moment_and_begun_again(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    keys = await put_all(world)
    found: set[str] = set()
    partitions = await source.follow_partitions()
    for patience_s, partition in zip((0.0, 0.001, 0.005, 0.02, 0.1), cycle(partitions), strict=False):
        with anyio.move_on_after(patience_s):
            async with aclosing(source.read(partition, Resume())) as read:
                async for batch in read:
                    found |= {change.key for change in batch.changes}
                    await anyio.sleep(batch.pause_s)
    async with following(world, source) as reading:
        await reading.until(lambda: found | {change.key for change in reading.changes} >= set(keys))


async def test_a_sample_shows_a_few_and_takes_nothing(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_all(world)
    sample = await source.sample(3)
    assert len(sample) <= 3
    assert {change.key for change in sample} <= set(keys)
    assert all(change.operation is Operation.UPSERT for change in sample), "whole records"
    async with following(world, source) as reading:
        await reading.until_keys(keys)


@pytest.mark.sources(SourceCan.LOOKUP)
async def test_a_sample_is_of_the_present(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_all(world)
    sample: Sequence[Change[Any]] = await source.sample(3)
    assert sample
    for change in sample:
        assert await world.state(change) == keys.index(change.key)


@pytest.mark.sources(SourceCan.LOOKUP)
async def test_what_was_rejected_is_looked_up(world: SourceWorld[Any], source: Source[Any]) -> None:
    await world.put("n0", 1)
    assert await source.redeliver([world.key("n0")]) is False


@pytest.mark.sources(SourceCan.COUNTS)
async def test_what_waits_is_counted_until_it_is_settled(world: SourceWorld[Any], source: Source[Any]) -> None:
    await put_all(world)
    depth = await source.depth()
    assert depth is not None
    assert (depth.messages, depth.in_flight, depth.held) == (len(NAMES), 0, False)
    async with following(world, source) as reading:
        await reading.until_changes(len(NAMES))
        depth = await source.depth()
        assert depth is not None
        assert (depth.visible, depth.in_flight) == (0, len(NAMES))
        await reading.settle()
        depth = await source.depth()
    assert depth is not None
    assert depth.messages == 0
    assert len(changes([batch for _, batch in reading.batches])) == len(NAMES)

"""What sources promise that deliver: with receipts, and again until it is settled.

Nothing else may receive from the same queue meanwhile, or these would show nothing.
"""

from collections import Counter
from contextlib import aclosing
from itertools import cycle
from typing import Any

import anyio
import pytest
from contracts.reading import NAMES, ROUNDING, Reading, following, put_all, read_until, states, whole
from contracts.worlds.sides import SourceCan, SourceWorld

from replicator.model import Batch, Mode, Resume
from replicator.ports import Source

pytestmark = pytest.mark.sources(SourceCan.DELIVERS)

GROUPS = ("red", "blue", "green")


async def nothing_more(world: SourceWorld[Any], seconds: float, besides: int = 0) -> None:
    """Whatever was not settled would come to another source by then."""
    async with world.connected() as other, following(world, other) as reading:
        await anyio.sleep(seconds)
    assert len(reading.changes) == besides


def once(reading: Reading[Any]) -> Counter[str]:
    """How often each key was handed out."""
    return Counter(change.key for change in reading.changes)


async def test_a_batch_comes_with_receipts_and_without_a_position(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_all(world)
    async with following(world, source) as reading:
        await reading.until_keys(keys)
    assert all(batch.receipts for _, batch in reading.batches if batch.changes)
    assert all(batch.position is None for _, batch in reading.batches)


async def test_what_was_settled_is_not_delivered_again(world: SourceWorld[Any]) -> None:
    async with world.connected() as source:
        keys = await put_all(world)
        async with following(world, source, settling=True) as reading:
            await reading.until_keys(keys)
            await anyio.sleep(world.quiet_s)
        assert once(reading) == Counter(keys)
    await nothing_more(world, world.again_s + world.quiet_s)


async def test_what_was_handed_out_can_be_settled_after_its_reader_was_closed(world: SourceWorld[Any]) -> None:
    """A pipeline that is drained stops reading first, and then finishes what was read."""
    keys = await put_all(world)
    async with world.connected() as source:
        async with following(world, source) as reading:
            await reading.until_keys(keys)
        await reading.settle()
        assert once(reading) == Counter(keys)
    await nothing_more(world, world.again_s + world.quiet_s)


async def test_what_was_not_settled_comes_again_and_only_that(world: SourceWorld[Any]) -> None:
    settled, left = NAMES[:3], NAMES[3:]
    async with world.connected() as source, following(world, source) as reading:
        for names in (settled, left):
            for name in names:
                await world.put(name, NAMES.index(name))
            await reading.until_keys([world.key(name) for name in names])
            if names == settled:
                await reading.settle()
    async with world.connected() as source, following(world, source) as again:
        await again.until_keys([world.key(name) for name in left])
        await anyio.sleep(world.quiet_s)
        found = await states(world, await whole(source, again.changes))
    assert {key: set(of) for key, of in found.items()} == {world.key(name): {NAMES.index(name)} for name in left}


async def test_what_a_cancelled_read_has_taken_comes_again(world: SourceWorld[Any], source: Source[Any]) -> None:
    """To the same source: nobody was given it, so nobody will settle it."""
    keys = await put_all(world)
    handed_out: list[Batch[Any]] = []
    partitions = await source.follow_partitions()
    for patience_s, partition in zip((0.0, 0.001, 0.003, 0.01, 0.03), cycle(partitions), strict=False):
        with anyio.move_on_after(patience_s):
            async with aclosing(source.read(partition, Resume())) as read:
                handed_out.append(await anext(read))
    for batch in handed_out:
        if batch.receipts:
            await source.settle(batch, ())
    taken = {change.key for batch in handed_out for change in batch.changes}
    async with following(world, source) as reading:
        await reading.until_keys(set(keys) - taken)
        await anyio.sleep(world.quiet_s)
    assert once(reading) == Counter(set(keys) - taken)


async def test_nothing_is_handed_out_twice_while_it_is_held(world: SourceWorld[Any], source: Source[Any]) -> None:
    """A slow target is no reason to deliver again: to all receivers together each comes once."""
    keys = await put_all(world)
    async with following(world, source) as reading:
        await reading.until_keys(keys)
        await anyio.sleep(world.hold_s)
    assert once(reading) == Counter(keys)


@pytest.mark.sources(SourceCan.PROVES)
async def test_nobody_claims_past_what_somebody_else_holds(world: SourceWorld[Any], source: Source[Any]) -> None:
    """It may come again, to anybody, after a crash. What comes again meanwhile, since it could not be held, has another
    holder as well, who is only believed once it is durable there.
    """
    async with following(world, source) as reading:
        await world.put("n0", 1)
        await reading.until_changes(1)
        (change,) = reading.changes
        await anyio.sleep(world.hold_s)
    holders = [partition for partition, batch in reading.batches if batch.changes]
    claims = [b.replicated_through for p, b in reading.batches if p not in holders and b.replicated_through]
    assert change.committed_at is not None
    assert [claimed for claimed in claims if claimed > change.committed_at + ROUNDING] == []


@pytest.mark.sources(SourceCan.LOOKUP)
async def test_an_event_whose_record_was_rejected_is_settled_all_the_same(world: SourceWorld[Any]) -> None:
    """Its dead letter is looked up when it is tried again."""
    keys = await put_all(world)
    async with world.connected() as source, following(world, source) as reading:
        await reading.until_keys(keys)
        await reading.settle(rejected=keys)
    await nothing_more(world, world.again_s + world.quiet_s)


@pytest.mark.sources(SourceCan.PARKS)
async def test_a_rejected_message_stays_and_comes_again_when_asked_for(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    keys = await put_all(world)
    rejected = keys[2:4]
    async with following(world, source) as reading:
        await reading.until_keys(keys)
        await reading.settle(rejected=rejected)
        await anyio.sleep(world.again_s + world.quiet_s)
        assert once(reading) == Counter(keys), "it is not tried again by itself"
        assert await source.redeliver(rejected[:1]) is True
        await reading.until_changes(len(keys) + 1)
        await anyio.sleep(world.quiet_s)
        assert once(reading) == Counter([*keys, rejected[0]])
        await reading.settle(reading.batches[_last(reading)][1])
        assert await source.redeliver(rejected) is True, "asked for once more, it is there or it is not"
        await reading.until_changes(len(keys) + 2)
        await anyio.sleep(world.quiet_s)
    assert once(reading) == Counter([*keys, *rejected])


def _last(reading: Reading[Any]) -> int:
    return max(at for at, (_, batch) in enumerate(reading.batches) if batch.changes)


async def put_groups(world: SourceWorld[Any], count: int, first: int = 0) -> dict[str, list[str]]:
    """So many messages of each group, by turns; their keys in order."""
    keys: dict[str, list[str]] = {group: [] for group in GROUPS}
    for number in range(first, first + count):
        for group in GROUPS:
            await world.put_in_group(group, f"{group}{number}", number)
            keys[group].append(world.key(f"{group}{number}"))
    return keys


def in_order(world: SourceWorld[Any], reading: Reading[Any]) -> dict[str | None, list[str]]:
    """The keys of each group as they were handed out."""
    found: dict[str | None, list[str]] = {}
    for change in reading.changes:
        found.setdefault(world.group_of(change), []).append(change.key)
    return found


@pytest.mark.sources(SourceCan.GROUPS)
async def test_a_group_is_delivered_in_order(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_groups(world, 5)
    async with following(world, source, settling=True) as reading:
        await reading.until_changes(5 * len(GROUPS))
    assert in_order(world, reading) == keys


@pytest.mark.sources(SourceCan.GROUPS)
async def test_one_receiver_at_a_time_has_messages_of_a_group(world: SourceWorld[Any], source: Source[Any]) -> None:
    """What is behind a message that somebody holds is not handed to another one, who might be faster."""
    keys = await put_groups(world, 5)
    async with following(world, source) as reading:
        await reading.until(lambda: in_order(world, reading).keys() == keys.keys())
        await anyio.sleep(world.hold_s)
    homes = {(world.group_of(c), p.id) for p, batch in reading.batches for c in batch.changes}
    assert len(homes) == len(GROUPS)


@pytest.mark.sources(SourceCan.GROUPS)
async def test_a_group_is_in_order_again_after_nothing_of_it_was_settled(world: SourceWorld[Any]) -> None:
    keys = await put_groups(world, 4)
    async with world.connected() as source, following(world, source) as reading:
        await reading.until_changes(len(GROUPS))
    async with world.connected() as source, following(world, source, settling=True) as again:
        await again.until_changes(4 * len(GROUPS))
    assert in_order(world, again) == keys


@pytest.mark.sources(SourceCan.GROUPS, SourceCan.PARKS)
async def test_behind_a_rejected_message_its_group_waits_and_then_goes_on_in_order(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    first = await put_groups(world, 2)
    async with following(
        world, source, settling=True, rejects=lambda change: world.group_of(change) == "red"
    ) as reading:
        await reading.until_keys([first["red"][0]])
        more = await put_groups(world, 2, first=2)
        keys = {group: first[group] + more[group] for group in GROUPS}
        await reading.until_keys([*keys["blue"], *keys["green"]])
        await anyio.sleep(world.again_s + world.quiet_s)
    found = in_order(world, reading)
    rejected = found["red"]
    assert found == {**keys, "red": keys["red"][: len(rejected)]}
    assert len(rejected) <= 2, "the others go on, this one waits"
    async with following(world, source, settling=True) as rest:
        assert await source.redeliver(rejected) is True
        await rest.until_changes(4)
    assert in_order(world, rest) == {"red": keys["red"]}


@pytest.mark.sources(SourceCan.DRAINS)
async def test_in_mode_copy_everything_is_delivered_and_then_it_ends(world: SourceWorld[Any]) -> None:
    keys = await put_all(world)
    found: list[str] = []
    async with world.connected(Mode.COPY) as source:
        partitions = await source.copy_partitions()
        assert partitions
        assert all(partition.bounded for partition in partitions)
        for partition in partitions:
            with anyio.fail_after(world.patience_s):
                async with aclosing(source.read(partition, Resume())) as read:
                    async for batch in read:
                        found += [change.key for change in batch.changes]
                        await source.settle(batch, ())
                        await anyio.sleep(batch.pause_s)
    assert sorted(found) == sorted(keys)
    async with world.connected(Mode.COPY) as source:
        for partition in await source.copy_partitions():
            assert not [c for b in await read_until(world, source, partition, lambda _: False) for c in b.changes]


@pytest.mark.sources(SourceCan.DRAINS)
async def test_in_mode_copy_it_does_not_end_while_something_is_held(world: SourceWorld[Any]) -> None:
    """By another receiver: if that one fails, what it holds comes again."""
    await put_all(world)
    async with world.connected() as holder, following(world, holder) as reading:
        await reading.until_changes(len(NAMES))
        async with world.connected(Mode.COPY) as source:
            (partition, *_) = await source.copy_partitions()
            ended = anyio.Event()
            async with anyio.create_task_group() as tasks:

                async def drain() -> None:
                    await read_until(world, source, partition, lambda _: False)
                    ended.set()

                tasks.start_soon(drain)
                await anyio.sleep(world.hold_s)
                assert not ended.is_set()
                await reading.settle()
                await ended.wait()

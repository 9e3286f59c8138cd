"""What every source promises. See `contracts.worlds` for how to run it against another one."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta

import anyio
import pytest
from contracts.worlds import SOURCES, SourceWorld

from fakes.records import document, key_of
from replicator.documents import Document
from replicator.errors import PositionLostError
from replicator.model import Batch, Change, Operation, Partition, Resume
from sandbox.aws import AwsServer

NAMES = [f"n{i}" for i in range(7)]
PATIENCE = "the world cannot do this"


@pytest.fixture(params=sorted(SOURCES))
async def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SourceWorld]:
    def aws() -> AwsServer:
        server: AwsServer = request.getfixturevalue("aws")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        return server

    async with SOURCES[request.param](aws) as made:
        await made.source.connect()
        yield made


async def read_until(
    world: SourceWorld,
    partition: Partition,
    enough: Callable[[list[Batch[Document]]], bool],
    resume: Resume | None = None,
) -> list[Batch[Document]]:
    """Reads as the engine does, until there is enough or the partition ends."""
    batches: list[Batch[Document]] = []
    with anyio.fail_after(world.patience_s):
        async with aclosing(world.source.read(partition, resume or Resume())) as source:
            async for batch in source:
                batches.append(batch)
                if enough(batches):
                    break
                await anyio.sleep(batch.pause_s)
    return batches


async def read_changes(world: SourceWorld, count: int) -> dict[Partition, list[Batch[Document]]]:
    """All followed partitions side by side, until they have brought so many changes together."""
    found: dict[Partition, list[Batch[Document]]] = {}
    partitions = await world.source.follow_partitions()
    with anyio.fail_after(world.patience_s):
        async with anyio.create_task_group() as tasks:

            async def follow(partition: Partition) -> None:
                async with aclosing(world.source.read(partition, Resume())) as source:
                    async for batch in source:
                        found.setdefault(partition, []).append(batch)
                        if sum(len(changes(b)) for b in found.values()) >= count:
                            tasks.cancel_scope.cancel()
                        await anyio.sleep(batch.pause_s)

            for partition in partitions:
                tasks.start_soon(follow, partition)
    return found


def changes(batches: list[Batch[Document]]) -> list[Change[Document]]:
    return [change for batch in batches for change in batch.changes]


def states(of: list[Change[Document]], name: str) -> list[Document | None]:
    mine = [c for c in of if c.key == key_of(name)]
    return [c.record if c.operation is Operation.UPSERT else None for c in mine]


def holds(count: int) -> Callable[[list[Batch[Document]]], bool]:
    """Enough once so many changes have come."""
    return lambda batches: len(changes(batches)) >= count


def forever(_: list[Batch[Document]]) -> bool:
    return False


async def test_the_clock_is_known_once_connected(world: SourceWorld) -> None:
    assert world.source.clock.known
    assert world.source.clock.earliest() <= world.source.clock.latest()
    assert world.source.clock.latest() - world.source.clock.earliest() < timedelta(seconds=30)
    assert world.source.key_names == ("id",)


async def test_partitions_have_ids_of_their_own_and_say_whether_they_end(world: SourceWorld) -> None:
    copied, followed = await world.source.copy_partitions(), await world.source.follow_partitions()
    assert copied, "even an empty source has something to copy from"
    assert all(p.bounded and not p.parents for p in copied)
    assert not any(p.bounded for p in followed)
    assert len({p.id for p in (*copied, *followed)}) == len(copied) + len(followed)
    assert set(await world.source.follow_partitions()) == set(followed), "the same as long as nothing happens"


async def copy(world: SourceWorld) -> list[Batch[Document]]:
    return [b for p in await world.source.copy_partitions() for b in await read_until(world, p, forever)]


async def test_the_copy_hands_out_every_record_once(world: SourceWorld) -> None:
    for number, name in enumerate(NAMES):
        await world.put(name, number)
    rows = changes(await copy(world))
    assert sorted(c.key for c in rows) == sorted(key_of(n) for n in NAMES)
    for number, name in enumerate(NAMES):
        assert states(rows, name) == [document(name, number)]
    assert all(c.operation is Operation.UPSERT and c.committed_at is None and c.version == "" for c in rows)


async def test_the_copy_of_nothing_ends(world: SourceWorld) -> None:
    assert changes(await copy(world)) == []


async def test_the_copy_resumes_after_any_of_its_positions(world: SourceWorld) -> None:
    for number, name in enumerate(NAMES):
        await world.put(name, number)
    resumed: list[Change[Document]] = []
    for partition in await world.source.copy_partitions():
        batches = await read_until(world, partition, forever)
        for done, batch in enumerate(batches, start=1):
            if batch.position is None:
                assert done == len(batches), "only the end needs no position: it is the end"
                continue
            rest = changes(await read_until(world, partition, forever, Resume(batch.position)))
            assert [c.key for c in rest] == [c.key for c in changes(batches[done:])]
            resumed += rest
    assert resumed, "a world whose partitions are each one page shows nothing"


async def test_changes_come_in_the_order_of_each_key(world: SourceWorld) -> None:
    for number in range(3):
        for name in NAMES:
            await world.put(name, number)
    await world.delete(NAMES[0])
    await world.put(NAMES[0], 9)
    found = await read_changes(world, 3 * len(NAMES) + 2)
    everything = [c for batches in found.values() for c in changes(batches)]
    for name in NAMES[1:]:
        assert states(everything, name) == [document(name, number) for number in range(3)]
    assert states(everything, NAMES[0]) == [*[document(NAMES[0], n) for n in range(3)], None, document(NAMES[0], 9)]
    for batches in found.values():
        for batch in batches:
            assert batch.position is not None or not batch.changes, "what was handed out can be resumed after"
            assert batch.read >= len(batch.changes)


async def test_a_key_is_in_one_partition_only(world: SourceWorld) -> None:
    for number in range(2):
        for name in NAMES:
            await world.put(name, number)
    found = await read_changes(world, 2 * len(NAMES))
    homes = {(c.key, p.id) for p, batches in found.items() for c in changes(batches)}
    assert len(homes) == len(NAMES)


async def test_commit_times_are_the_sources_rounded_down_at_most(world: SourceWorld) -> None:
    before = world.source.clock.earliest()
    await world.put("n0", 1)
    after = world.source.clock.latest()
    (change,) = [c for batches in (await read_changes(world, 1)).values() for c in changes(batches)]
    assert change.committed_at is not None
    assert change.committed_at.tzinfo is not None
    assert before - timedelta(seconds=1) <= change.committed_at <= after


async def busiest(world: SourceWorld, count: int) -> tuple[Partition, list[Batch[Document]]]:
    """The partition with most of the changes, and its batches."""
    found = await read_changes(world, count)
    return max(found.items(), key=lambda item: len(changes(item[1])))


async def test_following_resumes_after_any_position(world: SourceWorld) -> None:
    for number in range(12):
        await world.put("n0", number)
    partition, batches = await busiest(world, 12)
    assert sum(bool(b.changes) for b in batches) > 1, "a world that reads all at once shows nothing"
    for done, batch in enumerate(batches, start=1):
        rest = changes(batches[done:])
        if batch.position is None or not rest:
            continue
        resumed = await read_until(world, partition, holds(len(rest)), Resume(batch.position))
        assert [c.record for c in changes(resumed)][: len(rest)] == [c.record for c in rest]


async def test_reading_until_a_position_ends_exactly_there(world: SourceWorld) -> None:
    """A replay that read further would fold in what was never begun, one that read less would lose it."""
    for number in range(8):
        await world.put("n0", number)
    partition, batches = await busiest(world, 8)
    ends = [b.position for b in batches if b.changes]
    for end in range(len(ends)):
        for begin in [None, *ends[:end]]:
            skipped = 0 if begin is None else ends.index(begin) + 1
            wanted = [c.record for b in [b for b in batches if b.changes][skipped : end + 1] for c in b.changes]
            replayed = await read_until(world, partition, forever, Resume(begin, until=ends[end]))
            assert [c.record for c in changes(replayed)] == wanted


async def test_what_is_skipped_is_surely_older_and_still_counted(world: SourceWorld) -> None:
    await world.put("n0", 1)
    await read_changes(world, 1)
    later = world.source.clock.latest() + timedelta(seconds=5)
    found: list[Batch[Document]] = []
    for partition in await world.source.follow_partitions():
        batches = await read_until(world, partition, lambda b: len(b) > 10, Resume(skip_before=later))
        found += batches
    assert changes(found) == []
    assert sum(b.read for b in found) == 1
    for partition in await world.source.follow_partitions():
        kept = Resume(skip_before=later - timedelta(seconds=60))
        found += await read_until(world, partition, lambda b: len(b) > 10, kept)
    assert len(changes(found)) == 1, "what may be newer is not skipped"


async def test_time_is_proven_while_idle_and_never_claims_what_is_still_to_come(world: SourceWorld) -> None:
    proven: list[datetime] = []
    (partition, *_) = await world.source.follow_partitions()
    await read_until(world, partition, lambda b: _proves(b, proven))
    assert proven[-1] <= world.source.clock.latest()
    await world.put("n0", 1)
    for batches in (await read_changes(world, 1)).values():
        claimed: datetime | None = None
        for batch in batches:
            for change in batch.changes:
                assert change.committed_at is not None
                late = claimed is not None and change.committed_at + timedelta(seconds=1) <= claimed
                assert not late or batch.late, "a record older than a claim is owned up to"
            claimed = max(filter(None, [claimed, batch.replicated_through]), default=None)


def _proves(batches: list[Batch[Document]], proven: list[datetime]) -> bool:
    proven.extend(b.replicated_through for b in batches[-1:] if b.replicated_through is not None)
    return bool(proven)


async def test_reading_can_be_cancelled_at_any_moment_and_begun_again(world: SourceWorld) -> None:
    await world.put("n0", 1)
    (partition, *_) = await world.source.follow_partitions()
    for patience_s in (0.0, 0.001, 0.005, 0.02):
        with anyio.move_on_after(patience_s):
            async with aclosing(world.source.read(partition, Resume())) as source:
                async for batch in source:
                    await anyio.sleep(batch.pause_s)
    assert changes([b for batches in (await read_changes(world, 1)).values() for b in batches])


async def test_a_lookup_answers_for_every_key_with_the_present(world: SourceWorld) -> None:
    await world.put("n0", 1)
    await world.put("n0", 2)
    await world.put("n1", 3)
    await world.delete("n1")
    keys = [key_of(n) for n in ("n0", "n1", "never")]
    found = await world.source.lookup(keys)
    assert set(found) == set(keys)
    assert found[keys[0]].record == document("n0", 2)
    assert [found[k].operation for k in keys] == [Operation.UPSERT, Operation.DELETE, Operation.DELETE]
    assert [c.key for c in found.values()] == keys
    assert await world.source.lookup([]) == {}


async def test_two_lookups_of_a_record_at_rest_are_equal(world: SourceWorld) -> None:
    """The guarded procedure tells by that whether it must begin again: a time of reading in it would never end."""
    await world.put("n0", 1)
    keys = [key_of("n0"), key_of("never")]
    assert await world.source.lookup(keys) == await world.source.lookup(keys)


async def test_more_keys_than_fit_into_one_call_are_looked_up(world: SourceWorld) -> None:
    names = [f"m{i}" for i in range(230)]
    for number, name in enumerate(names):
        await world.put(name, number)
    found = await world.source.lookup([key_of(n) for n in names])
    assert [found[key_of(n)].record for n in names] == [document(n, i) for i, n in enumerate(names)]


async def test_a_closed_partition_ends_and_what_continues_it_names_it(world: SourceWorld) -> None:
    if world.close_log is None:
        pytest.skip(PATIENCE)
    for name in NAMES:
        await world.put(name, 1)
    before = await world.source.follow_partitions()
    await world.close_log()
    for name in NAMES:
        await world.put(name, 2)
    ended = [c for p in before for c in changes(await read_until(world, p, forever))]
    assert sorted(c.key for c in ended) == sorted(key_of(n) for n in NAMES)
    with anyio.fail_after(world.patience_s):
        while len(after := await world.source.follow_partitions()) <= len(before):  # noqa: ASYNC110 — a source has no event for it
            await anyio.sleep(0.01)
    children = [p for p in after if p.parents]
    assert {parent for p in children for parent in p.parents} == {p.id for p in before}


async def test_a_position_that_was_trimmed_is_lost_and_says_so(world: SourceWorld) -> None:
    if world.trim is None:
        pytest.skip(PATIENCE)
    for number in range(12):
        await world.put("n0", number)
    partition, batches = await busiest(world, 12)
    first = next(b.position for b in batches if b.changes)
    await world.trim()
    with pytest.raises(PositionLostError):
        await read_until(world, partition, lambda b: len(b) > 3, Resume(first))

"""What sources promise that have something to copy beside what is followed."""

from typing import Any

import pytest
from contracts.reading import NAMES, changes, copy, forever, put_all, read_until, states
from contracts.worlds.sides import SourceCan, SourceWorld

from replicator.model import Change, Operation, Resume
from replicator.ports import Source

pytestmark = pytest.mark.sources(SourceCan.COPIES)


async def test_even_an_empty_source_has_something_to_copy_from_and_it_ends(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    assert await source.copy_partitions()
    assert changes(await copy(world, source)) == []


async def test_the_copy_hands_out_every_record_once(world: SourceWorld[Any], source: Source[Any]) -> None:
    keys = await put_all(world)
    batches = await copy(world, source)
    assert sorted(c.key for c in changes(batches)) == sorted(keys)
    assert sum(b.read for b in batches) == len(keys)
    assert not any(b.receipts for b in batches), "there is nothing to settle"


async def test_a_record_that_is_gone_is_not_copied(world: SourceWorld[Any], source: Source[Any]) -> None:
    await put_all(world)
    await world.delete(NAMES[2])
    assert world.key(NAMES[2]) not in {c.key for c in changes(await copy(world, source))}


async def test_the_copy_resumes_after_any_of_its_positions(world: SourceWorld[Any], source: Source[Any]) -> None:
    await put_all(world)
    resumed: list[Change[Any]] = []
    for partition in await source.copy_partitions():
        batches = await read_until(world, source, partition, forever)
        for done, batch in enumerate(batches, start=1):
            if batch.position is None:
                assert done == len(batches), "only the end needs no position: it is the end"
                continue
            rest = changes(await read_until(world, source, partition, forever, Resume(batch.position)))
            assert [c.key for c in rest] == [c.key for c in changes(batches[done:])]
            resumed += rest
    assert resumed, "a world whose partitions are each one page shows nothing"


@pytest.mark.sources(SourceCan.ROWS)
async def test_a_copied_row_is_a_whole_record_without_version_or_commit(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    keys = await put_all(world)
    rows = changes(await copy(world, source))
    assert await states(world, rows) == {key: [number] for number, key in enumerate(keys)}
    assert all(c.operation is Operation.UPSERT and c.committed_at is None and c.version == "" for c in rows)


@pytest.mark.sources(SourceCan.LISTS)
async def test_a_listed_row_says_only_where_to_look_and_which_version_is_there(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    """By that the engine passes over what the target was made from already."""
    keys = await put_all(world)
    rows = changes(await copy(world, source))
    found = await source.lookup(keys)
    assert all(row.operation is Operation.LOOK for row in rows)
    assert all(row.version for row in rows)
    assert {row.key: row.version for row in rows} == {key: found[key].version for key in keys}


@pytest.mark.sources(SourceCan.LISTS)
async def test_the_listed_version_is_another_one_once_a_record_has_changed(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    await put_all(world)
    before = {row.key: row.version for row in changes(await copy(world, source))}
    assert {row.key: row.version for row in changes(await copy(world, source))} == before, "nothing has happened"
    await world.put(NAMES[0], 100)
    after = {row.key: row.version for row in changes(await copy(world, source))}
    assert {key for key in before if before[key] != after[key]} == {world.key(NAMES[0])}


@pytest.mark.sources(SourceCan.LISTS)
async def test_what_is_only_looked_at_is_never_stale(source: Source[Any]) -> None:
    """So the copy may write under the rule for what is followed."""
    assert source.stale_rows is False

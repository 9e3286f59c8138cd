"""What targets promise that keep records by key."""

from typing import Any

import anyio
import pytest
from contracts.worlds.sides import TargetCan, TargetWorld
from contracts.writing import NAMES, foreign_of, keys_of, listed, replaced, sweep, watched, write

from replicator.model import ABSENT, Marker, Operation, Rule
from replicator.ports import Target

pytestmark = pytest.mark.targets(TargetCan.HOLDS)

ONE, TWO, OTHER = Marker("m", 1, "g1"), Marker("m", 1, "g2"), Marker("x", 9, "g9")


@pytest.mark.targets(TargetCan.WRITES)
@pytest.mark.parametrize("rule", [Rule.OVERLAP, Rule.FOLLOW])
async def test_changes_are_written_whatever_is_there_and_again(
    world: TargetWorld[Any], target: Target[Any], rule: Rule
) -> None:
    first = [world.upsert("a", 1), world.upsert("b", 2)]
    for changes in (first, [world.upsert("a", 3), world.delete("b"), world.delete("c")]):
        for _ in range(2):
            assert await target.apply(changes, rule) == []
    assert await world.held() == {world.key("a"): 3}


@pytest.mark.targets(TargetCan.WRITES)
async def test_a_copied_row_is_created_only_if_absent(world: TargetWorld[Any], target: Target[Any]) -> None:
    await target.apply([world.upsert("a", 5)], Rule.FOLLOW)
    assert await target.apply([world.upsert("a", 1), world.upsert("b", 2)], Rule.COPY) == []
    assert await world.held() == {world.key("a"): 5, world.key("b"): 2}


@pytest.mark.targets(TargetCan.WRITES)
@pytest.mark.parametrize("rule", list(Rule))
async def test_what_it_never_takes_is_returned_under_every_rule(
    world: TargetWorld[Any], target: Target[Any], rule: Rule
) -> None:
    (rejection,) = await target.apply([world.upsert("a", 1), world.refused], rule)
    assert rejection.key == world.refused.key
    assert await world.held() == {world.key("a"): 1}


async def test_it_is_empty_exactly_while_it_holds_nothing(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, world.upsert("a", 1))
    assert not await target.is_empty()
    await write(world, world.delete("a"))
    assert await target.is_empty()


async def test_many_records_are_removed_at_once(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, *[world.upsert(n, i) for i, n in enumerate(NAMES)])
    assert await write(world, *[world.delete(n) for n in NAMES[1:]]) == []
    assert await world.held() == {world.key(NAMES[0]): 0}


async def test_what_is_observed_tells_equal_records_by_their_fingerprint(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await write(world, world.upsert("a", 1))
    observed = await target.observe([world.key("a"), world.key("c")])
    assert observed[world.key("a")].guard is not None
    assert observed[world.key("a")].digest == target.fingerprint(world.upsert("a", 1))
    assert observed[world.key("a")].digest != target.fingerprint(world.upsert("a", 2))
    assert observed[world.key("c")] == ABSENT
    assert target.fingerprint(world.delete("c")) is None


async def test_the_guard_is_another_one_after_every_change(world: TargetWorld[Any], target: Target[Any]) -> None:
    guards = []
    for change in (world.upsert("a", 1), world.upsert("a", 2), world.upsert("a", 1)):
        await write(world, change)
        guards.append((await target.observe([change.key]))[change.key].guard)
    assert None not in guards
    assert len(set(guards)) == 3


@pytest.mark.targets(TargetCan.VERSIONS)
async def test_the_version_that_a_record_was_made_from_is_observed(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """By that a listing passes over what has not changed: a version that is not there yet would hide a change."""
    for number in (1, 2):
        change = world.upsert("a", number)
        assert change.version
        await write(world, change)
        observed = await target.observe([change.key])
        assert observed[change.key].version == change.version


async def test_a_guarded_write_brings_each_key_to_what_is_wanted(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, world.upsert("a", 1), world.upsert("b", 1))
    await replaced(world, world.upsert("a", 2), world.delete("b"), world.upsert("c", 3), world.delete("d"))
    assert await world.held() == {world.key("a"): 2, world.key("c"): 3}
    await replaced(world, world.delete("a"), world.delete("c"))
    assert await world.held() == {}


async def test_what_is_equal_already_is_not_written_again(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, world.upsert("a", 1))
    before = await replaced(world, world.upsert("a", 1))
    assert await target.observe([world.key("a")]) == before


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.DELETE])
async def test_a_guarded_write_is_refused_when_the_target_has_moved_on(
    world: TargetWorld[Any], target: Target[Any], operation: Operation
) -> None:
    await write(world, world.upsert("a", 1))
    for newer in (world.upsert("a", 2), world.delete("a")):
        observed = await target.observe([world.key("a")])
        await write(world, newer)
        held = await world.held()
        wanted = world.upsert("a", 9) if operation is Operation.UPSERT else world.delete("a")
        result = await target.replace({world.key("a"): wanted}, observed, Rule.FOLLOW)
        if operation is Operation.UPSERT or held:
            assert result.conflicts == (world.key("a"),)
        assert await world.held() == held


async def test_a_guarded_creation_is_refused_when_something_came_to_be(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await write(world, world.upsert("a", 2))
    result = await target.replace({world.key("a"): world.upsert("a", 1)}, {world.key("a"): ABSENT}, Rule.FOLLOW)
    assert result.conflicts == (world.key("a"),)
    assert await world.held() == {world.key("a"): 2}


@pytest.mark.targets(TargetCan.LOSES, TargetCan.WRITES)
@pytest.mark.parametrize("lands", [True, False])
async def test_a_write_whose_answer_was_lost_is_repeated_and_a_later_one_waits(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    begun = anyio.current_time()
    assert await write(world, world.upsert("a", 1)) == []
    assert await world.held() == {world.key("a"): 1}
    await write(world, world.upsert("a", 2))
    assert anyio.current_time() - begun >= world.lifetime_s
    await anyio.sleep(world.lifetime_s)
    assert await world.held() == {world.key("a"): 2}


@pytest.mark.targets(TargetCan.LOSES)
@pytest.mark.parametrize("lands", [True, False])
async def test_a_guarded_write_whose_answer_was_lost_is_a_conflict_once_it_is_over(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    await write(world, world.upsert("a", 1))
    observed = await target.observe([world.key("a")])
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    result = await target.replace({world.key("a"): world.upsert("a", 2)}, observed, Rule.FOLLOW)
    assert result.conflicts == (world.key("a"),)
    held = await world.held()
    assert held == {world.key("a"): 2 if lands else 1}
    await anyio.sleep(world.lifetime_s)
    assert await world.held() == held, "nothing can take effect any more"


async def test_a_scan_shows_everything_and_resumes_after_any_position(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await write(world, *[world.upsert(n, 1) for n in NAMES])
    pages = await listed(world)
    assert sorted(keys_of(pages)) == sorted(world.key(n) for n in NAMES)
    assert foreign_of(pages) == []
    for done, page in enumerate(pages, start=1):
        resumed = await listed(world, page.position)
        assert set(keys_of(pages[done:])) <= set(keys_of(resumed))


async def test_a_scan_of_nothing_ends(world: TargetWorld[Any], target: Target[Any]) -> None:
    assert keys_of(await listed(world)) == []


@pytest.mark.targets(TargetCan.FOREIGN)
async def test_foreign_entries_are_named_and_removed_only_on_request(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await write(world, world.upsert("a", 1))
    await world.put_foreign("stranger")
    pages = await listed(world)
    assert keys_of(pages) == [world.key("a")]
    handles = foreign_of(pages)
    assert len(handles) == 1
    await world.put_foreign("stranger")
    await target.remove_foreign(handles)
    assert len(foreign_of(await listed(world))) == 1, "it has changed since"
    await target.remove_foreign(foreign_of(await listed(world)))
    await target.remove_foreign(foreign_of(await listed(world)))
    assert foreign_of(await listed(world)) == []
    assert await world.held() == {world.key("a"): 1}


@pytest.mark.targets(TargetCan.LEFTOVERS)
async def test_what_is_ours_but_not_where_it_belongs_is_named_apart_and_removed_on_request(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """Another config has put it there, whose writes nobody finds any more by the record's key."""
    await write(world, world.upsert("a", 1))
    for name in ("a", "b"):
        await world.put_leftover(name)
    pages = await listed(world)
    assert keys_of(pages) == [world.key("a")]
    assert foreign_of(pages) == []
    handles = [h for page in pages for h in page.leftovers]
    assert len(handles) == 2
    await world.put_leftover("a")
    await target.remove_foreign(handles)
    changed_since = [h for page in await listed(world) for h in page.leftovers]
    assert len(changed_since) == 1
    await target.remove_foreign(changed_since)
    assert [h for page in await listed(world) for h in page.leftovers] == []
    assert await world.held() == {world.key("a"): 1}


@pytest.mark.targets(TargetCan.FOREIGN, TargetCan.LOSES)
@pytest.mark.parametrize("lands", [True, False])
async def test_a_removal_whose_answer_was_lost_is_finished(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    await world.put_foreign("stranger")
    handles = foreign_of(await listed(world))
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    await target.remove_foreign(handles)
    assert await target.is_empty()


@pytest.mark.targets(TargetCan.FOREIGN)
async def test_what_somebody_else_wrote_over_a_record_is_not_taken_for_it(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """Else a repair, or a listing that shows the version it was made from, would pass over it."""
    await write(world, world.upsert("a", 1))
    (ours,) = (await target.observe([world.key("a")])).values()
    await world.put_foreign("a")
    (theirs,) = (await target.observe([world.key("a")])).values()
    assert theirs.guard not in {None, ours.guard}
    assert (theirs.digest, theirs.version) == (None, "")
    await replaced(world, world.upsert("a", 1))
    assert await world.held() == {world.key("a"): 1}


@pytest.mark.targets(TargetCan.FOREIGN)
async def test_whatever_is_not_of_our_making_is_named_when_it_is_watched(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """A record of ours that somebody else wrote over, and one that never was ours; no other, and each only once."""
    await write(world, *[world.upsert(name, i) for i, name in enumerate(NAMES)])
    records, foreign, position = await watched(world)
    assert (records, foreign) == (len(NAMES), [])
    for name in (NAMES[3], "stranger"):
        await world.put_foreign(name)
    _, foreign, position = await watched(world, position or None)
    assert len(foreign) == len({record.handle for record in foreign}) == 2
    assert await target.still_foreign(foreign) == foreign
    _, again, _ = await watched(world, position or None)
    assert again in ([], foreign), "nothing where there is a log, the same where there is none"


@pytest.mark.targets(TargetCan.FOREIGN)
async def test_what_was_mended_or_removed_is_foreign_no_longer(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, world.upsert("a", 1))
    for name in ("a", "stranger"):
        await world.put_foreign(name)
    _, foreign, _ = await watched(world)
    await replaced(world, world.upsert("a", 2))
    (left,) = await target.still_foreign(foreign)
    await target.remove_foreign(foreign_of(await listed(world)))
    assert await target.still_foreign([left]) == []


@pytest.mark.targets(TargetCan.FOREIGN)
async def test_a_target_with_foreign_entries_is_not_empty(world: TargetWorld[Any], target: Target[Any]) -> None:
    await world.put_foreign("stranger")
    assert not await target.is_empty()


async def test_the_marker_is_replaced_only_on_condition(world: TargetWorld[Any], target: Target[Any]) -> None:
    assert await target.write_marker(ONE, None)
    assert await target.read_marker() == ONE
    assert not await target.write_marker(OTHER, None)
    assert not await target.write_marker(OTHER, TWO)
    assert await target.read_marker() == ONE
    assert await target.write_marker(TWO, ONE)
    assert await target.read_marker() == TWO


async def test_a_marker_write_repeated_after_an_unknown_outcome_is_no_conflict_with_itself(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    assert await target.write_marker(ONE, None)
    assert await target.write_marker(ONE, None)
    assert await target.write_marker(TWO, ONE)
    assert await target.write_marker(TWO, ONE)


async def test_the_marker_is_no_record(world: TargetWorld[Any], target: Target[Any]) -> None:
    await target.write_marker(ONE, None)
    assert await target.is_empty()
    assert [entry for page in await listed(world) for entry in (*page.keys, *page.foreign)] == []
    assert await sweep(world) == []
    assert await target.read_marker() == ONE

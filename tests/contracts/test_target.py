"""What every target promises. See `contracts.worlds` for how to run it against another one."""

import re
from typing import Any

import pytest
from contracts.worlds.sides import TargetCan, TargetWorld
from contracts.writing import NAMES, sweep, write

from replicator.model import ABSENT, EVERYBODYS, Rule
from replicator.ports import Target

pytestmark = pytest.mark.targets()


async def test_creating_is_idempotent_and_leaves_it_empty(world: TargetWorld[Any], target: Target[Any]) -> None:
    await target.create()
    assert await target.is_empty()
    assert await world.held() == {}
    assert await sweep(world) == []


async def test_what_is_written_is_held_and_again_as_well(world: TargetWorld[Any], target: Target[Any]) -> None:
    for _ in range(2):
        assert await write(world, world.upsert("a", 1), world.upsert("b", 2)) == []
        assert await world.held() == {world.key("a"): 1, world.key("b"): 2}
    assert await write(world) == []


async def test_many_changes_of_different_keys_go_at_once(world: TargetWorld[Any], target: Target[Any]) -> None:
    assert await write(world, *[world.upsert(n, i) for i, n in enumerate(NAMES)]) == []
    assert await world.held() == {world.key(n): i for i, n in enumerate(NAMES)}


async def test_what_it_never_takes_is_returned_and_the_others_are_written(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    (rejection,) = await write(world, world.upsert("a", 1), world.refused, world.upsert("b", 2))
    assert rejection.key == world.refused.key
    assert rejection.reason
    assert await world.held() == {world.key("a"): 1, world.key("b"): 2}


@pytest.mark.targets(TargetCan.LOSES, TargetCan.WRITES)
@pytest.mark.parametrize("lands", [True, False])
async def test_a_write_whose_answer_was_lost_is_repeated(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    assert await target.apply([world.upsert("a", 1)], Rule.FOLLOW) == []
    assert await world.held() == {world.key("a"): 1}


async def test_every_key_asked_for_is_observed(world: TargetWorld[Any], target: Target[Any]) -> None:
    await write(world, world.upsert("a", 1))
    keys = [world.key(n) for n in (*NAMES, "a")]
    observed = await target.observe(keys)
    assert set(observed) == set(keys)
    assert all(observed[world.key(n)] == ABSENT for n in NAMES)
    assert await target.observe([]) == {}


@pytest.mark.targets(TargetCan.HOLDS)
async def test_a_target_that_keeps_records_is_nobodys_at_first(target: Target[Any]) -> None:
    assert await target.read_marker() is None


@pytest.mark.targets(TargetCan.HOLDS)
async def test_what_it_never_takes_is_refused_guarded_and_has_no_fingerprint(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    refused = world.refused
    result = await target.replace({refused.key: refused}, {refused.key: ABSENT}, Rule.FOLLOW)
    assert [r.key for r in result.rejections] == [refused.key]
    assert result.conflicts == ()
    with pytest.raises(ValueError, match=re.escape(result.rejections[0].reason)):
        target.fingerprint(refused)


@pytest.mark.targets(TargetCan.PASSES)
async def test_a_target_that_passes_on_is_everybodys_and_always_empty(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """There is nothing to compare, to repair or to own."""
    await write(world, world.upsert("a", 1))
    assert await target.is_empty()
    assert await target.read_marker() == EVERYBODYS
    assert await target.write_marker(EVERYBODYS, EVERYBODYS)
    assert target.fingerprint(world.upsert("a", 1)) is None
    assert [page async for page in target.scan(None)] == []

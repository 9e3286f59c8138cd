"""What targets promise that can be written beside a copy: tombstones, and expiry that is held off until its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from contracts.worlds.sides import TargetCan, TargetWorld
from contracts.writing import NAMES, keys_of, listed, replaced, sweep

from replicator.model import ABSENT, Change, Rule
from replicator.ports import Target

pytestmark = pytest.mark.targets(TargetCan.HOLDS, TargetCan.WRITES, TargetCan.OVERLAPS)


def far(change: Change[Any], seconds: float = 3600) -> Change[Any]:
    """The same change of a record that expires."""
    return replace(change, expires_at=datetime.now(UTC) + timedelta(seconds=seconds))


async def test_beside_a_copy_a_delete_keeps_a_late_row_from_coming_back(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await target.apply([world.upsert("a", 5)], Rule.OVERLAP)
    await target.apply([world.delete("a"), world.delete("never there")], Rule.OVERLAP)
    await target.apply([world.upsert("a", 1), world.upsert("never there", 1)], Rule.COPY)
    assert await world.held() == {}
    await target.apply([world.upsert("a", 6)], Rule.OVERLAP)
    assert await world.held() == {world.key("a"): 6}


async def test_the_sweep_leaves_no_tombstone_and_nothing_else_is_touched(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await target.apply([world.upsert(n, 1) for n in NAMES], Rule.OVERLAP)
    gone, kept = NAMES[::2], NAMES[1::2]
    await target.apply([world.delete(n) for n in gone], Rule.OVERLAP)
    assert sum(await sweep(world)) == len(gone)
    assert await world.held() == {world.key(n): 1 for n in kept}
    assert len(keys_of(await listed(world))) == len(kept)
    assert await sweep(world) == [], "idempotent"


@pytest.mark.targets(TargetCan.LOSES)
@pytest.mark.parametrize("lands", [True, False])
async def test_the_sweep_finishes_although_answers_are_lost(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    await target.apply([far(world.upsert("a", 1)), world.delete("b"), world.delete("c")], Rule.OVERLAP)
    for _ in range(2):
        world.lose_next(world.lifetime_s * 0.6 if lands else None)
    await sweep(world)
    assert await sweep(world) == []
    assert len(keys_of(await listed(world))) == 1, "and no tombstone is left"


async def test_expiry_is_held_off_until_the_sweep(world: TargetWorld[Any], target: Target[Any]) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)  # it must arrive before that
    await target.apply([replace(world.upsert("a", 1), expires_at=soon)], Rule.COPY)
    await target.apply([far(world.upsert("b", 1))], Rule.OVERLAP)
    await anyio.sleep((soon - datetime.now(UTC)).total_seconds())
    assert (await target.observe([world.key("a")]))[world.key("a")].guard is not None
    assert sum(await sweep(world)) == 2
    with anyio.fail_after(30):
        while world.key("a") in await world.held():  # noqa: ASYNC110 — the target's own clock tells nobody
            await anyio.sleep(0.02)
    assert world.key("b") in await world.held()
    assert await sweep(world) == []


async def test_a_record_past_its_expiry_counts_as_deleted_when_it_arrives(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    gone = far(world.upsert("a", 2), -60)
    await target.apply([gone], Rule.COPY)
    assert await world.held() == {}
    await target.apply([world.upsert("a", 1)], Rule.OVERLAP)
    await target.apply([gone], Rule.OVERLAP)
    await target.apply([world.upsert("a", 0)], Rule.COPY)
    assert await world.held() == {}, "a late copied row does not bring it back either"
    await sweep(world)
    await target.apply([world.upsert("a", 1)], Rule.FOLLOW)
    await target.apply([gone], Rule.FOLLOW)
    assert await target.observe([world.key("a")]) == {world.key("a"): ABSENT}
    assert target.fingerprint(gone) is None


async def test_a_tombstone_is_observed_as_no_record_of_ours(world: TargetWorld[Any], target: Target[Any]) -> None:
    await target.apply([world.delete("b")], Rule.OVERLAP)
    (observed,) = (await target.observe([world.key("b")])).values()
    assert observed.guard is not None, "it can be written over, guarded"
    assert observed.digest is None


async def test_a_guarded_write_over_a_tombstone_and_a_guarded_removal_of_one(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    await target.apply([world.delete("a"), world.delete("b")], Rule.OVERLAP)
    await replaced(world, world.upsert("a", 1), world.delete("b"))
    assert await world.held() == {world.key("a"): 1}
    assert await target.observe([world.key("b")]) == {world.key("b"): ABSENT}, (
        "what a repair leaves behind is no tombstone"
    )


async def test_beside_a_copy_a_guarded_delete_leaves_a_tombstone_even_of_nothing(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    """A row read before may still come; and its delete in the stream will be dropped as known to the reconcile."""
    await target.apply([world.upsert("a", 1)], Rule.OVERLAP)
    await replaced(world, world.delete("a"), world.delete("b"), rule=Rule.OVERLAP)
    await target.apply([world.upsert("a", 0), world.upsert("b", 0)], Rule.COPY)
    assert await world.held() == {}
    assert sum(await sweep(world)) == 2
    assert await target.is_empty()

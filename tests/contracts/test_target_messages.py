"""What targets promise that pass messages on."""

from typing import Any

import pytest
from contracts.worlds.sides import TargetCan, TargetWorld

from replicator.model import Change, Rule
from replicator.ports import Target

pytestmark = pytest.mark.targets(TargetCan.PASSES)

GROUPS = ("red", "blue", "green")


async def apply(target: Target[Any], changes: list[Change[Any]]) -> list[str]:
    """The keys that it does not take."""
    return [rejection.key for rejection in await target.apply(changes, Rule.FOLLOW)]


@pytest.mark.parametrize("rule", list(Rule))
async def test_messages_come_with_any_rule(world: TargetWorld[Any], target: Target[Any], rule: Rule) -> None:
    assert await target.apply([world.upsert("a", 1), world.upsert("b", 2)], rule) == []
    assert await world.held() == {world.key("a"): 1, world.key("b"): 2}


async def test_a_message_that_is_sent_again_is_found_once(world: TargetWorld[Any], target: Target[Any]) -> None:
    """It is delivered again when it could not be settled; a consumer must be able to tell."""
    for _ in range(3):
        assert await apply(target, [world.upsert("a", 1), world.upsert("b", 2)]) == []
    assert sorted(await world.consumed()) == sorted([world.key("a"), world.key("b")])


def by_turns(world: TargetWorld[Any], first: int, count: int) -> list[Change[Any]]:
    return [world.in_group(g, f"{g}{n:02}", n) for n in range(first, first + count) for g in GROUPS]


async def of_group(world: TargetWorld[Any], group: str) -> list[str]:
    """What a consumer finds of it."""
    keys = {world.in_group(group, f"{group}{n:02}", n).key for n in range(50)}
    return [key for key in await world.consumed() if key in keys]


@pytest.mark.targets(TargetCan.GROUPS)
async def test_messages_of_a_group_keep_their_order(world: TargetWorld[Any], target: Target[Any]) -> None:
    for first in (0, 15, 30):
        assert await apply(target, by_turns(world, first, 15)) == []
    for group in GROUPS:
        assert await of_group(world, group) == [world.in_group(group, f"{group}{n:02}", n).key for n in range(45)]


@pytest.mark.targets(TargetCan.GROUPS)
async def test_a_refused_message_takes_those_behind_it_along_and_no_others(
    world: TargetWorld[Any], target: Target[Any]
) -> None:
    sent = by_turns(world, 0, 6)
    at = next(i for i, change in enumerate(sent) if change.key == world.in_group("red", "red02", 2).key)
    sent[at] = world.in_group("red", "red02", None)
    refused = await apply(target, sent)
    assert sorted(refused) == sorted(world.in_group("red", f"red{n:02}", n).key for n in range(2, 6))
    assert await of_group(world, "red") == [world.in_group("red", f"red{n:02}", n).key for n in range(2)]
    for group in ("blue", "green"):
        assert await of_group(world, group) == [world.in_group(group, f"{group}{n:02}", n).key for n in range(6)]


async def test_a_refused_message_without_a_group_takes_none_along(world: TargetWorld[Any], target: Target[Any]) -> None:
    assert await apply(target, [world.refused, world.upsert("a", 1)]) == [world.refused.key]
    assert await world.held() == {world.key("a"): 1}


@pytest.mark.targets(TargetCan.GROUPS, TargetCan.LOSES)
@pytest.mark.parametrize("lands", [True, False])
async def test_a_group_keeps_its_order_although_an_answer_is_lost(
    world: TargetWorld[Any], target: Target[Any], lands: bool
) -> None:
    """Whatever is behind a message waits until that is surely there."""
    world.lose_next(world.lifetime_s * 0.6 if lands else None)
    sent = [world.in_group("red", f"red{n:02}", n) for n in range(5)]
    assert await apply(target, sent) == []
    assert await of_group(world, "red") == [change.key for change in sent]

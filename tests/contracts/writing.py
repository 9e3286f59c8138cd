"""Short forms that the target suites share."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from contracts.worlds.sides import TargetCan, TargetWorld

from replicator.model import Change, Foreign, Listed, Observed, Rejection, Rule

NAMES = [f"n{i:03}" for i in range(130)]


async def write(world: TargetWorld[Any], *changes: Change[Any], rule: Rule = Rule.FOLLOW) -> list[Rejection]:
    """By whatever way this target takes changes: as they come, or guarded by what is there."""
    if TargetCan.WRITES in world.can:
        return await world.target.apply(changes, rule)
    by_key = {change.key: change for change in changes}
    result = await world.target.replace(by_key, await world.target.observe(list(by_key)), rule)
    assert result.conflicts == ()
    return list(result.rejections)


async def replaced(world: TargetWorld[Any], *changes: Change[Any], rule: Rule = Rule.FOLLOW) -> dict[str, Observed]:
    """Writes guarded by what is there, without any conflict; what was there."""
    by_key = {change.key: change for change in changes}
    observed = await world.target.observe(list(by_key))
    result = await world.target.replace(by_key, observed, rule)
    assert (result.rejections, result.conflicts) == ((), ())
    return observed


async def listed(world: TargetWorld[Any], position: str | None = None) -> list[Listed]:
    """All pages."""
    async with aclosing(world.target.scan(position)) as pages:
        return [page async for page in pages]


def keys_of(pages: Sequence[Listed]) -> list[str]:
    """Of the records listed."""
    return [key for page in pages for key in page.keys]


def foreign_of(pages: Sequence[Listed]) -> list[str]:
    """The handles of what is not ours."""
    return [handle for page in pages for handle in page.foreign]


async def sweep(world: TargetWorld[Any]) -> list[int]:
    """The progress that it reports."""
    removed: list[int] = []
    await world.target.sweep(removed.append)
    return removed


async def watched(world: TargetWorld[Any], position: str | None = None) -> tuple[int, list[Foreign], str | None]:
    """How many records were looked at, which are foreign, and where to go on."""
    records, foreign = 0, list[Foreign]()
    async with aclosing(world.target.watch(position)) as pages:
        async for page in pages:
            records += page.records
            foreign += page.foreign
            position = page.position
    return records, foreign, position

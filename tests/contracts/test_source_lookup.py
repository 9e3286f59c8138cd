"""What sources promise whose records can be looked up."""

from datetime import timedelta
from typing import Any

import pytest
from contracts.worlds.sides import SourceCan, SourceWorld

from replicator.model import Barriers, Operation
from replicator.ports import Source

pytestmark = pytest.mark.sources(SourceCan.LOOKUP)

MANY = [f"m{i:03}" for i in range(230)]


async def test_a_lookup_answers_for_every_key_with_the_present(world: SourceWorld[Any], source: Source[Any]) -> None:
    await world.put("n0", 1)
    await world.put("n0", 2)
    await world.put("n1", 3)
    await world.delete("n1")
    keys = [world.key(n) for n in ("n0", "n1", "never")]
    found = await source.lookup(keys)
    assert set(found) == set(keys)
    assert [await world.state(found[k]) for k in keys] == [2, None, None]
    assert [found[k].operation for k in keys] == [Operation.UPSERT, Operation.DELETE, Operation.DELETE]
    assert [c.key for c in found.values()] == keys
    assert await source.lookup([]) == {}


async def test_two_lookups_of_a_record_at_rest_are_equal(world: SourceWorld[Any], source: Source[Any]) -> None:
    """The guarded procedure tells by that whether it must begin again: a time of reading in it would never end."""
    await world.put("n0", 1)
    keys = [world.key("n0"), world.key("never")]
    assert await source.lookup(keys) == await source.lookup(keys)


async def test_two_lookups_of_a_record_that_has_changed_differ(world: SourceWorld[Any], source: Source[Any]) -> None:
    key = world.key("n0")
    seen = []
    for number in (1, 2):
        await world.put("n0", number)
        seen.append(await source.lookup([key]))
    await world.delete("n0")
    seen.append(await source.lookup([key]))
    assert all(one != other for at, one in enumerate(seen) for other in seen[:at])


async def test_more_keys_than_fit_into_one_call_are_looked_up(world: SourceWorld[Any], source: Source[Any]) -> None:
    for number, name in enumerate(MANY):
        await world.put(name, number)
    found = await source.lookup([world.key(n) for n in MANY])
    assert [await world.state(found[world.key(n)]) for n in MANY] == list(range(len(MANY)))


async def test_what_is_missing_is_what_a_lookup_does_not_find(world: SourceWorld[Any], source: Source[Any]) -> None:
    """However many are asked for at once, in whatever order, whether a run of them is there or not."""
    assert await source.missing([world.key(n) for n in MANY]) == {world.key(n) for n in MANY}, "nothing is there"
    for number, name in enumerate(MANY):
        if number < 40 or number % 7 == 0:
            await world.put(name, number)
    await world.delete(MANY[3])
    await world.delete(MANY[-1])
    keys = [world.key(n) for n in MANY]
    found = await source.lookup(keys)
    gone = {key for key in keys if found[key].operation is Operation.DELETE}
    for asked in (sorted(keys), keys[::-1], keys[3:4], keys[::5]):
        assert await source.missing(asked) == gone & set(asked)
    assert await source.missing([]) == set()


async def test_what_may_have_been_made_again_since_a_walk_began_is_told_with_what_is_missing(
    world: SourceWorld[Any], source: Source[Any]
) -> None:
    """Of a run of keys and of single ones."""
    if source.relist_interval is None:
        pytest.skip("never walked again")
    names = MANY[:40]
    for number, name in enumerate(names):
        await world.put(name, number)
    keys, now = [world.key(n) for n in names], source.clock.latest()
    for asked in (keys, keys[5:6]):
        assert await source.missing(asked, now - timedelta(hours=1)) == set(asked)
        assert await source.missing(asked, now + timedelta(hours=1)) == set()


async def test_a_key_that_there_may_be_is_known_by_its_text(world: SourceWorld[Any], source: Source[Any]) -> None:
    """Whoever asks from outside may send anything; what is no key must never be looked up."""
    await world.put("n0", 1)
    assert source.is_key(world.key("n0"))
    assert source.is_key(world.key("never"))
    assert not source.is_key("")
    assert not source.is_key("\ud800")
    assert source.barriers is not Barriers.NOTHING

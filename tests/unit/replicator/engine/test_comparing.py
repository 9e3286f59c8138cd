"""Promises of the comparison: equal means that both sides hold the same records, each once, and nothing else."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from fakes.bucket import BucketRig
from fakes.memory import Entry
from fakes.records import document, key_of
from fakes.rig import Rig, load
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.engine.comparing import Comparing, Comparison
from replicator.model import Change, Listed
from replicator.ports import Target


def sides_of(rig: Rig) -> Rig:
    """A source of eight records, and a target that holds the same."""
    load(rig)
    for key, record in rig.table.expected().items():
        rig.service.put(key, record)
    return rig


def table() -> Rig:
    return sides_of(Rig(page=3))


def bucket() -> Rig:
    """Its listing shows a part of each record only."""
    return sides_of(BucketRig())


async def compare(sides: Rig, target: Target[Document] | None = None) -> Comparison:
    await sides.pipeline.source.connect()
    return await Comparing(sides.pipeline.source, target or sides.pipeline.target, lambda _: None).run()


@pytest.mark.parametrize("make", [table, bucket])
def test_equal_sides_are_equal(make: Callable[[], Rig]) -> None:
    @in_virtual_time
    async def run() -> None:
        compared = await compare(make())
        assert compared == Comparison(source_records=8, target_records=8, equal=8)
        assert compared.is_equal

    run()


def found(target_records: int, equal: int, named: str = "", **counts: int) -> Comparison:
    return Comparison(8, target_records, equal, **counts, named=[named] if named else [])


DIFFERENCES: dict[str, tuple[Entry | None, Comparison]] = {
    "n0": (None, found(7, 7, f"missing: {key_of('n0')}", missing=1)),
    "n1": (Entry("e", document("n1", 99)), found(8, 7, f"different: {key_of('n1')}", different=1)),
    "n2": (Entry("e", None), found(8, 7, f"different: {key_of('n2')}", different=1)),
    "x": (Entry("e", document("x", 0)), found(9, 8, f"extra: {key_of('x')}", extra=1)),
    "y": (Entry("e", document("y", 0), foreign=True), found(8, 8, foreign=1)),
    "z": (Entry("e", document("n3", 1), leftover=True), found(8, 8, foreign=1)),
}


@pytest.mark.parametrize("make", [table, bucket])
@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_difference_is_counted_and_named(name: str, make: Callable[[], Rig]) -> None:
    """A tombstone in the place of a record, and what is left from another config, are differences too."""
    entry, expected = DIFFERENCES[name]

    @in_virtual_time
    async def run() -> None:
        sides = make()
        sides.service.remove(key_of(name))
        if entry is not None:
            sides.service.entries[key_of(name)] = entry
        compared = await compare(sides)
        assert compared == expected
        assert not compared.is_equal

    run()


@in_virtual_time
async def test_a_record_that_is_there_twice_is_not_equal() -> None:
    """Each of its two finds its row; only the counts tell."""
    sides = table()
    target = sides.pipeline.target

    class Twice(type(target)):  # type: ignore[misc]  # the class of the fake
        async def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
            async with aclosing(target.scan(position)) as pages:
                async for page in pages:
                    yield replace(page, keys=(*page.keys, *(k for k in page.keys if k == key_of("n0"))))

    twice = Twice(sides.service, sides.pipeline.delivery)
    compared = await compare(sides, twice)
    assert compared == found(9, 8)
    assert not compared.is_equal


@in_virtual_time
async def test_a_record_that_the_target_can_never_hold_is_missing() -> None:
    """It is a dead letter, and no reason to end the comparison."""
    sides = table()

    def refuses(change: Change[Document]) -> str | None:
        return "too large" if change.key == key_of("n0") else None

    sides.service.refuses = refuses
    sides.service.remove(key_of("n0"))
    assert await compare(sides) == found(7, 7, f"missing: {key_of('n0')}", missing=1)


@in_virtual_time
async def test_what_neither_side_holds_is_no_difference() -> None:
    """An expired row still stands at the source; the target has none."""
    sides = table()
    sides.table.expiries["n0"] = sides.service.now()
    sides.service.remove(key_of("n0"))
    compared = await compare(sides)
    assert compared == Comparison(source_records=7, target_records=7, equal=7)
    assert compared.is_equal

"""Promises of the marker's document: it is replaced only as it was, and every outcome becomes known."""

import pytest

from connectors.azure.cosmos.marker import MarkerDocument
from fakes.containers import refusal
from fakes.cosmos_bench import CosmosBench
from replicator.model import Marker

ONE, TWO, OTHER = Marker("m", 1, "g1"), Marker("m", 1, "g2"), Marker("x", 2, "g9")


class Bench(CosmosBench):
    """The marker of the container `orders`."""

    def __init__(self) -> None:
        super().__init__()
        self.container.members = ("id",)
        self.marker = MarkerDocument(self.container, self.calls, "orders")


async def test_it_is_written_replaced_and_read_back() -> None:
    bench = Bench()
    assert await bench.marker.read() is None
    assert await bench.marker.write(ONE, None)
    assert await bench.marker.read() == ONE
    assert await bench.marker.write(TWO, ONE)
    assert await bench.marker.read() == TWO
    assert bench.container.held() == [{"id": "orders", "migration": "m", "epoch": 1, "generation": "g2"}]


async def test_each_container_has_its_own() -> None:
    bench = Bench()
    others = MarkerDocument(bench.container, bench.calls, "others/of #2")
    assert await bench.marker.write(ONE, None)
    assert await others.write(OTHER, None)
    assert (await bench.marker.read(), await others.read()) == (ONE, OTHER)


@pytest.mark.parametrize("previous", [None, TWO])
async def test_what_is_not_as_expected_stays(previous: Marker | None) -> None:
    bench = Bench()
    await bench.marker.write(ONE, None)
    assert not await bench.marker.write(OTHER, previous)
    assert await bench.marker.read() == ONE


async def test_one_that_is_gone_is_not_written_again() -> None:
    bench = Bench()
    assert not await bench.marker.write(TWO, ONE)
    assert await bench.marker.read() is None


@pytest.mark.parametrize("previous", [None, ONE])
async def test_another_daemon_that_is_quicker_wins(previous: Marker | None) -> None:
    bench = Bench()
    if previous is not None:
        await bench.marker.write(previous, None)

    def meanwhile(operation: str, _: list[str]) -> None:
        if operation in {"create", "replace"}:
            bench.container.put({"id": "orders", "migration": "x", "epoch": 2, "generation": "g9"})

    bench.container.fault = meanwhile
    assert not await bench.marker.write(TWO, previous)
    assert await bench.marker.read() == OTHER


async def test_one_that_is_removed_meanwhile_is_not_written_again() -> None:
    bench = Bench()
    await bench.marker.write(ONE, None)
    bench.container.fault = lambda operation, _: bench.container.documents.clear() if operation == "replace" else None
    assert not await bench.marker.write(TWO, ONE)
    assert await bench.marker.read() is None


@pytest.mark.parametrize("lands", [True, False])
@pytest.mark.parametrize("previous", [None, ONE])
async def test_an_unknown_outcome_is_found_out(previous: Marker | None, lands: bool) -> None:
    bench = Bench()
    if previous is not None:
        await bench.marker.write(previous, None)
    lost = [1]

    def lose(operation: str, _: list[str]) -> Exception | None:
        if operation not in {"create", "replace"} or not lost:
            return None
        lost.pop()
        if lands:
            bench.container.put({"id": "orders", "migration": "m", "epoch": 1, "generation": "g2"})
        return refusal(503)

    bench.container.fault = lose
    assert await bench.marker.write(TWO, previous)
    assert await bench.marker.read() == TWO


async def test_a_write_that_is_repeated_is_no_conflict_with_itself() -> None:
    bench = Bench()
    assert await bench.marker.write(ONE, None)
    assert await bench.marker.write(ONE, None)
    assert await bench.marker.write(TWO, ONE)
    assert await bench.marker.write(TWO, ONE)

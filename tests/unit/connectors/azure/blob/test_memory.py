"""Promise: memory is given out within its bound, in order, and comes back whatever happens."""

import anyio
import pytest

from connectors.azure.blob.streaming import (
    MOST_BLOCKS,
    TransferLimits,
    block_size,
    deadline_s,
    in_blocks,
    new_block_ids,
    spans_of,
)
from connectors.azure.buffers import ByteBudget
from fakes.virtual import in_virtual_time
from replicator.delivery import RateBudget
from replicator.objects import ContentChangedError

MIB = 1024 * 1024


@in_virtual_time
async def test_bytes_are_given_out_in_order_and_never_more_than_there_are() -> None:
    budget, entered = ByteBudget(10), list[str]()

    async def hold(name: str, size: int) -> None:
        async with budget.hold(size):
            entered.append(name)
            await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        for name, size in (("a", 6), ("b", 6), ("c", 1), ("d", 10), ("e", 1)):
            tasks.start_soon(hold, name, size)
        await anyio.sleep(0.5)
        assert entered == ["a"], "c does not pass b by"
        await anyio.sleep(1)
        assert entered == ["a", "b", "c"]
    assert entered == ["a", "b", "c", "d", "e"]
    assert (budget.most_held, budget.held) == (10, 0)


@in_virtual_time
async def test_whoever_gives_up_lets_the_others_pass_and_keeps_nothing() -> None:
    budget = ByteBudget(10)
    async with anyio.create_task_group() as tasks:
        await budget.take(8)
        impatient, patient = anyio.CancelScope(), anyio.Event()

        async def first() -> None:
            with impatient:
                await budget.take(5)

        async def second() -> None:
            await budget.take(2)
            patient.set()

        tasks.start_soon(first)
        await anyio.sleep(0.1)
        tasks.start_soon(second)
        await anyio.sleep(0.1)
        assert not patient.is_set()
        impatient.cancel()
        await patient.wait()
    assert budget.held == 10


@in_virtual_time
async def test_what_was_given_to_somebody_who_was_cancelled_at_that_moment_comes_back() -> None:
    budget = ByteBudget(10)
    await budget.take(10)

    async def hold() -> None:
        async with budget.hold(4):
            await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await anyio.sleep(0.1)
        budget.give(10)
        tasks.cancel_scope.cancel()
    assert budget.held == 0


def limits(block_bytes: int = 8 * MIB, buffer_bytes: int = 64 * MIB) -> TransferLimits:
    return TransferLimits(block_bytes, 4, ByteBudget(buffer_bytes), RateBudget(None))


def test_blocks_grow_so_that_there_are_never_too_many() -> None:
    assert block_size(1, limits()) == 8 * MIB
    assert block_size(8 * MIB * MOST_BLOCKS, limits()) == 8 * MIB
    for size in (8 * MIB * MOST_BLOCKS + 1, 64 * MIB * MOST_BLOCKS):
        grown = block_size(size, limits())
        assert grown > 8 * MIB
        assert len(range(0, size, grown)) <= MOST_BLOCKS
    with pytest.raises(ValueError, match="buffer_bytes"):
        block_size(64 * MIB * MOST_BLOCKS + 1, limits())


def test_spans_cover_an_object_exactly() -> None:
    spans = spans_of(25, 10)
    assert [(span.number, span.start, span.length) for span in spans] == [(0, 0, 10), (1, 10, 10), (2, 20, 5)]
    assert spans_of(20, 10)[-1].length == 10


def test_names_of_blocks_are_equally_long_and_of_one_attempt() -> None:
    one, other = new_block_ids(), new_block_ids()
    names = {each(number) for each in (one, other) for number in (0, 7, MOST_BLOCKS - 1)}
    assert len(names) == 6
    assert {len(name) for name in names} == {21}
    assert one(7) == one(7)


def test_a_deadline_grows_with_the_size() -> None:
    assert deadline_s(0) == 30
    assert deadline_s(8 * MIB) == 158


@in_virtual_time
async def test_the_first_failure_ends_the_others_and_is_raised_as_it_is() -> None:
    """Not in a group, which nobody would catch."""
    under_way, most = 0, 0

    async def admit(_: object) -> None:
        return

    async def run(span: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await anyio.sleep(1)
            raise ContentChangedError
        finally:
            under_way -= 1

    with pytest.raises(ContentChangedError):
        await in_blocks(spans_of(100, 1), 3, admit, run)
    assert (under_way, most) == (0, 3)

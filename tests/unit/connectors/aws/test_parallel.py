"""The same call for many at once: answers in order, errors as they are."""

import anyio
import pytest

from connectors.aws.parallel import in_parallel
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import PositionLostError


@in_virtual_time
async def test_answers_come_in_the_order_asked_for_each_once() -> None:
    asked: list[int] = []

    async def double(number: int) -> int:
        asked.append(number)
        await anyio.sleep(1 / number)
        return number * 2

    answers = await in_parallel(double, [3, 1, 2, 3], anyio.CapacityLimiter(4))
    assert list(answers.items()) == [(3, 6), (1, 2), (2, 4)]
    assert sorted(asked) == [1, 2, 3]


@in_virtual_time
async def test_no_more_at_once_than_the_limiter_lets() -> None:
    async def pause(_: int) -> None:
        await anyio.sleep(1)

    began = elapsed_s()
    await in_parallel(pause, list(range(10)), anyio.CapacityLimiter(5))
    assert 2 <= elapsed_s() - began < 2.1


@in_virtual_time
async def test_an_error_is_raised_as_it_is_and_ends_the_others() -> None:
    async def fail(number: int) -> None:
        if number == 3:
            raise PositionLostError("gone")
        await anyio.sleep(1000)

    began = elapsed_s()
    with pytest.raises(PositionLostError, match="gone"):
        await in_parallel(fail, list(range(10)), anyio.CapacityLimiter(20))
    assert elapsed_s() - began < 1

"""Promises of a target's calls: each ends in a known way, is paid for and tells the time; nothing waits without end."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from connectors.azure.cosmos.calls import BatchRefusal, Calls, Hook
from connectors.azure.errors import AzureRefusal
from fakes.calls_bench import CallsBench, hangs, virtually
from fakes.containers import ANSWERED, batch_failure, refusal
from fakes.targets import WHERE
from replicator.errors import AmbiguousError

DATE = datetime(2026, 11, 23, 12, tzinfo=UTC)

Way = Callable[[Calls, Callable[[Hook], Awaitable[Any]]], Awaitable[Any]]

WAYS: dict[str, Way] = {
    "write": lambda calls, send: calls.write(["k"], send),
    "write once": lambda calls, send: calls.write_once(["k"], send),
    "read": lambda calls, send: calls.read(send),
    "probe": lambda calls, send: calls.probe(WHERE, send),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_gives_what_is_answered(way: str) -> None:
    bench = CallsBench()
    assert await WAYS[way](bench.calls, bench.send) == "fine"
    assert bench.sent == 1


# --- what is charged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(ANSWERED,), (ANSWERED, {"id": "x"}), (ANSWERED, None)])
async def test_the_hook_takes_whatever_the_sdk_gives_it(arguments: tuple[Any, ...]) -> None:
    """Some calls of the SDK hand the result on as well."""
    bench = CallsBench()

    async def send(hook: Hook) -> None:
        hook(*arguments)

    await bench.calls.read(send)
    assert bench.charged == 1.0


async def test_every_answer_is_charged_refusals_and_pages_too() -> None:
    bench = CallsBench()

    async def pages(hook: Hook) -> None:
        hook(ANSWERED)
        hook({"x-ms-request-charge": "2.5"})

    await bench.calls.read(pages)
    with pytest.raises(AzureRefusal):
        await bench.calls.read(_raising(refusal(404)))
    with pytest.raises(BatchRefusal):
        await bench.calls.write(["k"], _raising(batch_failure(409)))
    assert bench.charged == 1 + 2.5 + 1 + 1


@pytest.mark.parametrize("headers", [{}, {"x-ms-request-charge": ""}, {"Date": format_datetime(DATE, usegmt=True)}])
async def test_an_answer_of_something_else_costs_nothing_and_tells_no_time(headers: dict[str, str]) -> None:
    bench = CallsBench()

    async def send(hook: Hook) -> None:
        hook(headers)

    await bench.calls.read(send)
    assert not bench.charged
    assert not bench.calls.clock.known


# --- the time -----------------------------------------------------------------------------------------------------


async def test_the_time_is_the_service_s_own() -> None:
    bench = CallsBench()

    async def send(hook: Hook) -> None:
        hook({**ANSWERED, "date": format_datetime(DATE, usegmt=True)})

    await bench.calls.read(send)
    assert timedelta(seconds=-1) < bench.calls.now() - DATE < timedelta(seconds=1)
    assert bench.calls.now() <= bench.calls.clock.latest()


@pytest.mark.parametrize("stamped_after_s", [0.0, 3.0])
def test_a_slow_answer_tells_the_time_no_more_exactly_than_it_can(stamped_after_s: float) -> None:
    """Nobody knows when on its way the answer was stamped."""
    bench = CallsBench()

    async def run() -> None:
        begun = anyio.current_time()

        async def send(hook: Hook) -> None:
            await anyio.sleep(3.0)
            stamp = DATE + timedelta(seconds=stamped_after_s)
            hook({**ANSWERED, "date": format_datetime(stamp, usegmt=True)})

        await bench.calls.read(send)
        true_time = DATE + timedelta(seconds=anyio.current_time() - begun)
        assert bench.calls.now() <= true_time <= bench.calls.clock.latest()

    virtually(run)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 32 Jan 2026 00:00:00 GMT"])
async def test_a_date_that_is_none_tells_nothing(date: str) -> None:
    bench = CallsBench()

    async def send(hook: Hook) -> None:
        hook({**ANSWERED, "date": date})

    await bench.calls.read(send)
    assert not bench.calls.clock.known


async def test_a_refusal_tells_the_time_too() -> None:
    bench = CallsBench()
    refused = refusal(404)
    refused.headers["Date"] = format_datetime(DATE, usegmt=True)
    with pytest.raises(AzureRefusal):
        await bench.calls.read(_raising(refused))
    assert bench.calls.clock.known


# --- how calls end ------------------------------------------------------------------------------------------------


def _raising(error: BaseException) -> Callable[[Hook], Awaitable[Any]]:
    async def send(_: Hook) -> None:
        raise error

    return send


@pytest.mark.parametrize("way", ["write", "write once", "read"])
@pytest.mark.parametrize("status", [403, 410, 429, 449])
def test_what_had_no_effect_is_repeated_until_it_has(way: str, status: int) -> None:
    bench = CallsBench(*[refusal(status)] * 20)

    async def run() -> None:
        assert await WAYS[way](bench.calls, bench.send) == "fine"

    virtually(run)
    assert bench.sent == 21


@pytest.mark.parametrize("way", ["write", "write once", "read"])
@pytest.mark.parametrize("where", [(404, 1003), (404, 1013), (404, 1024), (400, 1024)])
def test_a_container_that_is_missing_is_waited_for(way: str, where: tuple[int, int]) -> None:
    """It may be made again meanwhile; that a document is not there is another answer."""
    bench = CallsBench(refusal(*where), refusal(*where))

    async def run() -> None:
        assert await WAYS[way](bench.calls, bench.send) == "fine"

    virtually(run)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 404, 409, 412, 413])
async def test_a_refusal_ends_a_call(way: str, status: int) -> None:
    bench = CallsBench(refusal(status))
    with pytest.raises(AzureRefusal) as refused:
        await WAYS[way](bench.calls, bench.send)
    assert refused.value.status == status
    assert bench.sent == 1


async def test_a_batch_that_is_refused_for_one_operation_is_told_from_a_refused_request() -> None:
    bench = CallsBench(batch_failure(409))
    with pytest.raises(BatchRefusal, match="status 409"):
        await bench.calls.write(["k"], bench.send)


@pytest.mark.parametrize("way", ["write", "read"])
def test_what_may_have_had_effect_is_repeated_where_that_does_no_harm(way: str) -> None:
    bench = CallsBench(*[refusal(503)] * 3)

    async def run() -> None:
        assert await WAYS[way](bench.calls, bench.send) == "fine"

    virtually(run)
    assert bench.sent == 4


def test_a_conditional_write_that_may_have_had_effect_is_not_repeated() -> None:
    bench = CallsBench(refusal(503))

    async def run() -> None:
        with pytest.raises(AmbiguousError):
            await bench.calls.write_once(["k"], bench.send)

    virtually(run)
    assert bench.sent == 1


def test_a_request_without_an_answer_is_given_up_after_the_deadline() -> None:
    bench = CallsBench(timeout_s=2.0)

    async def run() -> None:
        begun = anyio.current_time()
        with pytest.raises(AmbiguousError, match="no answer within 2 s"):
            await bench.calls.write_once(["k"], hangs)
        assert anyio.current_time() - begun < 5

    virtually(run)


@pytest.mark.parametrize("way", WAYS)
async def test_a_bug_is_not_hidden(way: str) -> None:
    bench = CallsBench(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await WAYS[way](bench.calls, bench.send)

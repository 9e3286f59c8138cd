"""Promises of calls at the start: a passing fault is passed over, anything else reported soon and once."""

import anyio
import pytest
from azure.core.exceptions import ServiceRequestError

from connectors.azure import probing as module
from connectors.azure.cosmos.calls import Hook
from connectors.azure.errors import AzureRefusal
from fakes.calls_bench import CallsBench, hangs, virtually
from fakes.containers import refusal
from fakes.targets import WHERE
from replicator.errors import ConfigurationError


@pytest.mark.parametrize("failures", [1, 2])
def test_a_passing_fault_at_the_start_is_passed_over(failures: int) -> None:
    bench = CallsBench(*[refusal(503)] * failures)

    async def run() -> None:
        assert await bench.calls.probe(WHERE, bench.send) == "fine"

    virtually(run)


@pytest.mark.parametrize("error", [refusal(503), refusal(429), ServiceRequestError("reset")], ids=str)
def test_a_fault_that_stays_is_reported_after_a_few_attempts(error: Exception) -> None:
    bench = CallsBench(*[error] * 10)

    async def run() -> None:
        with pytest.raises(ConfigurationError, match="cannot be reached") as refused:
            await bench.calls.probe(WHERE, bench.send)
        assert refused.value.where == WHERE

    virtually(run)
    assert bench.sent == module.PROBE_ATTEMPTS


def test_credentials_that_are_refused_are_not_tried_again() -> None:
    bench = CallsBench(*[refusal(401)] * 10)

    async def run() -> None:
        with pytest.raises(ConfigurationError, match=r"docs/permissions\.md"):
            await bench.calls.probe(WHERE, bench.send)

    virtually(run)
    assert bench.sent == 1


@pytest.mark.parametrize("timeout_s", [None, 30.0])
def test_a_service_that_does_not_answer_is_reported_in_time(timeout_s: float | None) -> None:
    bench = CallsBench()

    async def run() -> None:
        begun = anyio.current_time()
        with pytest.raises(ConfigurationError, match="no answer within"):
            await bench.calls.probe(WHERE, hangs, timeout_s)
        assert anyio.current_time() - begun == pytest.approx(timeout_s or module.CONNECT_TIMEOUT_S)

    virtually(run)


def test_with_more_time_no_attempt_is_begun_late_either() -> None:
    """More time is for what is slow, such as credentials or a new container, not for more attempts."""
    bench = CallsBench()

    async def slowly(_: Hook) -> None:
        bench.sent += 1
        await anyio.sleep(6)
        raise refusal(503)

    async def run() -> None:
        with pytest.raises(ConfigurationError, match="status 503"):
            await bench.calls.probe(WHERE, slowly, 60.0)

    virtually(run)
    assert bench.sent == 1


def test_the_service_s_wish_to_wait_is_heeded() -> None:
    wish = refusal(429)
    wish.headers["x-ms-retry-after-ms"] = "1500"
    bench = CallsBench(wish)

    async def run() -> None:
        begun = anyio.current_time()
        assert await bench.calls.probe(WHERE, bench.send) == "fine"
        assert anyio.current_time() - begun == pytest.approx(1.5)

    virtually(run)


async def test_a_container_that_is_missing_at_the_start_is_an_answer() -> None:
    bench = CallsBench(refusal(404, 1003))
    with pytest.raises(AzureRefusal) as refused:
        await bench.calls.probe(WHERE, bench.send)
    assert refused.value.status == 404

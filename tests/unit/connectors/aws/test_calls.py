"""Calls: repeated while they fail, bounded at the start, and never believed when they say nothing."""

import random
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import CALL_TIMEOUT_S, PROBE_ATTEMPTS, Caller
from connectors.aws.errors import AwsRefusal
from fakes.follower import telemetry
from fakes.streams import TABLE_NAME, Answer, StreamedTable, client_error, no_fault
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError, ThrottledError
from replicator.telemetry import SOURCE


def bench() -> tuple[TableClient, Caller]:
    return TableClient(StreamedTable(random.Random(0))), Caller("pipelines.a.source", telemetry(), YieldingBudget(10.0))


def describe(caller: Caller, client: TableClient) -> Any:
    return caller.call(client.describe_table, TableName=TABLE_NAME)


@in_virtual_time
async def test_failures_are_repeated_for_ever_and_make_the_source_degraded() -> None:
    client, caller = bench()
    degraded: list[bool] = []

    def fault(operation: str) -> Exception | None:
        degraded.append(caller._telemetry.sides[SOURCE].degraded)
        codes = ["AccessDeniedException", "ThrottlingException", "InternalServerError"]
        return client_error(operation, random.choice(codes)) if len(degraded) <= 200 else None

    client.fault = fault
    answer = await describe(caller, client)
    assert answer["Table"]["TableStatus"] == "ACTIVE"
    assert degraded[-1]
    assert not caller._telemetry.sides[SOURCE].degraded


@in_virtual_time
async def test_a_refusal_is_handed_on_at_once() -> None:
    client, caller = bench()
    with pytest.raises(AwsRefusal):
        await caller.call(client.describe_table, TableName="other")
    assert client.calls["describe_table"] == 1


class SilentClient:
    """Answers nothing at first."""

    def __init__(self, silent: int) -> None:
        self.calls = 0
        self._silent = silent

    async def describe_table(self, **_: Any) -> Answer:
        self.calls += 1
        if self.calls <= self._silent:
            await anyio.sleep_forever()
        return {"Table": {}}


@in_virtual_time
async def test_a_call_without_an_answer_is_given_up_and_repeated() -> None:
    _, caller = bench()
    client = SilentClient(2)
    began = elapsed_s()
    await caller.call(client.describe_table)
    assert client.calls == 3
    assert 2 * CALL_TIMEOUT_S <= elapsed_s() - began < 2 * CALL_TIMEOUT_S + 2


class EmptyClient:
    """Answers as botocore parses a page of a proxy: fine, and without anything in it."""

    def __init__(self, empty: int) -> None:
        self.calls = 0
        self._empty = empty

    async def get_records(self, **_: Any) -> Answer:
        self.calls += 1
        metadata = {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}
        return metadata if self.calls <= self._empty else {"Records": [], **metadata}


@in_virtual_time
async def test_an_answer_without_content_is_repeated() -> None:
    _, caller = bench()
    answer = await caller.call(EmptyClient(3).get_records)
    assert answer["Records"] == []


class EmptyQueueClient:
    """Answers with a page of a proxy's at first, then as the service does that has no message."""

    def __init__(self, pages: int) -> None:
        self.calls = 0
        self._pages = pages

    async def receive_message(self, **_: Any) -> Answer:
        self.calls += 1
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}}
        return {"ResponseMetadata": metadata if self.calls <= self._pages else {"RequestId": "r", **metadata}}


@in_virtual_time
async def test_an_empty_queues_answer_has_no_content_but_the_services_mark() -> None:
    _, caller = bench()
    client = EmptyQueueClient(3)
    assert "Messages" not in await caller.call(client.receive_message)
    assert client.calls == 4


class TestProbe:
    """At the start nothing is waited for."""

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalServerError"])
    def test_a_service_that_keeps_failing_is_reported(self, code: str) -> None:
        @in_virtual_time
        async def run() -> None:
            client, caller = bench()
            client.fault = lambda operation: client_error(operation, code)
            began = elapsed_s()
            with pytest.raises(ConfigurationError, match=r"pipelines\.a\.source") as told:
                await caller.probe(client.describe_table, TableName=TABLE_NAME)
            assert code in str(told.value)
            assert client.calls["describe_table"] == PROBE_ATTEMPTS
            assert elapsed_s() - began < 2

        run()

    @in_virtual_time
    async def test_a_single_failure_is_not(self) -> None:
        client, caller = bench()
        errors = iter([client_error("describe_table", "InternalServerError")])
        client.fault = lambda _: next(errors, None)
        assert (await caller.probe(client.describe_table, TableName=TABLE_NAME))["Table"]


@in_virtual_time
async def test_the_clock_learns_from_every_answer() -> None:
    client, caller = bench()
    assert not caller.clock.known
    for _ in range(50):
        await describe(caller, client)
        await anyio.sleep(0.13)
    now = client.table.now()
    assert caller.clock.earliest() <= datetime.fromtimestamp(now, UTC) <= caller.clock.latest()
    assert (caller.clock.latest() - caller.clock.earliest()).total_seconds() < 0.2


@in_virtual_time
async def test_paid_calls_give_way_when_throttled_others_do_not() -> None:
    client, caller = bench()
    errors = iter([client_error("x", "ThrottlingException")] * 2)
    client.fault = lambda _: next(errors, None)
    await describe(caller, client)
    assert caller.budget.per_s == 10.0
    errors = iter([client_error("x", "ThrottlingException")] * 2)
    await caller.paid(client.scan, TableName=TABLE_NAME)
    assert caller.budget.per_s == pytest.approx(5.0, abs=0.1)


@in_virtual_time
async def test_counted_calls_keep_to_their_rate_and_give_way_when_throttled() -> None:
    client, caller = bench()
    began = elapsed_s()
    for _ in range(40):
        await caller.counted(client.describe_table, TableName=TABLE_NAME)
    assert 2.5 < elapsed_s() - began < 3.5, "ten a second, one second's worth of which was saved up"
    errors = iter([client_error("x", "ThrottlingException")])
    client.fault = lambda _: next(errors, None)
    await caller.counted(client.describe_table, TableName=TABLE_NAME)
    assert (caller.budget.per_s or 0.0) < 6.0


@in_virtual_time
async def test_a_call_that_is_counted_once_is_not_repeated() -> None:
    client, caller = bench()
    client.fault = lambda operation: client_error(operation, "ThrottlingException")
    with pytest.raises(ThrottledError):
        await caller.counted_once(client.describe_table, TableName=TABLE_NAME)
    assert client.calls["describe_table"] == 1
    assert caller.budget.per_s == pytest.approx(5.0, abs=0.1)
    client.fault = no_fault
    assert (await caller.counted_once(client.describe_table, TableName=TABLE_NAME))["Table"]

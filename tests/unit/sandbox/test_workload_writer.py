"""The writer's ground truth equals the table, whatever the endpoint does to its calls."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sandbox.workload import WorkloadError, Writer, calls
from sandbox.workload.changes import Entry, key_space, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.workload import DynamoDb

FIXED_CLOCK_S = 1_800_000_000.0


def refusal(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Write")


class FakeTable:
    """Keys, versions and conditions of one table. `fault` sees each write and may lose it, or lose its answer."""

    def __init__(self, fault: Callable[[FakeTable, Callable[[], None]], None] | None = None) -> None:
        self.versions: dict[tuple[str, str], int] = {}
        self.log: list[tuple[str, Mapping[str, Any]]] = []
        self.fault = fault
        self.readable = True

    def stored(self, key: Mapping[str, Any]) -> int | None:
        return self.versions.get((key["customer"]["S"], key["order_id"]["S"]))

    def check(self, request: Mapping[str, Any]) -> None:
        before = request.get("ExpressionAttributeValues", {}).get(":before")
        if self.stored(request.get("Key") or request["Item"]) != (int(before["N"]) if before else None):
            raise refusal("ConditionalCheckFailedException")

    def carry_out(self, actions: list[tuple[str, Mapping[str, Any]]]) -> None:
        for _, request in actions:
            self.check(request)
        for kind, request in actions:
            key = request.get("Key") or request["Item"]
            identity = (key["customer"]["S"], key["order_id"]["S"])
            if kind == "Delete":
                del self.versions[identity]
            else:
                after = request["Item"]["version"] if kind == "Put" else None
                after = after or request["ExpressionAttributeValues"][":version"]
                assert int(after["N"]) > self.versions.get(identity, 0)
                self.versions[identity] = int(after["N"])
            self.log.append((kind, request))

    def write(self, actions: list[tuple[str, Mapping[str, Any]]]) -> None:
        if self.fault:
            self.fault(self, lambda: self.carry_out(actions))
        else:
            self.carry_out(actions)

    async def put_item(self, **request: Any) -> dict[str, Any]:
        self.write([("Put", request)])
        return {}

    async def update_item(self, **request: Any) -> dict[str, Any]:
        self.write([("Update", request)])
        return {}

    async def delete_item(self, **request: Any) -> dict[str, Any]:
        self.write([("Delete", request)])
        return {}

    async def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.write([next(iter(action.items())) for action in TransactItems])
        return {}

    async def get_item(self, **request: Any) -> dict[str, Any]:
        if not self.readable:
            raise refusal("InternalServerError", 500)
        version = self.stored(request["Key"])
        return {} if version is None else {"Item": {"version": {"N": str(version)}}}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.0)


def writer_on(table: FakeTable, **options: Any) -> Writer:
    client: DynamoDb = table  # type: ignore[assignment]  # only what a writer calls
    settings: dict[str, Any] = {"space": "w", "keys": 20, "rate_per_s": 1e9, "clock": lambda: FIXED_CLOCK_S}
    return Writer(client, "orders", **settings | options)


def agrees(writer: Writer, table: FakeTable) -> bool:
    return {key: v for key, v in writer.truth().items() if v is not None} == table.versions


async def test_the_same_seed_writes_the_same() -> None:
    first, second, other = FakeTable(), FakeTable(), FakeTable()
    await writer_on(first).run(operations=300)
    await writer_on(second).run(operations=300)
    await writer_on(other, seed=1).run(operations=300)
    assert first.log == second.log != other.log


async def test_every_kind_of_write_happens_and_is_counted() -> None:
    table = FakeTable()
    writer = writer_on(table)
    assert writer.last_write_at is None
    await writer.run(operations=500)
    counts = writer.counts
    assert counts.operations == 500
    assert min(counts.put, counts.update, counts.delete, counts.recreated, counts.transactions) > 5
    assert counts.put + counts.update + counts.delete == len(table.log)
    assert agrees(writer, table)
    assert writer.last_write_at is not None
    assert writer.last_write_at.tzinfo is not None
    assert set(writer.truth()) <= set(key_space("w", 20))


async def test_errors_do_not_change_what_is_written() -> None:
    """The plan depends on the seed and the truth alone, so a run with lost answers equals one without."""

    def lose_answers(table: FakeTable, carry_out: Callable[[], None]) -> None:
        carry_out()
        if len(table.log) % 3 == 0:
            raise ConnectionClosedError(endpoint_url="x")

    calm, rough = FakeTable(), FakeTable(lose_answers)
    await writer_on(calm).run(operations=300)
    writer = writer_on(rough)
    await writer.run(operations=300)
    assert calm.log == rough.log
    assert writer.counts.ambiguous > 50
    assert agrees(writer, rough)


async def test_requests_that_never_arrived_are_sent_again() -> None:
    chance = random.Random(0)

    def lose_requests(_: FakeTable, carry_out: Callable[[], None]) -> None:
        if chance.random() < 0.3:
            raise refusal("ThrottlingException")
        carry_out()

    table = FakeTable(lose_requests)
    writer = writer_on(table)
    await writer.run(operations=300)
    assert (writer.counts.operations, await writer.confirm()) == (300, 0)
    assert agrees(writer, table)


async def test_late_writes_are_found_out() -> None:
    """A held request lands any number of writes later; its condition stops it, or the truth follows it."""
    chance = random.Random(0)
    held: list[Callable[[], None]] = []

    def hold(_: FakeTable, carry_out: Callable[[], None]) -> None:
        if held and chance.random() < 0.2:
            with contextlib.suppress(ClientError):
                held.pop(0)()
        if chance.random() < 0.1:
            held.append(carry_out)
            raise ConnectionClosedError(endpoint_url="x")
        carry_out()

    table = FakeTable(hold)
    writer = writer_on(table)
    await writer.run(operations=1_000)
    await writer.confirm()
    assert writer.counts.ambiguous > 50
    assert agrees(writer, table)


async def test_a_key_stays_in_doubt_although_its_retry_succeeded() -> None:
    """The first attempt may land after the key was deleted, and bring an old version back."""
    held: list[Callable[[], None]] = []

    def hold_first(_: FakeTable, carry_out: Callable[[], None]) -> None:
        if not held:
            held.append(carry_out)
            raise ConnectionClosedError(endpoint_url="x")
        carry_out()

    table = FakeTable(hold_first)
    writer = writer_on(table, keys=1)
    while None not in writer.truth().values():
        await writer.run(operations=1)
    held[0]()
    assert await writer.confirm() == 1
    assert set(writer.truth().values()) == {1}
    assert agrees(writer, table)
    await writer.run(operations=1)
    assert 1 not in table.versions.values()  # versions go on where they were


async def test_an_endpoint_that_stays_away_ends_the_run_and_leaves_a_doubt() -> None:
    def down(_: FakeTable, carry_out: Callable[[], None]) -> None:
        carry_out()
        raise refusal("InternalServerError", 500)

    table = FakeTable(down)
    table.readable = False
    writer = writer_on(table, retry_for_s=0)
    with pytest.raises(WorkloadError, match="kept failing"):
        await writer.run(operations=10)
    table.readable = True
    assert await writer.confirm() == 1
    assert agrees(writer, table)


async def test_a_request_that_makes_no_sense_is_not_retried() -> None:
    def reject(_table: FakeTable, _carry_out: Callable[[], None]) -> None:
        raise refusal("ValidationException")

    with pytest.raises(ClientError, match="ValidationException"):
        await writer_on(FakeTable(reject)).run(operations=1)


async def test_stop_and_time_end_a_run() -> None:
    table = FakeTable()
    writer = writer_on(table, rate_per_s=0.001)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        await anyio.wait_all_tasks_blocked()
        assert writer.counts.operations == 1  # the next is due in a quarter of an hour
        writer.stop()
    await writer_on(FakeTable(), rate_per_s=1_000).run(for_s=0.01)


def test_versions_only_grow() -> None:
    chance = random.Random(0)
    truth: dict[tuple[str, str], Entry] = {}
    for _ in range(2_000):
        for change in plan(chance, key_space("w", 8), truth, 0):
            entry = truth.setdefault(change.key, Entry())
            assert change.version == entry.issued + 1
            assert change.before == entry.stored
            entry.issued, entry.stored = change.version, change.after

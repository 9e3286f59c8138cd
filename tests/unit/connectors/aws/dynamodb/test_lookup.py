"""Single items: every key asked for is answered, in however many calls that takes."""

import random
from decimal import Decimal
from typing import Any

import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.dynamodb.lookup import lookup
from connectors.aws.dynamodb.records import TableShape
from fakes.follower import telemetry
from fakes.records import document, key_of
from fakes.streams import KEY_NAME, TABLE_NAME, Answer, ServiceClient, StreamedTable
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.documents import key_text
from replicator.model import Operation

SHAPE = TableShape((KEY_NAME,))


def bench(rows: int) -> tuple[TableClient, Caller]:
    """A table with so many rows."""
    table = StreamedTable(random.Random(0))
    for number in range(rows):
        table.put(f"n{number}")
    return TableClient(table), Caller("source", telemetry(), YieldingBudget(1000.0))


@in_virtual_time
async def test_items_and_missing_items() -> None:
    client, caller = bench(2)
    found = await lookup(caller, client, TABLE_NAME, SHAPE, [key_of("n0"), key_of("none"), key_of("n1")])
    assert list(found) == [key_of("n0"), key_of("none"), key_of("n1")]
    assert found[key_of("n1")].record == document("n1", 2)
    missing = found[key_of("none")]
    assert (missing.operation, missing.record) == (Operation.DELETE, {"id": "none"})


@in_virtual_time
async def test_nothing_is_asked_for_no_keys() -> None:
    client, caller = bench(1)
    assert await lookup(caller, client, TABLE_NAME, SHAPE, []) == {}
    assert not client.calls


@in_virtual_time
async def test_more_keys_than_one_call_takes() -> None:
    client, caller = bench(250)
    found = await lookup(caller, client, TABLE_NAME, SHAPE, [key_of(f"n{i}") for i in range(260)])
    assert sum(c.operation is Operation.UPSERT for c in found.values()) == 250
    assert len(found) == 260
    assert client.calls["batch_get_item"] == 3


@in_virtual_time
async def test_a_key_asked_for_twice_is_asked_once() -> None:
    client, caller = bench(1)
    assert list(await lookup(caller, client, TABLE_NAME, SHAPE, [key_of("n0")] * 2)) == [key_of("n0")]


@in_virtual_time
async def test_keys_left_unprocessed_are_asked_again_after_a_pause() -> None:
    client, caller = bench(30)
    client.most_processed = 7
    random.seed(1)
    began = elapsed_s()
    found = await lookup(caller, client, TABLE_NAME, SHAPE, [key_of(f"n{i}") for i in range(30)])
    assert {c.operation for c in found.values()} == {Operation.UPSERT}
    assert client.calls["batch_get_item"] == 5
    assert elapsed_s() > began


@pytest.mark.parametrize(("units", "throttled"), [(10, True), (36, True), (37, False), (100, False)])
def test_keys_left_unprocessed_for_want_of_capacity_slow_the_budget(units: float, throttled: bool) -> None:
    """As an outright refusal does. An answer that has reached the size of a page is no such thing: more than 1 MB of
    one partition, which takes 256 units, is never given at once."""

    @in_virtual_time
    async def run() -> None:
        client, caller = bench(14)
        client.most_processed, client.page_units = 7, units
        await lookup(caller, client, TABLE_NAME, SHAPE, [key_of(f"n{i}") for i in range(14)])
        assert (caller.budget.per_s == pytest.approx(500, rel=0.1)) is throttled
        (told,) = caller._telemetry._metrics.source_throttles.collect()
        assert sum(s.value for s in told.samples if s.name.endswith("_total")) == throttled

    run()


@in_virtual_time
async def test_what_was_looked_up_is_charged() -> None:
    client, caller = bench(300)
    caller.budget.set_limit(100.0)
    client.page_units = 2.0
    began = elapsed_s()
    await lookup(caller, client, TABLE_NAME, SHAPE, [key_of(f"n{i}") for i in range(300)])
    assert elapsed_s() - began == pytest.approx(3.0), "200 units a call at 100 a second, of which 100 were saved up"


class NumberTable(ServiceClient):
    """Spells numbers its own way, as the service does."""

    async def batch_get_item(self, **parameters: Any) -> Answer:
        items = [{"n": {"N": "1000"}, "b": {"B": b"\x00"}}]
        return await self._answer("batch_get_item", lambda _: {"Responses": {TABLE_NAME: items}}, parameters)


@in_virtual_time
async def test_numbers_are_found_however_they_are_spelled() -> None:
    client = NumberTable(StreamedTable(random.Random(0)))
    _, caller = bench(0)
    key = key_text({"n": Decimal("1E+3"), "b": b"\x00"})
    found = await lookup(caller, client, TABLE_NAME, TableShape(("n", "b")), [key])
    assert {k: c.operation for k, c in found.items()} == {key: Operation.UPSERT}

"""Every awkward record there is goes to Cosmos DB, is found there again, and comes back exactly as it was."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.aws.dynamodb.attributes import read_item
from fakes import cosmos
from fakes.cosmos import KEY_NAMES, Bench, order, order_key, removal
from replicator.documents import Document, key_text
from replicator.model import ABSENT, Change, GuardedResult, Operation, Rule
from sandbox.cosmos import CosmosServer
from sandbox.cosmos.keys import canonical
from sandbox.workload import awkward_items

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

LAYOUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "by id": {"partition_key": ("/id",)},
    "two levels": {"partition_key": ("/customer", "/order_id"), "id": ("order_id",)},
    "three levels": {"partition_key": ("/customer", "/order_id", "/id")},
    "id of one attribute": {"partition_key": ("/customer",), "id": ("order_id",)},
}


@asynccontextmanager
async def laid_out(layout: str, key_names: tuple[str, ...] = KEY_NAMES) -> AsyncIterator[Bench]:
    async with CosmosServer() as server, cosmos.ready(server, key_names, **LAYOUTS[layout]) as bench:
        yield bench


def changes() -> dict[str, Change[Document]]:
    """All awkward items as changes, by key."""
    records = [read_item(item) for _, item in awkward_items()]
    keyed = {key_text({name: record[name] for name in KEY_NAMES}): record for record in records}
    assert len(keyed) == len(records)
    return {key: Change(key, Operation.UPSERT, record, "17") for key, record in keyed.items()}


async def listed(bench: Bench) -> list[str]:
    async with aclosing(bench.target.scan(None)) as pages:
        found = [page async for page in pages]
    assert not any(page.foreign or page.leftovers for page in found)
    return [key for page in found for key in page.keys]


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_awkward_record_is_written_found_and_read_back_exactly(layout: str) -> None:
    wanted = changes()
    async with laid_out(layout) as bench:
        assert await bench.target.apply(list(wanted.values()), Rule.FOLLOW) == []
        assert bench.held() == {key: change.record for key, change in wanted.items()}
        assert sorted(await listed(bench)) == sorted(wanted)
        observed = await bench.target.observe(list(wanted))
        assert {k: o.digest for k, o in observed.items()} == {k: bench.target.fingerprint(wanted[k]) for k in wanted}
        bench.server.clear_stats()
        assert await bench.target.replace(wanted, observed, Rule.FOLLOW) == GuardedResult()
        assert bench.sent("item.replace") == bench.sent("item.create") == {}, "equal already"


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_awkward_record_is_deleted_by_its_key_alone(layout: str) -> None:
    """As a stream tells it; beside a copy it leaves a tombstone, under the same id and partition key."""
    wanted = changes()
    gone = [Change(key, Operation.DELETE, {n: c.record[n] for n in KEY_NAMES}) for key, c in wanted.items()]
    async with laid_out(layout) as bench:
        await bench.target.apply(list(wanted.values()), Rule.FOLLOW)
        for rule in (Rule.OVERLAP, Rule.FOLLOW):
            assert await bench.target.apply(gone, rule) == []
            assert bench.held() == {}
            assert len(bench.bodies()) == (len(wanted) if rule is Rule.OVERLAP else 0)


@pytest.mark.parametrize("layout", ["default", "three levels"])
async def test_every_awkward_record_is_replaced_and_deleted_under_guard(layout: str) -> None:
    wanted = changes()
    async with laid_out(layout) as bench:
        observed = await bench.target.observe(list(wanted))
        assert set(observed.values()) == {ABSENT}
        assert await bench.target.replace(wanted, observed, Rule.FOLLOW) == GuardedResult()
        gone = {key: Change(key, Operation.DELETE, {n: c.record[n] for n in KEY_NAMES}) for key, c in wanted.items()}
        assert await bench.target.replace(gone, await bench.target.observe(list(gone)), Rule.FOLLOW) == GuardedResult()
        assert bench.bodies() == []


async def test_hierarchical_levels_share_batches_only_where_all_are_equal() -> None:
    """The service takes a batch of one full partition key."""
    rows = [order(customer, order_id) for customer in "ab" for order_id in "123"]
    async with laid_out("two levels") as bench:
        await bench.target.apply(rows, Rule.FOLLOW)
        assert bench.sent("item.upsert") == {"201": 6}
        container = bench.server.account.container(cosmos.DATABASE, cosmos.CONTAINER)
        texts = {item.home.key.text for item in container.items()}
        assert texts == {canonical([customer, order_id])[1] for customer in "ab" for order_id in "123"}


NUMBERS = [Decimal(n) for n in ("0", "-1", "1.5", "1E+20", "9007199254740993", "1E-130", "9.99E+125", "0.1")]


async def test_numbers_and_bytes_as_keys() -> None:
    """As JSON number where a double is exact, else as text; binary as base64."""
    records: list[Document] = [{"customer": n, "order_id": bytes([i, 255])} for i, n in enumerate(NUMBERS)]
    keys = [key_text(record) for record in records]
    async with laid_out("two levels") as bench:
        wanted = [Change(k, Operation.UPSERT, r) for k, r in zip(keys, records, strict=True)]
        assert await bench.target.apply(wanted, Rule.FOLLOW) == []
        assert bench.held() == dict(zip(keys, records, strict=True))
        assert ABSENT not in (await bench.target.observe(keys)).values()
        gone = [Change(k, Operation.DELETE, r) for k, r in zip(keys, records, strict=True)]
        assert await bench.target.apply(gone, Rule.FOLLOW) == []
        assert bench.bodies() == []


async def test_a_key_that_cosmos_cannot_hold_is_refused_and_never_there() -> None:
    """The longest binary hash keys, as base64. A repair that comes upon one must not end in an error."""
    key: Document = {"customer": bytes(2048), "order_id": "1"}
    text = key_text(key)
    too_long = Change(text, Operation.UPSERT, {**key, "number": Decimal(1)})
    async with laid_out("default") as bench:
        for rule in Rule:
            (rejection,) = await bench.target.apply([too_long, order("a", "1")], rule)
            assert "partition key is above 2048 bytes" in rejection.reason
        assert await bench.target.observe([text]) == {text: ABSENT}
        result = await bench.target.replace({text: too_long}, {text: ABSENT}, Rule.FOLLOW)
        assert [r.key for r in result.rejections] == [text]
        assert set(bench.held()) == {order_key("a", "1")}


@pytest.mark.parametrize("rule", [Rule.OVERLAP, Rule.FOLLOW])
async def test_the_delete_of_a_key_that_cosmos_cannot_hold_is_done_already(rule: Rule) -> None:
    """Its upsert was a dead letter; deleting the item and retrying resolves that, and the delete makes no other."""
    key: Document = {"customer": bytes(2048), "order_id": "1"}
    text = key_text(key)
    gone = Change(text, Operation.DELETE, key)
    async with laid_out("default") as bench:
        assert await bench.target.apply([gone, order("a", "1")], rule) == []
        assert await bench.target.replace({text: gone}, await bench.target.observe([text]), rule) == GuardedResult()
        assert bench.target.fingerprint(gone) is None
        assert set(bench.held()) == {order_key("a", "1")}


async def test_what_was_written_under_another_config_is_found_and_removed_by_a_repair() -> None:
    """Nobody who looks for a record by its key comes upon what has another id."""
    changes = [order("c", str(n)) for n in range(3)]
    async with CosmosServer() as server:
        async with cosmos.ready(server) as before:
            await before.target.apply(changes, Rule.FOLLOW)
            await before.target.apply([removal("c", "3")], Rule.OVERLAP)
        async with cosmos.ready(server, id=("order_id",)) as bench:
            await bench.target.apply(changes, Rule.FOLLOW)
            async with aclosing(bench.target.scan(None)) as pages:
                found = [page async for page in pages]
            assert sorted(key for page in found for key in page.keys) == [change.key for change in changes]
            leftovers = [handle for page in found for handle in page.leftovers]
            assert len(leftovers) == 4
            await bench.target.remove_foreign(leftovers)
            assert sorted(body["id"] for body in bench.bodies()) == ["0", "1", "2"]
            assert bench.held() == {change.key: change.record for change in changes}


async def test_a_source_whose_key_is_called_id() -> None:
    async with laid_out("by id", ("id",)) as bench:
        names = ["plain", "a/b", "..", "ü", "x" * 1100]
        records: list[Document] = [{"id": name, "id_": "mine", "ttl": Decimal(5)} for name in names]
        wanted = [Change(key_text({"id": n}), Operation.UPSERT, r) for n, r in zip(names, records, strict=True)]
        assert await bench.target.apply(wanted, Rule.FOLLOW) == []
        found = cosmos.held(bench.server, ("id",))
        assert found == {c.key: c.record for c in wanted}


async def test_an_expiring_record_keeps_its_attribute_and_gets_a_ttl() -> None:
    """The expiry is the source's; an attribute that is called `ttl` is not the service's `ttl`."""
    soon = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 100, UTC)
    change = order("a", "1", expires_at=soon, ttl=Decimal(7))
    async with laid_out("default") as bench:
        await bench.target.apply([change, removal("a", "2")], Rule.FOLLOW)
        (body,) = bench.bodies()
        assert 90 < body["ttl"] <= 101
        assert bench.held() == {change.key: change.record}

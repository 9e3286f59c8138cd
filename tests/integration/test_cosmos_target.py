"""The Cosmos DB target writes by the rule it is given, in as few requests as the service allows.

The unmodified SDK over sockets, against the local server, whose statistics say what reached it.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from connectors.azure.cosmos.sidecar import SIDECAR
from connectors.azure.cosmos.target import CosmosTarget
from fakes import cosmos
from fakes.cosmos import Bench, order, order_key, removal
from replicator.model import ABSENT, Rule
from sandbox.cosmos import CosmosServer, Fault, Settings
from sandbox.cosmos.wire import Json, JsonObject
from sandbox.faults import Answer, FaultProxy

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

SOON_S = 600


@pytest.fixture
async def server() -> AsyncIterator[CosmosServer]:
    async with CosmosServer(settings=Settings(partitions=2)) as running:
        yield running


@pytest.fixture
async def bench(server: CosmosServer) -> AsyncIterator[Bench]:
    async with cosmos.ready(server) as made:
        yield made


def in_s(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def swept(target: CosmosTarget) -> int:
    counts: list[int] = []
    await target.sweep(counts.append)
    return sum(counts)


async def test_copied_rows_are_created_only_where_nothing_is(bench: Bench) -> None:
    """Alone as well as in a batch, which the service refuses as a whole because of one document that exists."""
    await bench.target.apply([order("a", "1", 5), order("b", "7", 5)], Rule.FOLLOW)
    rows = [order("a", str(n)) for n in range(20)] + [order("b", "7")]
    assert await bench.target.apply(rows, Rule.COPY) == []
    numbers = {key: int(str(record["number"])) for key, record in bench.held().items()}
    assert numbers == {c.key: 1 for c in rows} | {order_key("a", "1"): 5, order_key("b", "7"): 5}


async def test_while_copying_no_document_expires(bench: Bench) -> None:
    await bench.target.apply([order("a", "copied", expires_at=in_s(SOON_S))], Rule.COPY)
    await bench.target.apply([order("a", "changed", expires_at=in_s(SOON_S))], Rule.OVERLAP)
    for body in bench.bodies():
        assert "ttl" not in body
        assert body[SIDECAR]["held"] is True
    assert await swept(bench.target) == 2
    assert all(SOON_S - 5 <= body["ttl"] <= SOON_S + 1 for body in bench.bodies())
    assert not any("held" in body[SIDECAR] for body in bench.bodies())
    bench.server.clock.advance(SOON_S + 2)
    assert bench.bodies() == []


async def test_a_tombstone_holds_nothing_but_the_key(bench: Bench) -> None:
    await bench.target.apply([order("a", "1", secret="s", expires_at=in_s(SOON_S))], Rule.OVERLAP)
    await bench.target.apply([removal("a", "1")], Rule.OVERLAP)
    (body,) = bench.bodies()
    assert {name for name in body if name[0] != "_"} == {"id", "customer", "order_id"}
    assert body[SIDECAR]["deleted"] is body[SIDECAR]["held"] is True


async def test_following_sets_expiries_at_once_and_anew_with_each_write(bench: Bench) -> None:
    expires_at = in_s(SOON_S)
    await bench.target.apply([order("a", "1", expires_at=expires_at)], Rule.FOLLOW)
    (body,) = bench.bodies()
    assert SOON_S - 5 <= body["ttl"] <= SOON_S + 1, "the service tells its time in whole seconds"
    await bench.target.apply([order("a", "1", 2, expires_at=expires_at - timedelta(seconds=SOON_S / 2))], Rule.FOLLOW)
    (body,) = bench.bodies()
    assert SOON_S / 2 - 5 <= body["ttl"] <= SOON_S / 2 + 1
    bench.server.clock.advance(SOON_S / 2 + 1)
    assert bench.bodies() == []
    assert await bench.target.observe([order_key("a", "1")]) == {order_key("a", "1"): ABSENT}


async def test_following_deletes_and_a_delete_of_nothing_is_done(bench: Bench) -> None:
    await bench.target.apply([order("a", "1")], Rule.FOLLOW)
    assert await bench.target.apply([removal("a", "1"), removal("a", "2")], Rule.FOLLOW) == []
    assert bench.bodies() == []
    assert bench.sent("item.delete") == {"204": 1, "404": 1}


async def test_changes_of_one_logical_partition_go_in_batches_of_a_hundred(bench: Bench) -> None:
    changes = [order("a", f"{n:03}") for n in range(250)]
    for rule in (Rule.COPY, Rule.FOLLOW, Rule.OVERLAP):
        assert await bench.target.apply(changes, rule) == []
    assert len(bench.held()) == 250
    assert bench.sent("item.batch") == {"200": 9}
    assert set(bench.server.stats()["operations"]) & {"item.create", "item.upsert"} == set()


async def test_changes_of_many_logical_partitions_go_alone(bench: Bench) -> None:
    await bench.target.apply([order(f"c{n}", "1") for n in range(40)], Rule.FOLLOW)
    assert bench.sent("item.upsert") == {"201": 40}
    assert bench.sent("item.batch") == {}


async def test_deletes_go_alone_since_one_of_nothing_would_fail_a_batch(bench: Bench) -> None:
    await bench.target.apply([order("a", str(n)) for n in range(3)], Rule.FOLLOW)
    await bench.target.apply([removal("a", "0"), removal("a", "1"), removal("a", "none")], Rule.FOLLOW)
    assert bench.sent("item.batch") == {"200": 1}
    assert bench.sent("item.delete") == {"204": 2, "404": 1}


async def test_a_batch_stays_below_the_size_the_service_takes(bench: Bench) -> None:
    """2 MB; a batch beyond it would be refused with 413, each of its halves sent again."""
    large = [order("a", str(n), text="x" * 300_000) for n in range(10)]
    assert await bench.target.apply(large, Rule.FOLLOW) == []
    assert len(bench.held()) == 10
    assert bench.sent("item.batch") == {"200": 3}
    assert bench.sent("item.upsert") == {"201": 1}


async def test_where_rows_exist_batches_shrink_instead_of_failing_again_and_again(bench: Bench) -> None:
    changes = [order("a", f"{n:03}") for n in range(32)]
    await bench.target.apply(changes, Rule.FOLLOW)
    refused: list[int] = []
    for _ in range(8):
        bench.server.clear_stats()
        assert await bench.target.apply(changes, Rule.COPY) == []
        refused.append(bench.sent("item.batch").get("207", 0))
    assert refused[0] == 31, "by halves, down to single ones"
    assert refused[-2:] == [0, 16], "none, and pairs tried again each other time"
    taken: list[int] = []
    for round_ in range(6):
        bench.server.clear_stats()
        await bench.target.apply([order(f"new{round_}", f"{n:03}") for n in range(32)], Rule.COPY)
        taken.append(sum(bench.sent("item.batch").values()) + sum(bench.sent("item.create").values()))
    assert taken == [32, 16, 8, 4, 2, 1], "where they are taken they grow again"


def container_with_unique_emails(server: CosmosServer) -> None:
    server.account.create_database({"id": cosmos.DATABASE})
    key: Json = {"paths": ["/customer"], "kind": "Hash"}
    unique: Json = {"uniqueKeys": [{"paths": ["/email"]}]}
    body: JsonObject = {"id": cosmos.CONTAINER, "partitionKey": key, "uniqueKeyPolicy": unique, "defaultTtl": -1}
    server.account.create_container(cosmos.DATABASE, body)


@pytest.mark.parametrize(("rule", "operation"), [(Rule.COPY, "item.create"), (Rule.FOLLOW, "item.upsert")])
async def test_what_the_service_refuses_for_good_is_returned(server: CosmosServer, rule: Rule, operation: str) -> None:
    """A unique key that another document has is told with 409, as an id that is taken is. It must not pass for one."""
    container_with_unique_emails(server)
    async with cosmos.ready(server) as bench:
        server.faults.add(Fault(operation=operation, path="/docs", count=1, status=409))
        (rejection,) = await bench.target.apply([order("a", "1")], rule)
        assert rejection.key == order_key("a", "1")
        assert rejection.reason.startswith("Cosmos DB refuses the document: status 409")
        assert await bench.target.apply([order("a", "1"), order("a", "2")], rule) == []
        assert await bench.target.apply([order("a", "1", 2), order("b", "1")], Rule.COPY) == []
        assert set(bench.held()) == {order_key("a", "1"), order_key("a", "2"), order_key("b", "1")}


@pytest.mark.parametrize("operation", ["item.create", "item.replace"])
async def test_a_unique_key_that_another_document_has_ends_a_guarded_write(
    server: CosmosServer, operation: str
) -> None:
    """It is no conflict: looking again would find the same, for ever."""
    container_with_unique_emails(server)
    async with cosmos.ready(server) as bench:
        change = order("a", "1", 2)
        if operation == "item.replace":
            await bench.target.apply([order("a", "1")], Rule.FOLLOW)
        server.faults.add(Fault(operation=operation, path="/docs", status=409))
        result = await bench.target.replace({change.key: change}, await bench.target.observe([change.key]), Rule.FOLLOW)
        assert result.conflicts == ()
        assert [r.key for r in result.rejections] == [change.key]
        assert result.rejections[0].reason.startswith("Cosmos DB refuses the document: status 409")


async def test_charges_are_accounted_and_writes_stay_within_the_budget(server: CosmosServer) -> None:
    """What is saved up while idle, one second's worth, may go at once."""
    async with cosmos.ready(server, units_per_s=400) as bench:
        before = bench.charged
        begun = anyio.current_time()
        await bench.target.apply([order(f"c{n}", "1") for n in range(150)], Rule.FOLLOW)
        assert bench.charged - before == 150 * 5
        assert anyio.current_time() - begun >= (150 * 5 - 400) / 400 - 0.1
        await bench.target.apply([order("one", str(n)) for n in range(20)], Rule.FOLLOW)
        assert bench.charged - before == 170 * 5


async def test_reads_and_refused_requests_are_charged_too(server: CosmosServer) -> None:
    port = int(server.endpoint.rstrip("/").rsplit(":", 1)[1])
    async with (
        FaultProxy("127.0.0.1", port, rewrite_authority=True) as proxy,
        cosmos.ready(server, to=proxy.endpoint) as bench,
    ):
        await bench.target.apply([order("a", "1")], Rule.FOLLOW)
        before = bench.charged
        await bench.target.observe([order_key("a", "1")])
        assert bench.charged == before + 1
        headers = {"x-ms-request-charge": "0.25", "x-ms-retry-after-ms": "1"}
        proxy.inject(Answer(status=429, headers=headers, body=b"{}"), path="/docs", count=2)
        await bench.target.apply([order("a", "1", 2)], Rule.FOLLOW)
        assert bench.charged == before + 1 + 5 + 2 * 0.25

"""How a Cosmos DB target begins: looked at without a change, made where allowed, claimed by a marker, or refused."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from connectors import registry
from fakes import cosmos
from fakes.cosmos import CONTAINER, DATABASE, KEY_NAMES, order
from replicator.config.loading import load_config
from replicator.errors import ConfigurationError
from replicator.model import Marker, Rule, Severity
from sandbox.cosmos import CosmosServer, Fault
from sandbox.cosmos.wire import Json
from sandbox.faults import FaultProxy, Pass, Stall

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

CONFIG = """
migration: m
pipelines:
  orders:
    source: {type: dynamodb, table: orders, max_read_units: 10}
    target: {type: cosmos, endpoint: "https://a.invalid/", database: d, container: c, key: "${COSMOS_KEY}"}
"""
CREATED = ("database.create", "container.create")
ONE, TWO, OTHER = Marker("m", 1, "g1"), Marker("m", 1, "g2"), Marker("x", 9, "g9")


@pytest.fixture
async def server() -> AsyncIterator[CosmosServer]:
    async with CosmosServer() as running:
        yield running


def made_by_somebody_else(server: CosmosServer, path: str = "", ttl_s: int = -1) -> None:
    """The database, and if a partition path is given the container of records."""
    server.account.create_database({"id": DATABASE})
    if path:
        key: Json = {"paths": [path], "kind": "Hash"}
        server.account.create_container(DATABASE, {"id": CONTAINER, "partitionKey": key, "defaultTtl": ttl_s})


async def refusal(server: CosmosServer, **settings: Any) -> ConfigurationError:
    """What connecting is refused with; nothing was created."""
    server.clear_stats()
    async with cosmos.bench(server, **settings) as bench:
        with pytest.raises(ConfigurationError) as refused:
            await bench.target.connect(KEY_NAMES)
    assert not set(CREATED) & set(server.stats()["operations"])
    assert refused.value.where.startswith(cosmos.WHERE)
    assert refused.value.fix
    return refused.value


async def test_what_is_missing_is_made_as_it_must_be_and_only_when_asked(server: CosmosServer) -> None:
    async with cosmos.bench(server, partition_key=("/customer", "/order_id")) as bench:
        await bench.target.connect(KEY_NAMES)
        assert await bench.target.is_empty()
        assert await bench.target.read_marker() is None
        assert not set(CREATED) & set(server.stats()["operations"]), "connecting changes nothing"
        for _ in range(2):
            await bench.target.create()
        records = server.account.container(DATABASE, CONTAINER).properties
        marker = server.account.container(DATABASE, "replicator").properties
        assert records["partitionKey"] == {"paths": ["/customer", "/order_id"], "kind": "MultiHash", "version": 2}
        assert records["defaultTtl"] == -1, "documents expire by their own ttl alone"
        assert marker["partitionKey"] == {"paths": ["/id"], "kind": "Hash", "version": 2}
        assert server.stats()["operations"]["container.create"] == {"201": 2}


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"throughput": 500}, {"x-ms-offer-throughput": "500"}),
        ({"autoscale_max_throughput": 4000}, {"x-ms-cosmos-offer-autopilot-settings": '{"maxThroughput": 4000}'}),
    ],
)
async def test_throughput_is_asked_for_where_the_records_go(
    server: CosmosServer, settings: dict[str, Any], header: dict[str, str]
) -> None:
    port = int(server.endpoint.rstrip("/").rsplit(":", 1)[1])
    async with FaultProxy("127.0.0.1", port, rewrite_authority=True) as proxy:
        asked = proxy.inject(Pass(), method="POST", path="/colls", headers=header)
        async with cosmos.ready(server, to=proxy.endpoint, **settings):
            assert asked.hits == 1, "not for the marker, which needs none"


async def test_two_daemons_may_create_at_once(server: CosmosServer) -> None:
    async with cosmos.bench(server) as one, cosmos.bench(server) as other:
        for made in (one, other):
            await made.target.connect(KEY_NAMES)
        async with anyio.create_task_group() as tasks:
            for made in (one, other):
                tasks.start_soon(made.target.create)
        assert await one.target.write_marker(ONE, None)
        assert not await other.target.write_marker(OTHER, None), "but only one of them may write"
        assert await other.target.read_marker() == ONE


async def test_what_somebody_else_made_and_filled_meanwhile_is_seen(server: CosmosServer) -> None:
    async with cosmos.bench(server) as late, cosmos.ready(server) as early:
        await late.target.connect(KEY_NAMES)
        await early.target.apply([order("a", "1")], Rule.FOLLOW)
        await early.target.write_marker(ONE, None)
        await late.target.create()
        assert not await late.target.is_empty()
        assert await late.target.read_marker() == ONE


@pytest.mark.parametrize("existing", ["nothing", "database", "container"])
async def test_what_is_missing_and_may_not_be_made_is_named(server: CosmosServer, existing: str) -> None:
    if existing != "nothing":
        made_by_somebody_else(server, "/customer" if existing == "container" else "")
    error = await refusal(server, create=False)
    missing = {"container": "marker_container"}.get(existing, "container")
    assert error.where == f"{cosmos.WHERE}.{missing}"
    assert f"database {DATABASE}" in error.problem
    assert error.fix == "Create it, or allow it with create: true"


@pytest.mark.parametrize(
    ("path", "ttl_s", "where", "problem"),
    [
        ("/other", -1, "partition_key", "partitioned by /other, not by /customer"),
        ("/customer", 60, "container", "expire after 60 seconds"),
    ],
)
async def test_a_container_of_the_wrong_shape_is_refused(
    server: CosmosServer, path: str, ttl_s: int, where: str, problem: str
) -> None:
    made_by_somebody_else(server, path, ttl_s)
    error = await refusal(server)
    assert error.where == f"{cosmos.WHERE}.{where}"
    assert problem in error.problem


async def test_a_wrong_key_is_told_with_its_fix(server: CosmosServer) -> None:
    key = base64.b64encode(b"another key").decode()
    error = await refusal(server, key=SecretStr(key))
    assert "permissions.md" in error.fix
    assert key not in str(error)


@pytest.mark.parametrize("key", ["no base64!", "ü", "AAA", " ", "AccountEndpoint=https://a/;AccountKey=AAAA;"])
def test_what_is_no_key_at_all_is_told_before_anything_is_sent(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not shown, since it may be a secret all the same."""
    monkeypatch.setenv("COSMOS_KEY", key)
    path = tmp_path / "migration.yaml"
    path.write_text(CONFIG)
    with pytest.raises(ConfigurationError) as refused:
        load_config(path, registry())
    assert refused.value.where.endswith("pipelines.orders.target.key")
    assert "account key" in refused.value.problem
    assert key == " " or key not in str(refused.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_role_that_is_missing_is_told_with_its_fix(server: CosmosServer, status: int) -> None:
    server.faults.add(Fault(operation="container.read", status=status))
    error = await refusal(server)
    assert "permissions.md" in error.fix
    assert str(status) in error.problem


async def test_an_address_where_nobody_answers_is_told_with_its_fix(server: CosmosServer) -> None:
    endpoint = server.endpoint
    await server.stop()
    with anyio.fail_after(30):
        error = await refusal(server, to=endpoint)
    assert "cannot be reached" in error.problem
    assert "network" in error.fix


async def test_rights_to_create_that_are_missing_are_told_with_their_fix(server: CosmosServer) -> None:
    """Roles of the data plane never include them."""
    async with cosmos.bench(server) as bench:
        await bench.target.connect(KEY_NAMES)
        server.faults.add(Fault(operation="*.create", status=403))
        with pytest.raises(ConfigurationError) as refused:
            await bench.target.create()
        assert "permissions.md" in refused.value.fix


async def test_each_container_has_a_marker_of_its_own_beside_the_records(server: CosmosServer) -> None:
    async with cosmos.ready(server) as one, cosmos.ready(server, container="other") as other:
        assert await one.target.write_marker(ONE, None)
        assert await other.target.read_marker() is None
        assert await other.target.write_marker(OTHER, None)
        assert await one.target.read_marker() == ONE
        assert one.bodies() == []
        assert server.stats()["items"] == {"shop/orders": 0, "shop/other": 0, "shop/replicator": 2}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [{"cut": True}, {"status": 503}, {"status": 429, "retry_after_ms": 1}], ids=str)
async def test_a_marker_is_written_whatever_becomes_of_the_answer(
    server: CosmosServer, when: Any, fault: dict[str, Any]
) -> None:
    """An unknown outcome is found out by reading, and is never taken for somebody else's write."""
    async with cosmos.ready(server, lifetime_s=0.1) as bench:
        for operation, marker, previous in (("item.create", ONE, None), ("item.replace", TWO, ONE)):
            server.faults.add(Fault(operation=operation, path="replicator", count=1, when=when, **fault))
            assert await bench.target.write_marker(marker, previous)
            assert await bench.target.read_marker() == marker


async def test_a_marker_that_somebody_else_writes_at_the_same_moment_is_noticed(server: CosmosServer) -> None:
    """Between reading it and writing it: the condition is the service's to judge."""
    port = int(server.endpoint.rstrip("/").rsplit(":", 1)[1])
    async with (
        FaultProxy("127.0.0.1", port, rewrite_authority=True) as proxy,
        cosmos.ready(server, to=proxy.endpoint) as one,
        cosmos.ready(server) as other,
    ):
        await one.target.write_marker(ONE, None)
        held_up = proxy.inject(Stall(), method="PUT")
        results: list[bool] = []

        async def write() -> None:
            results.append(await one.target.write_marker(TWO, ONE))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await held_up.wait_for_hits()
            assert await other.target.write_marker(OTHER, ONE)
            held_up.lift()
        assert results == [False]
        assert await one.target.read_marker() == OTHER


async def test_findings_name_what_is_there_and_what_will_be(server: CosmosServer) -> None:
    async with cosmos.bench(server) as bench:
        await bench.target.connect(KEY_NAMES)
        assert {f.severity for f in await bench.target.check()} == {Severity.OK}
        assert any("orders is missing and will be created" in f.message for f in await bench.target.check())
        await bench.target.create()
        assert any("orders exists" in f.message for f in await bench.target.check())

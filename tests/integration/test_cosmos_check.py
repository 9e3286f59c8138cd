"""Promise: what `run` would refuse is an error, what needs a decision a warning, and nothing is changed by looking."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.azure.cosmos.target import open_target
from fakes.records import upsert
from fakes.targets import WHERE, cosmos_config, target_context
from replicator.errors import ConfigurationError
from replicator.model import Finding, Marker, Rule, Severity
from sandbox.cosmos import CosmosServer, Fault
from sandbox.cosmos.wire import JsonObject
from sandbox.faults import Answer, FaultProxy

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")


async def findings(server: CosmosServer, endpoint: str = "", **fields: Any) -> list[Finding]:
    async with open_target(cosmos_config(endpoint or server.endpoint, **fields), target_context()) as target:
        await target.connect(("id",))
        return await target.check()


async def refusal(server: CosmosServer, **fields: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        await findings(server, **fields)
    return refused.value


def worst(found: list[Finding]) -> list[str]:
    """What is not fine."""
    return [f"{f.severity.value}: {f.message} / {f.fix}" for f in found if f.severity is not Severity.OK]


def make(server: CosmosServer, **orders: Any) -> None:
    """Both containers, `orders` with these properties."""
    server.account.create_database({"id": "shop"})
    orders = {"id": "orders", "defaultTtl": -1, **orders}
    for properties in (orders, {"id": "replicator"}):
        key: JsonObject = {"paths": ["/id"], "kind": "Hash", "version": 2}
        server.account.create_container("shop", {"partitionKey": key, **properties})


async def test_an_account_that_is_fine() -> None:
    async with CosmosServer() as server:
        make(server)
        before = server.stats()["items"]
        found = await findings(server)
        assert worst(found) == []
        messages = " / ".join(f.message for f in found)
        assert "documents get their id from id and are partitioned by /id" in messages
        assert "container orders exists and may be read and written" in messages
        assert "container replicator exists and may be read and written" in messages
        assert "container orders is empty, and no migration has claimed it" in messages
        assert "reads see what was written before (Session consistency)" in messages
        assert server.stats()["items"] == before


async def test_what_is_missing_and_will_be_made_is_said() -> None:
    async with CosmosServer() as server:
        found = await findings(server)
        assert worst(found) == []
        assert "container orders is missing and will be created" in [f.message for f in found]
        assert server.stats()["items"] == {}


@pytest.mark.parametrize("level", ["Eventual", "ConsistentPrefix"])
async def test_reads_that_may_be_stale_need_a_decision(level: str) -> None:
    async with CosmosServer(consistency=level) as server:
        (warning,) = worst(await findings(server))
    assert warning.startswith(f"warning: the account's default consistency is {level}")
    assert "Session" in warning


@pytest.mark.parametrize("level", ["Strong", "BoundedStaleness", "Session"])
async def test_reads_that_are_never_stale_are_fine(level: str) -> None:
    async with CosmosServer(consistency=level) as server:
        assert worst(await findings(server)) == []


SECOND: JsonObject = {"name": "Second", "databaseAccountEndpoint": "https://second.example:443/"}


async def test_several_write_regions_need_a_decision() -> None:
    """By the account's own endpoint nobody knows which region is written; by one region's it is clear."""
    async with CosmosServer() as server:
        server.account_document["enableMultipleWriteLocations"] = True
        assert worst(await findings(server)) == []
        server.account_document["writableLocations"] = [SECOND, {**SECOND, "name": "Third"}]
        server.account_document["readableLocations"] = [SECOND]
        (warning,) = worst(await findings(server))
    assert warning.startswith("warning: the account takes writes in several regions")
    assert "https://second.example:443/" in warning


async def test_the_endpoint_of_a_region_that_only_reads_is_refused() -> None:
    async with CosmosServer() as server:
        server.account_document["writableLocations"] = [SECOND]
        refused = await refusal(server)
    assert refused.where == f"{WHERE}.endpoint"
    assert "takes no writes" in refused.problem
    assert "https://second.example:443/" in refused.fix


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("operation", "container", "field"),
    [
        ("item.read", "orders", "container"),
        ("item.query", "orders", "container"),
        ("item.delete", "orders", "container"),
        ("item.read", "replicator", "marker_container"),
        ("item.delete", "replicator", "marker_container"),
    ],
)
async def test_what_is_not_permitted_is_refused_at_the_start(
    operation: str, container: str, field: str, status: int
) -> None:
    """A read-only key, for one, is told from the others by what it may not do."""
    async with CosmosServer() as server:
        make(server)
        server.faults.add(Fault(operation=operation, path=f"/{container}/", status=status))
        refused = await refusal(server)
    assert refused.where == f"{WHERE}.{field}"
    assert f"container {container} may not be" in refused.problem
    assert "docs/permissions.md" in refused.fix


async def test_trying_the_permissions_changes_nothing_whatever_is_there() -> None:
    async with CosmosServer() as server:
        async with open_target(cosmos_config(server.endpoint), target_context()) as target:
            await target.connect(("id",))
            await target.create()
            await target.apply([upsert(f"n{i}", i) for i in range(5)], Rule.FOLLOW)
            await target.write_marker(Marker("m", 3, "g"), None)
        watched: list[object] = []
        for name in ("orders", "replicator"):
            server.account.container("shop", name).watchers.append(watched.append)
        (note,) = worst(await findings(server))
        assert watched == []
    assert note.startswith("note: container orders is claimed by migration m in epoch 3")


async def test_a_container_that_is_not_empty_and_unclaimed_would_be_refused() -> None:
    async with CosmosServer() as server:
        async with open_target(cosmos_config(server.endpoint), target_context()) as target:
            await target.connect(("id",))
            await target.create()
            await target.apply([upsert("a", 1)], Rule.FOLLOW)
        (error,) = worst(await findings(server))
    assert error.startswith("error: container orders is not empty, and no migration has claimed it")
    assert "--adopt" in error


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"defaultTtl": None}, "warning: container orders has no time to live"),
        ({"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/a"]}]}}, "warning: container orders has unique keys"),
    ],
)
async def test_settings_that_need_a_decision(properties: dict[str, Any], message: str) -> None:
    async with CosmosServer() as server:
        make(server)
        stored = server.account.container("shop", "orders").properties
        stored.update(properties)
        for name, value in properties.items():
            if value is None:
                del stored[name]
        (warning,) = worst(await findings(server))
    assert warning.startswith(message)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p["partitionKey"].update(paths=["/other"]), "is partitioned by /other"),
        (lambda p: p.update(defaultTtl=60), "lets documents without a ttl expire after 60 seconds"),
    ],
)
async def test_a_container_of_the_wrong_shape_is_refused(spoil: Callable[[dict[str, Any]], None], message: str) -> None:
    async with CosmosServer() as server:
        make(server)
        spoil(server.account.container("shop", "orders").properties)
        assert message in (await refusal(server)).problem


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p["partitionKey"].update(paths=["/migration"]), "container replicator is partitioned by /migration"),
        (lambda p: p.update(defaultTtl=3600), "lets documents without a ttl expire after 3600 seconds"),
    ],
)
async def test_a_container_that_would_lose_the_marker_is_refused(
    spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    async with CosmosServer() as server:
        make(server)
        spoil(server.account.container("shop", "replicator").properties)
        refused = await refusal(server)
    assert message in refused.problem
    assert refused.where == f"{WHERE}.marker_container"


@pytest.mark.parametrize(
    ("path", "same"), [("/pk", True), ('/"pk"', True), ("/'pk'", True), ("/PK", False), ("/a/b", False)]
)
async def test_paths_are_compared_by_what_they_name(path: str, *, same: bool) -> None:
    async with CosmosServer() as server:
        make(server, partitionKey={"paths": [path], "kind": "Hash", "version": 2})
        async with open_target(cosmos_config(server.endpoint), target_context()) as target:
            if same:
                await target.connect(("pk",))
            else:
                with pytest.raises(ConfigurationError, match="is partitioned by"):
                    await target.connect(("pk",))


@pytest.mark.parametrize(
    "answer", [Answer(status=404), Answer(status=200, body=b"<html>login</html>"), Answer(status=302)]
)
async def test_an_endpoint_that_is_no_cosmos_db_is_refused(answer: Answer) -> None:
    async with CosmosServer() as server, FaultProxy("127.0.0.1", int(server.endpoint.split(":")[2][:-1])) as proxy:
        proxy.inject(answer)
        with pytest.raises(ConfigurationError, match="Check endpoint"):
            await findings(server, proxy.endpoint)


@pytest.mark.parametrize("date", ["", "yesterday"])
async def test_a_service_whose_time_cannot_be_told_is_refused(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a proxy that removes the header."""
    monkeypatch.setattr("sandbox.cosmos.gateway.formatdate", lambda *_, **__: date)
    async with CosmosServer() as server:
        refused = await refusal(server)
    assert "answers carry no Date header" in refused.problem

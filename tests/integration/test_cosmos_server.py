"""The local Cosmos DB server, driven by the unmodified async SDK over sockets."""

from __future__ import annotations

import base64
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NonePartitionKeyValue, NullPartitionKeyValue

from fakes.cosmos import connect
from sandbox.cosmos import EMULATOR_KEY, CosmosServer, Fault, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from azure.cosmos.aio import ContainerProxy, DatabaseProxy

OTHER_KEY = base64.b64encode(b"another key").decode()
LARGE_BODY = "ignore:Sending a large body:ResourceWarning"  # what aiohttp thinks of more than 1 MB
ALL_VERSIONS: Final = "AllVersionsAndDeletes"


@pytest.fixture
def server(cosmos_server: CosmosServer) -> CosmosServer:
    """The embedded one; who asks for it looks into it."""
    return cosmos_server


@pytest.fixture
def client(cosmos_client: CosmosClient) -> CosmosClient:
    """Of that, or of an emulator in a container."""
    return cosmos_client


@pytest.fixture
async def database(client: CosmosClient) -> DatabaseProxy:
    return await client.create_database("shop")


@pytest.fixture
async def container(database: DatabaseProxy) -> ContainerProxy:
    return await database.create_container("orders", PartitionKey("/pk"))


async def listed(results: AsyncIterable[Any]) -> list[Any]:
    """All results of a feed."""
    return [result async for result in results]


async def fill(container: ContainerProxy, count: int) -> None:
    """Upsert items `0` to `count - 1`, each in a logical partition of its own."""
    for number in range(count):
        await container.upsert_item({"id": str(number), "pk": f"p{number}", "n": number})


async def test_the_account_says_what_it_is_and_where(server: CosmosServer, client: CosmosClient) -> None:
    account = await client._get_database_account()
    assert account.WritableLocations[0]["databaseAccountEndpoint"] == server.endpoint
    async with aiohttp.ClientSession() as http, http.get(server.endpoint) as answer:
        assert answer.status == 401
        assert "development tool" in answer.headers["Server"]


async def test_wrong_keys_and_entra_tokens_are_refused(server: CosmosServer) -> None:
    stranger = connect(server, OTHER_KEY)
    with pytest.raises(CosmosHttpResponseError, match="signature") as refused:
        await stranger.__aenter__()
    await stranger.close()
    assert refused.value.status_code == 401
    async with aiohttp.ClientSession() as http:
        token = {"authorization": "type%3Daad%26ver%3D1.0%26sig%3Dabc"}
        async with http.get(f"{server.endpoint}dbs", headers=token) as answer:
            assert answer.status == 401
            assert "account keys only" in await answer.text()


@pytest.mark.embedded("cosmos", "looks into the server, or steers it")
async def test_a_key_of_ones_own() -> None:
    async with CosmosServer(key=OTHER_KEY) as server, connect(server) as client:
        await client.create_database("x")


async def test_databases_and_containers(client: CosmosClient, database: DatabaseProxy) -> None:
    with pytest.raises(CosmosResourceExistsError):
        await client.create_database("shop")
    assert [found["id"] for found in await listed(client.list_databases())] == ["shop"]
    unique: Any = {"uniqueKeys": [{"paths": ["/email"]}]}
    made = await database.create_container(
        "c", PartitionKey("/pk"), default_ttl=60, unique_key_policy=unique, indexing_policy={"indexingMode": "none"}
    )
    with pytest.raises(CosmosResourceExistsError):
        await database.create_container("c", PartitionKey("/pk"))
    properties = await made.read()
    assert properties["defaultTtl"] == 60
    assert properties["uniqueKeyPolicy"] == unique
    assert properties["indexingPolicy"]["indexingMode"] == "none"
    assert properties["partitionKey"] == {"paths": ["/pk"], "kind": "Hash", "version": 2}
    await database.replace_container("c", PartitionKey("/pk"), default_ttl=-1)
    assert (await made.read())["defaultTtl"] == -1
    with pytest.raises(CosmosHttpResponseError, match="cannot be changed"):
        await database.replace_container("c", PartitionKey("/other"))
    assert [found["id"] for found in await listed(database.list_containers())] == ["c"]
    assert (await made.get_throughput()).offer_throughput == 400
    await database.delete_container("c")
    with pytest.raises(CosmosResourceNotFoundError):
        await made.read()
    await client.delete_database("shop")
    with pytest.raises(CosmosResourceNotFoundError):
        await database.read()


async def test_items_are_created_read_replaced_and_deleted(container: ContainerProxy) -> None:
    created = await container.create_item({"id": "a b+%é", "pk": "p", "n": 1})
    assert {"_rid", "_self", "_etag", "_ts", "_attachments"} <= created.keys()
    with pytest.raises(CosmosResourceExistsError):
        await container.create_item({"id": "a b+%é", "pk": "p"})
    await container.create_item({"id": "a b+%é", "pk": "another partition"})
    assert (await container.read_item("a b+%é", "p"))["n"] == 1
    replaced = await container.replace_item("a b+%é", {"id": "a b+%é", "pk": "p", "n": 2})
    assert replaced["_rid"] == created["_rid"]
    assert replaced["_etag"] != created["_etag"]
    assert (await container.upsert_item({"id": "a b+%é", "pk": "p", "n": 3}))["n"] == 3
    await container.delete_item("a b+%é", "p")
    for act in (container.read_item, container.delete_item):
        with pytest.raises(CosmosResourceNotFoundError):
            await act("a b+%é", "p")
    with pytest.raises(CosmosResourceNotFoundError):
        await container.replace_item("a b+%é", {"id": "a b+%é", "pk": "p"})


@pytest.mark.parametrize("key", [NullPartitionKeyValue, True, 7, 1.5, "", "é" * 1_024])
async def test_partition_keys_of_every_scalar_type(container: ContainerProxy, key: Any) -> None:
    await container.upsert_item({"id": "a", "pk": None if key is NullPartitionKeyValue else key})
    assert (await container.read_item("a", key))["id"] == "a"
    assert len(await listed(container.query_items("SELECT * FROM c", partition_key=key))) == 1


async def test_an_item_without_a_key_is_found_as_such(container: ContainerProxy) -> None:
    await container.upsert_item({"id": "a"})
    assert (await container.read_item("a", NonePartitionKeyValue))["id"] == "a"
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("a", NullPartitionKeyValue)


@pytest.mark.filterwarnings(LARGE_BODY)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "a", "pk": ["x"]}, 400),
        ({"id": "a", "pk": "x" * 2_049}, 400),
        ({"id": "", "pk": "p"}, 400),
        ({"id": "x" * 1_024, "pk": "p"}, 400),
        ({"id": "a", "pk": "p", "n": float("nan")}, 400),
        ({"id": "a", "pk": "p", "ttl": 0}, 400),
        ({"id": "a", "pk": "p", "pad": "x" * 2_100_000}, 413),
    ],
)
async def test_items_that_break_a_limit_are_refused(
    container: ContainerProxy, body: dict[str, Any], status: int
) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.create_item(body)
    assert refused.value.status_code == status


async def test_numbers_are_doubles(container: ContainerProxy) -> None:
    await container.upsert_item({"id": "a", "pk": "p", "exact": 2**53, "large": 2**53 + 1, "huge": 10**37 + 1})
    read = await container.read_item("a", "p")
    assert (read["exact"], read["large"], read["huge"]) == (2**53, 2**53, 1e37)


async def test_etags_guard_every_write(container: ContainerProxy) -> None:
    body = {"id": "a", "pk": "p"}
    stale = (await container.create_item(body))["_etag"]
    fresh = (await container.upsert_item(body))["_etag"]
    guard: dict[str, Any] = {"etag": stale, "match_condition": MatchConditions.IfNotModified}
    writes: list[Callable[..., Any]] = [
        lambda **when: container.upsert_item(body, **when),
        lambda **when: container.replace_item("a", body, **when),
        lambda **when: container.patch_item("a", "p", [{"op": "set", "path": "/n", "value": 1}], **when),
        lambda **when: container.delete_item("a", "p", **when),
    ]
    for write in writes:
        with pytest.raises(CosmosAccessConditionFailedError):
            await write(**guard)
    for write in writes:
        result = await write(etag=fresh, match_condition=MatchConditions.IfNotModified)
        fresh = result["_etag"] if result else fresh
    created = await container.upsert_item(body, **guard)
    assert created["id"] == "a", "as in the service, an upsert heeds If-Match only where it finds an item"


async def test_an_upsert_can_demand_that_nothing_is_there(container: ContainerProxy) -> None:
    body = {"id": "a", "pk": "p"}
    await container.upsert_item(body, match_condition=MatchConditions.IfMissing)
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.upsert_item(body, match_condition=MatchConditions.IfMissing)


async def test_an_unmodified_read_is_a_304(container: ContainerProxy) -> None:
    etag = (await container.create_item({"id": "a", "pk": "p"}))["_etag"]
    read = await container.read_item("a", "p", etag=etag, match_condition=MatchConditions.IfModified)
    assert not read


async def test_patches(container: ContainerProxy) -> None:
    await container.create_item({"id": "a", "pk": "p", "n": 1, "tags": ["x"]})
    patched = await container.patch_item(
        "a",
        "p",
        [{"op": "incr", "path": "/n", "value": 2}, {"op": "add", "path": "/tags/-", "value": "y"}],
        filter_predicate="FROM c WHERE c.n = 1",
    )
    assert (patched["n"], patched["tags"]) == (3, ["x", "y"])
    with pytest.raises(CosmosAccessConditionFailedError):
        await container.patch_item("a", "p", [{"op": "remove", "path": "/n"}], filter_predicate="FROM c WHERE c.n = 1")


async def test_batches_are_all_or_nothing(container: ContainerProxy) -> None:
    old = await container.create_item({"id": "old", "pk": "p"})
    done = await container.execute_item_batch(
        [
            ("create", ({"id": "a", "pk": "p"},)),
            ("upsert", ({"id": "a", "pk": "p", "n": 1},)),
            ("replace", ("old", {"id": "old", "pk": "p", "n": 2}), {"if_match_etag": old["_etag"]}),
            ("patch", ("a", [{"op": "incr", "path": "/n", "value": 1}])),
            ("read", ("a",)),
            ("delete", ("old",)),
        ],
        "p",
    )
    assert [entry["statusCode"] for entry in done] == [201, 200, 200, 200, 200, 204]
    assert done[4]["resourceBody"]["n"] == 2
    with pytest.raises(CosmosBatchOperationError) as failed:
        await container.execute_item_batch(
            [("upsert", ({"id": "b", "pk": "p"},)), ("create", ({"id": "a", "pk": "p"},))], "p"
        )
    assert (failed.value.error_index, failed.value.status_code) == (1, 409)
    assert [entry["statusCode"] for entry in failed.value.operation_responses] == [424, 409]
    assert [item["id"] for item in await listed(container.read_all_items())] == ["a"]


@pytest.mark.filterwarnings(LARGE_BODY)
@pytest.mark.parametrize(("count", "pad", "status"), [(101, 0, 400), (20, 150_000, 413), (100, 10, 200)])
async def test_batches_have_limits(container: ContainerProxy, count: int, pad: int, status: int) -> None:
    operations = [("upsert", ({"id": str(n), "pk": "p", "pad": "x" * pad},)) for n in range(count)]
    try:
        await container.execute_item_batch(operations, "p")
        answered = 200
    except CosmosHttpResponseError as error:
        answered = error.status_code or 0
    assert answered == status


async def test_a_batch_stays_in_one_partition(container: ContainerProxy) -> None:
    with pytest.raises(CosmosBatchOperationError) as failed:
        await container.execute_item_batch([("create", ({"id": "a", "pk": "other"},))], "p")
    assert failed.value.status_code == 400


async def test_expired_items_are_gone(server: CosmosServer, database: DatabaseProxy) -> None:
    container = await database.create_container("c", PartitionKey("/pk"), default_ttl=-1)
    await container.create_item({"id": "a", "pk": "p", "ttl": 10})
    server.clock.advance(11)
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("a", "p")
    assert await listed(container.query_items("SELECT VALUE COUNT(1) FROM c")) == [0]
    await container.create_item({"id": "a", "pk": "p"})


async def test_queries_reach_over_partitions(container: ContainerProxy) -> None:
    await fill(container, 30)
    assert len(await listed(container.query_items("SELECT * FROM c", max_item_count=4))) == 30
    assert await listed(container.query_items("SELECT VALUE COUNT(1) FROM c WHERE c.n >= 10")) == [20]
    named = container.query_items(
        "SELECT c.n, c.pk AS key FROM c WHERE c.n IN (@a, @b)",
        parameters=[{"name": "@a", "value": 3}, {"name": "@b", "value": 4}],
    )
    found = sorted(await listed(named), key=lambda row: int(row["n"]))
    assert found == [{"n": 3, "key": "p3"}, {"n": 4, "key": "p4"}]
    ordered = container.query_items("SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 2 LIMIT 3")
    assert await listed(ordered) == [27, 26, 25]
    one = container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key="p5")
    assert await listed(one) == [1]


async def test_a_query_goes_on_from_its_continuation(container: ContainerProxy) -> None:
    await fill(container, 20)
    pages: Any = container.query_items("SELECT VALUE c.n FROM c", max_item_count=6).by_page()
    seen = await listed(await anext(pages))
    token = pages.continuation_token
    assert len(seen) == 6
    rest = container.query_items("SELECT VALUE c.n FROM c", max_item_count=6).by_page(token)
    async for page in rest:
        seen += await listed(page)
    assert sorted(seen) == list(range(20))


async def test_what_a_query_may_not_say_is_refused(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError, match="does not support the function LOWER") as refused:
        await listed(container.query_items("SELECT * FROM c WHERE LOWER(c.pk) = 'p'"))
    assert refused.value.status_code == 400


async def test_feed_ranges_split_queries_and_feeds_alike(container: ContainerProxy) -> None:
    await fill(container, 40)
    seen: list[str] = []
    ranges = await listed(container.read_feed_ranges())
    assert len(ranges) == 4
    for feed_range in ranges:
        queried = await listed(container.query_items("SELECT VALUE c.id FROM c", feed_range=feed_range))
        changes = container.query_items_change_feed(feed_range=feed_range, start_time="Beginning")
        assert sorted(change["id"] for change in await listed(changes)) == sorted(map(str, queried))
        seen += map(str, queried)
    assert sorted(seen, key=int) == [str(number) for number in range(40)]
    of_key = await container.feed_range_from_partition_key("p7")
    changes = container.query_items_change_feed(feed_range=of_key, start_time="Beginning")
    assert [change["id"] for change in await listed(changes)] == ["7"]


async def test_hierarchical_keys_can_be_queried_by_prefix(database: DatabaseProxy) -> None:
    container = await database.create_container("h", PartitionKey(["/tenant", "/user", "/session"]))
    for tenant in ("t1", "t2"):
        for user in range(5):
            body = {"id": f"{tenant}-{user}", "tenant": tenant, "user": user, "session": "s"}
            await container.create_item(body)
    assert (await container.read_item("t1-3", ["t1", 3, "s"]))["user"] == 3
    prefix = container.query_items("SELECT VALUE c.id FROM c", partition_key=["t2"])
    assert sorted(map(str, await listed(prefix))) == [f"t2-{user}" for user in range(5)]
    of_prefix = container.query_items_change_feed(partition_key=["t1"], start_time="Beginning")
    assert len(await listed(of_prefix)) == 5
    with pytest.raises(CosmosHttpResponseError) as refused:
        await container.read_item("t1-3", ["t1", 3])
    assert refused.value.status_code == 400


async def changes_after(container: ContainerProxy, token: str) -> tuple[list[dict[str, Any]], str]:
    """What changed since a continuation, and the next one."""
    feed = container.query_items_change_feed(continuation=token)
    return await listed(feed), str(container.client_connection.last_response_headers["etag"])


async def test_the_latest_version_feed_goes_on_from_its_continuation(
    server: CosmosServer, container: ContainerProxy
) -> None:
    await fill(container, 10)
    everything = await listed(container.query_items_change_feed(start_time="Beginning", max_item_count=2))
    assert len(everything) == 10
    assert await listed(container.query_items_change_feed(start_time="Now")) == []
    token = str(container.client_connection.last_response_headers["etag"])
    await container.upsert_item({"id": "3", "pk": "p3", "n": 33})
    await container.upsert_item({"id": "3", "pk": "p3", "n": 34})
    await container.delete_item("4", "p4")
    changed, token = await changes_after(container, token)
    assert [change["n"] for change in changed] == [34], "no deletes, no intermediate versions"
    assert (await changes_after(container, token))[0] == []
    server.clock.advance(100)
    since = datetime.now(UTC) + timedelta(seconds=60)
    await container.upsert_item({"id": "5", "pk": "p5"})
    later = container.query_items_change_feed(start_time=since)
    assert [change["id"] for change in await listed(later)] == ["5"]


async def test_the_all_versions_feed_tells_deletes_and_expiry(server: CosmosServer, database: DatabaseProxy) -> None:
    container = await database.create_container("c", PartitionKey("/pk"), default_ttl=-1)
    await container.create_item({"id": "before", "pk": "p"})
    assert await listed(container.query_items_change_feed(mode=ALL_VERSIONS, start_time="Now")) == []
    token = str(container.client_connection.last_response_headers["etag"])
    for n in (1, 2):
        await container.upsert_item({"id": "a", "pk": "p", "n": n})
    await container.delete_item("a", "p")
    await container.create_item({"id": "b", "pk": "p", "ttl": 5})
    server.clock.advance(6)
    changed, token = await changes_after(container, token)
    told = [change["metadata"] for change in changed]
    assert [entry["operationType"] for entry in told] == ["create", "replace", "delete", "create", "delete"]
    assert [change["current"].get("n") for change in changed[:3]] == [1, 2, None]
    assert (told[2]["id"], told[2]["partitionKey"]) == ("a", {"pk": "p"})
    assert told[2]["previousImageLSN"] == told[1]["lsn"]
    assert "timeToLiveExpired" not in told[2]
    assert told[4]["timeToLiveExpired"] is True
    assert "previous" not in changed[2], "previous images are a preview of the service, off by default"
    assert (await changes_after(container, token))[0] == []


@pytest.mark.embedded("cosmos", "looks into the server, or steers it")
async def test_previous_images_and_all_versions_are_settings() -> None:
    settings = Settings(previous_images=True)
    async with CosmosServer(settings=settings) as server, connect(server) as client:
        container = await (await client.create_database("d")).create_container("c", PartitionKey("/pk"))
        await listed(container.query_items_change_feed(mode=ALL_VERSIONS))
        token = str(container.client_connection.last_response_headers["etag"])
        await container.create_item({"id": "a", "pk": "p", "n": 1})
        await container.delete_item("a", "p")
        changed, _ = await changes_after(container, token)
        assert changed[1]["previous"]["n"] == 1
    async with CosmosServer(settings=Settings(retained_changes=0)) as server, connect(server) as client:
        container = await (await client.create_database("d")).create_container("c", PartitionKey("/pk"))
        with pytest.raises(CosmosHttpResponseError, match="continuous backup"):
            await listed(container.query_items_change_feed(mode=ALL_VERSIONS))


async def test_a_budget_throttles_until_it_is_refilled(server: CosmosServer, container: ContainerProxy) -> None:
    server.set_budget(10, ("shop", "orders"))
    with pytest.raises(CosmosHttpResponseError) as refused:
        await fill(container, 10)
    assert (refused.value.status_code, refused.value.sub_status) == (429, 3200)
    headers = refused.value.headers
    assert headers is not None
    server.clock.advance(int(headers["x-ms-retry-after-ms"]) / 1000)
    await fill(container, 1)
    server.set_budget(None)
    await fill(container, 20)
    assert server.stats()["operations"]["item.upsert"]["429"] == 1


async def test_charges_follow_the_size(container: ContainerProxy) -> None:
    for size, charge in ((10, 5.0), (3_000, 15.0)):
        created = await container.upsert_item({"id": "a", "pk": "p", "pad": "x" * size})
        assert float(created.get_response_headers()["x-ms-request-charge"]) == charge


@pytest.mark.parametrize("status", [408, 410, 429, 449, 503])
async def test_faults_answer_for_the_operation(server: CosmosServer, container: ContainerProxy, status: int) -> None:
    server.faults.add(Fault(operation="item.upsert", count=1, status=status, retry_after_ms=1))
    with pytest.raises(CosmosHttpResponseError) as failed:
        await container.upsert_item({"id": "a", "pk": "p"})
    assert failed.value.status_code == status
    assert server.stats()["items"] == {"shop/orders": 0}


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("effect", [{"cut": True}, {"status": 408}])
async def test_a_failed_request_may_have_taken_effect(
    server: CosmosServer, container: ContainerProxy, when: Any, left: int, effect: Any
) -> None:
    server.faults.add(Fault(method="POST", path="colls/orders/docs", count=1, when=when, **effect))
    with pytest.raises(AzureError):
        await container.create_item({"id": "a", "pk": "p"})
    assert server.stats()["items"] == {"shop/orders": left}


async def test_a_delayed_request_lands_after_its_client_gave_up(
    server: CosmosServer, container: ContainerProxy
) -> None:
    number = server.faults.add(Fault(operation="item.create", count=1, delay_s=0.05))
    with pytest.raises(AzureError):
        await container.create_item({"id": "a", "pk": "p"}, read_timeout=0.01)
    assert server.faults.struck(number) == 1
    while server.stats()["items"] == {"shop/orders": 0}:
        await container.read()


async def test_a_new_container_of_the_same_name_is_noticed(database: DatabaseProxy, container: ContainerProxy) -> None:
    await fill(container, 1)
    await database.delete_container("orders")
    await database.create_container("orders", PartitionKey("/pk"))
    with pytest.raises(CosmosResourceNotFoundError):
        await container.read_item("0", "p0")


@pytest.mark.embedded("cosmos", "looks into the server, or steers it")
async def test_a_process_is_driven_over_http() -> None:
    command = [sys.executable, "-m", "sandbox.cosmos", "--port", "0", "--partitions", "2"]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        try:
            endpoint = (await TextReceiveStream(process.stdout).receive()).strip()
            async with aiohttp.ClientSession(f"{endpoint}_sandbox/") as http:
                await drive(endpoint, http)
        finally:
            process.send_signal(signal.SIGTERM)
        with anyio.fail_after(60):
            assert await process.wait() == 0


async def drive(endpoint: str, http: aiohttp.ClientSession) -> None:
    """Use every control command on a server in another process."""

    async def control(method: str, path: str, body: object = None) -> dict[str, Any]:
        async with http.request(method, path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told

    transport = AioHttpTransport(use_env_settings=False)
    async with CosmosClient(endpoint, EMULATOR_KEY, transport=transport) as client:
        container = await (await client.create_database("d")).create_container("c", PartitionKey("/pk"), default_ttl=-1)
        await container.create_item({"id": "a", "pk": "p", "ttl": 60})
        assert (await control("GET", "stats"))["items"] == {"d/c": 1}
        await control("POST", "clock", {"advance_s": 61})
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item("a", "p")
        fault = await control("POST", "faults", {"operation": "item.read", "status": 404, "substatus": 7})
        with pytest.raises(CosmosHttpResponseError) as failed:
            await container.read_item("a", "p")
        assert failed.value.sub_status == 7
        await control("DELETE", f"faults/{fault['number']}")
        assert await control("GET", "faults") == {}
        await control("PUT", "budget", {"ru_per_s": 1, "database": "d", "container": "c"})
        await control("PUT", "budget", {"ru_per_s": None})
        async with http.post("faults", json={"operatoin": "x"}) as answer:
            assert answer.status == 400
        await control("POST", "reset")
        assert (await control("GET", "stats"))["items"] == {}

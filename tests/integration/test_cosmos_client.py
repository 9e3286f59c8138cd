"""Promise: the SDK's client does what it is told, once, and tells nothing that is not so."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from connectors.azure.cosmos.client import open_client
from connectors.azure.cosmos.target import open_target
from connectors.azure.errors import translate
from fakes.authority import CertificateAuthority
from fakes.records import key_of, upsert
from fakes.targets import WHERE, cosmos_config, open_delivery, target_context
from replicator.errors import AmbiguousError, TransientError
from replicator.model import Rule
from sandbox.cosmos import CosmosServer, Fault
from sandbox.faults import Answer, CutAfter, CutBefore, FaultProxy, Pass, Stall

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

Call = Callable[[ContainerProxy], Awaitable[object]]


async def read(container: ContainerProxy) -> object:
    return await container.read_item("a", "a")


async def query(container: ContainerProxy) -> list[Any]:
    return [item async for item in container.query_items("SELECT * FROM c", max_item_count=10)]


async def replace(container: ContainerProxy) -> object:
    return await container.replace_item("a", {"id": "a"}, etag="x", match_condition=MatchConditions.IfNotModified)


CALLS: dict[str, Call] = {
    "create": lambda c: c.create_item({"id": "b"}),
    "upsert": lambda c: c.upsert_item({"id": "a"}),
    "replace": replace,
    "delete": lambda c: c.delete_item("a", "a"),
    "patch": lambda c: c.patch_item("a", "a", [{"op": "add", "path": "/b", "value": 1}]),
    "batch": lambda c: c.execute_item_batch([("upsert", ({"id": "a"},))], "a"),
    "read": read,
    "query": query,
}

WRITES = sorted(CALLS.keys() - {"read", "query"})


def port_of(server: CosmosServer) -> int:
    return int(server.endpoint.rstrip("/").rsplit(":", 1)[1])


@asynccontextmanager
async def connected(server: CosmosServer, endpoint: str = "", **fields: Any) -> AsyncIterator[CosmosClient]:
    """Entered, as the target does it."""
    config = cosmos_config(endpoint or server.endpoint, **fields)
    async with open_client(config, WHERE, read_timeout_s=6) as client:
        await client.__aenter__()
        yield client


@asynccontextmanager
async def filled(server: CosmosServer, endpoint: str = "") -> AsyncIterator[ContainerProxy]:
    """A container with one document, about which the client knows all it needs."""
    async with connected(server, endpoint) as client:
        database = await client.create_database("shop")
        container = await database.create_container("orders", PartitionKey("/id"))
        await container.upsert_item({"id": "a"})
        await container.read_item("a", "a")
        await query(container)
        server.clear_stats()
        yield container


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [403, 408, 410, 429, 449, 500, 503])
async def test_no_refusal_is_repeated_by_the_sdk(call: str, status: int) -> None:
    async with CosmosServer() as server, filled(server) as container:
        server.faults.add(Fault(operation=f"item.{call}", status=status))
        with pytest.raises(AzureError):
            await CALLS[call](container)
        assert server.stats()["operations"][f"item.{call}"] == {str(status): 1}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("cut", [CutBefore(), CutAfter()], ids=["before", "after"])
async def test_no_lost_request_is_repeated_in_silence(call: str, cut: CutBefore | CutAfter) -> None:
    """Neither by the SDK nor by aiohttp, which would repeat a PUT or DELETE whose kept-alive connection is lost."""
    async with (
        CosmosServer() as server,
        FaultProxy("127.0.0.1", port_of(server), rewrite_authority=True) as proxy,
        filled(server, proxy.endpoint) as container,
    ):
        rule = proxy.inject(cut, path="/docs")
        with pytest.raises(AzureError) as lost:
            await CALLS[call](container)
        assert rule.hits == 1
        assert type(translate(lost.value)) is AmbiguousError


PAGES = [Answer(status=200), Answer(status=204), Answer(status=200, body=b"<html>login</html>"), Answer(status=302)]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("page", PAGES, ids=lambda p: f"{p.status} {len(p.body)}")
async def test_a_page_of_something_on_the_way_is_no_success(call: str, page: Answer) -> None:
    """The SDK takes an empty one for a write that was done."""
    async with (
        CosmosServer() as server,
        FaultProxy("127.0.0.1", port_of(server), rewrite_authority=True) as proxy,
        filled(server, proxy.endpoint) as container,
    ):
        proxy.inject(page, path="/docs")
        with pytest.raises(AzureError) as refused:
            await CALLS[call](container)
        assert type(translate(refused.value)) is AmbiguousError


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 413])
async def test_records_survive_what_is_on_the_way(status: int) -> None:
    """Nothing is taken for written, deleted or refused on the word of a proxy."""
    async with (
        CosmosServer() as server,
        FaultProxy("127.0.0.1", port_of(server), rewrite_authority=True) as proxy,
        open_target(cosmos_config(proxy.endpoint), target_context(open_delivery(timeout_s=0.2))) as target,
    ):
        await target.connect(("id",))
        await target.create()
        proxy.inject(Answer(status=status), path="/docs", count=2)
        assert await target.apply([upsert("a", 1), upsert("b", 1)], Rule.FOLLOW) == []
        proxy.inject(Answer(status=status), path="/docs", count=2)
        assert (await target.observe([key_of("a")]))[key_of("a")].guard is not None
        assert server.stats()["items"]["shop/orders"] == 2


async def test_as_many_requests_are_under_way_as_the_delivery_lets_go() -> None:
    """aiohttp by itself would hold those beyond a hundred back, who would then seem to get no answer."""
    async with (
        CosmosServer() as server,
        FaultProxy("127.0.0.1", port_of(server), rewrite_authority=True) as proxy,
        filled(server, proxy.endpoint) as container,
    ):
        stalled = proxy.inject(Stall(), path="/docs/a")
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(150):
                    tasks.start_soon(read, container)
                await stalled.wait_for_hits(150)
                tasks.cancel_scope.cancel()


@pytest.mark.parametrize("level", ["Session", "Strong"])
async def test_reads_carry_the_session_s_token_where_the_account_needs_it(level: str) -> None:
    """Without it a replica that lags behind would answer with what was there before our own write."""
    async with (
        CosmosServer(consistency=level) as server,
        FaultProxy("127.0.0.1", port_of(server), rewrite_authority=True) as proxy,
        filled(server, proxy.endpoint) as container,
    ):
        await container.upsert_item({"id": "a", "n": 2})
        with_token = proxy.inject(Pass(), path="/docs", headers={"x-ms-session-token": "."})
        await container.read_item("a", "a")
        await query(container)
        assert with_token.hits == (2 if level == "Session" else 0)


async def test_a_session_that_no_replica_has_caught_up_with_is_waited_for() -> None:
    async with CosmosServer() as server, open_target(cosmos_config(server.endpoint), target_context()) as target:
        await target.connect(("id",))
        await target.create()
        await target.apply([upsert("a", 1)], Rule.FOLLOW)
        server.faults.add(Fault(operation="item.read", status=404, substatus=1002, count=2))
        assert (await target.observe([key_of("a")]))[key_of("a")].guard is not None


async def test_a_client_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Two records for each request would bury what matters; failures in the background are told by nobody."""
    caplog.set_level(logging.DEBUG)
    async with CosmosServer() as server, filled(server) as container:
        for call in ("upsert", "read"):
            await CALLS[call](container)
    assert [r for r in caplog.records if r.name.startswith("azure")] == []
    assert not logging.getLogger("azure.cosmos.aio._GlobalEndpointManager").isEnabledFor(logging.ERROR)
    assert logging.getLogger("azure.cosmos").isEnabledFor(logging.WARNING)


@asynccontextmanager
async def forward_proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and the first line of whatever it is asked for. It lets nobody through."""
    asked: list[str] = []

    async def refuse(stream: SocketStream) -> None:
        async with stream:
            asked.append((await stream.receive()).split(b"\r\n")[0].decode())
            await stream.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, refuse)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 — anyio's, not a database's
        yield f"http://127.0.0.1:{port}", asked
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("tls", [True, False])
async def test_the_proxy_of_the_config_is_used(tmp_path: Path, *, tls: bool) -> None:
    context = CertificateAuthority(tmp_path).serving("127.0.0.1") if tls else None
    async with CosmosServer(tls=context) as server, forward_proxy() as (address, asked):
        with pytest.raises(AzureError) as refused:
            async with connected(server, proxy=address):
                pass
        place = f"127.0.0.1:{port_of(server)}"
        assert asked == [f"CONNECT {place} HTTP/1.1" if tls else f"GET http://{place}/ HTTP/1.1"]
        assert isinstance(translate(refused.value), TransientError)
        assert server.stats()["operations"] == {}


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with CosmosServer() as server, connected(server):
        assert server.stats()["operations"]["account.read"]["200"] >= 1


async def test_a_slow_answer_is_given_up_by_the_sdk_only_after_the_delivery_has() -> None:
    """So that there is one who decides, and knows that the outcome is unknown."""
    async with CosmosServer() as server, filled(server) as container:
        server.faults.add(Fault(operation="item.read", delay_s=2))
        with anyio.move_on_after(0.3) as given_up:
            await container.read_item("a", "a")
        assert given_up.cancelled_caught


async def test_the_sdk_gives_up_by_itself_in_the_end() -> None:
    async with CosmosServer() as server:
        config = cosmos_config(server.endpoint)
        async with open_client(config, WHERE, read_timeout_s=0.3) as client:
            server.faults.add(Fault(operation="container.read", delay_s=60))
            container = client.get_database_client("shop").get_container_client("orders")
            with anyio.fail_after(30), pytest.raises(AzureError) as slow:
                await container.read()
            assert type(translate(slow.value)) is AmbiguousError

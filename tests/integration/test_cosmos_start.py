"""Promise: a start that cannot use the target ends soon, with one clear error, and a passing fault is passed over."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connectors.azure import probing
from connectors.azure.cosmos.target import open_target
from fakes.targets import WHERE, cosmos_config, open_delivery, target_context
from replicator.errors import ConfigurationError
from sandbox.cosmos import CosmosServer, Fault
from sandbox.faults import FaultProxy, Pass

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

PATIENCE_S = 1.0

SLOW_MACHINE_S = 20
"""What waits for ever, or for what is not ours to wait for, takes longer than this on any machine."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "CONNECT_TIMEOUT_S", PATIENCE_S)


async def start(endpoint: str) -> None:
    async with open_target(cosmos_config(endpoint), target_context()) as target:
        await target.connect(("id",))


async def refusal(endpoint: str) -> ConfigurationError:
    begun = time.monotonic()
    with pytest.raises(ConfigurationError) as refused:
        await start(endpoint)
    assert time.monotonic() - begun < PATIENCE_S + SLOW_MACHINE_S
    assert "\n" not in str(refused.value)
    return refused.value


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address where connecting hangs, as behind a firewall that drops what it does not like."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        callers = [socket.socket() for _ in range(8)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        for caller in callers:
            caller.close()


async def test_nobody_there() -> None:
    refused = await refusal("http://127.0.0.1:9/")
    assert refused.where == WHERE
    assert "cannot be reached" in refused.problem
    assert "Connect call failed" in refused.problem


async def test_a_connection_that_is_never_made() -> None:
    with full_backlog() as endpoint:
        refused = await refusal(endpoint)
    assert "cannot be reached (no answer within 1 s)" in refused.problem


async def test_a_service_that_never_answers() -> None:
    async with CosmosServer() as server:
        server.faults.add(Fault(delay_s=60))
        refused = await refusal(server.endpoint)
    assert "cannot be reached (no answer within 1 s)" in refused.problem


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut=True), Fault(status=429, retry_after_ms=10)])
async def test_a_service_that_is_down_is_asked_a_few_times(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """By us alone: the SDK would ask four times for each of ours."""
    monkeypatch.setattr(probing, "CONNECT_TIMEOUT_S", 5)
    async with CosmosServer() as server:
        server.faults.add(fault)
        with pytest.raises(ConfigurationError, match="cannot be reached"):
            await start(server.endpoint)
        (answers,) = server.stats()["operations"].values()
        assert sum(answers.values()) == probing.PROBE_ATTEMPTS


@pytest.mark.parametrize("operation", ["account.read", "container.read"])
async def test_a_passing_fault_does_not_stop_a_start(operation: str) -> None:
    async with CosmosServer() as server:
        server.faults.add(Fault(operation=operation, status=503, count=probing.PROBE_ATTEMPTS - 1))
        await start(server.endpoint)


async def test_a_wrong_key_is_not_tried_again() -> None:
    async with CosmosServer(key="d3Jvbmc=") as server:
        refused = await refusal(server.endpoint)
        assert server.stats()["operations"] == {"account.read": {"401": 1}}
    assert "docs/permissions.md" in refused.fix


async def test_the_account_is_read_by_us_and_at_most_once_more_by_the_sdk() -> None:
    """Which looks after its health in the background."""
    async with CosmosServer() as server:
        await start(server.endpoint)
        assert server.stats()["operations"]["account.read"]["200"] <= 2


async def test_making_a_container_may_take_longer_than_a_request() -> None:
    async with CosmosServer() as server:
        server.faults.add(Fault(operation="container.create", delay_s=1.5, count=1))
        async with open_target(cosmos_config(server.endpoint), target_context(open_delivery(timeout_s=0.1))) as target:
            await target.connect(("id",))
            await target.create()
        assert set(server.stats()["items"]) == {"shop/orders", "shop/replicator"}


@pytest.mark.parametrize("operation", ["database.create", "container.create"])
async def test_somebody_else_may_make_the_same_at_the_same_moment(operation: str) -> None:
    async with CosmosServer() as server, open_target(cosmos_config(server.endpoint), target_context()) as target:
        await target.connect(("id",))
        server.faults.add(Fault(operation=operation, status=409, when="after", count=1))
        await target.create()
        assert set(server.stats()["items"]) == {"shop/orders", "shop/replicator"}


@pytest.mark.parametrize("operation", ["database.create", "container.create"])
async def test_what_may_not_be_made_is_an_error_that_names_it(operation: str) -> None:
    async with CosmosServer() as server, open_target(cosmos_config(server.endpoint), target_context()) as target:
        await target.connect(("id",))
        server.faults.add(Fault(operation=operation, status=400))
        with pytest.raises(ConfigurationError, match="cannot be made") as refused:
            await target.create()
    assert refused.value.where == f"{WHERE}.create"


@pytest.mark.parametrize(
    ("fields", "header", "value"),
    [
        ({"throughput": 4000}, "x-ms-offer-throughput", "^4000$"),
        ({"autoscale_max_throughput": 4000}, "x-ms-cosmos-offer-autopilot-settings", r"maxThroughput\W+4000\b"),
    ],
)
async def test_the_throughput_is_that_of_the_records_alone(fields: dict[str, int], header: str, value: str) -> None:
    """The container of the marker needs the account's least."""
    async with (
        CosmosServer() as server,
        FaultProxy("127.0.0.1", int(server.endpoint.split(":")[2][:-1]), rewrite_authority=True) as proxy,
        open_target(cosmos_config(proxy.endpoint, **fields), target_context()) as target,
    ):
        await target.connect(("id",))
        asked = proxy.inject(Pass(), method="POST", path="/colls", headers={header: value}, body='"orders"')
        other = proxy.inject(Pass(), method="POST", path="/colls", headers={header: "."}, body='"replicator"')
        await target.create()
        assert (asked.hits, other.hits) == (1, 0)


@pytest.mark.parametrize(
    ("partition_key", "kind"), [(("/customer",), "Hash"), (("/customer", "/order_id", "/id"), "MultiHash")]
)
async def test_what_is_made_is_as_it_must_be(partition_key: tuple[str, ...], kind: str) -> None:
    async with CosmosServer() as server:
        for _ in range(2):
            config = cosmos_config(server.endpoint, partition_key=partition_key)
            async with open_target(config, target_context()) as target:
                await target.connect(("customer", "order_id"))
                await target.create()
        made = server.account.container("shop", "orders").properties
        assert made["partitionKey"] == {"paths": list(partition_key), "kind": kind, "version": 2}
        assert made["defaultTtl"] == -1

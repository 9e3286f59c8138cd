"""The real Cosmos DB target: our connector and the unmodified SDK, over sockets, against a local server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient
from pydantic import SecretStr

from connectors.azure.cosmos.calls import Calls
from connectors.azure.cosmos.client import open_client
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.mapping import from_cosmos
from connectors.azure.cosmos.sidecar import SIDECAR, is_tombstone
from connectors.azure.cosmos.target import CosmosTarget
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.documents import Document, key_text
from replicator.registry import TargetContext
from replicator.telemetry import Metrics, PipelineTelemetry
from sandbox.cosmos import CosmosServer
from sandbox.cosmos.keys import make
from sandbox.cosmos.operations import Operation
from sandbox.cosmos.transaction import run_one
from sandbox.cosmos.wire import JsonObject

DATABASE, CONTAINER = "shop", "orders"
WHERE = "pipelines.orders.target"
IMPATIENT = Backoff(0.001, 0.002)


def config(endpoint: str, **settings: Any) -> CosmosTargetConfig:
    """A target that makes what is missing."""
    defaults: dict[str, Any] = {"database": DATABASE, "container": CONTAINER, "create": True}
    key = SecretStr(CosmosServer().key)
    return CosmosTargetConfig(type="cosmos", endpoint=endpoint, key=key, **{**defaults, **settings})


def telemetry() -> PipelineTelemetry:
    """Counters of their own."""
    return PipelineTelemetry(Metrics(), "orders")


def delivery(
    told: PipelineTelemetry,
    *,
    timeout_s: float = 10.0,
    lifetime_s: float = 10.0,
    units_per_s: float | None = None,
    most: int = 8,
) -> Delivery:
    """In a hurry to try again; its fence is always open."""
    fence = Fence(lifetime_s)
    fence.extend(float("inf"))
    return Delivery(
        limiter=AdaptiveLimiter(most),
        budget=RateBudget(units_per_s),
        fence=fence,
        timeout_s=timeout_s,
        telemetry=told,
        backoff=IMPATIENT,
    )


@dataclass
class Bench:
    """A target and what it is made of. `container` is the SDK's, set up as the target's own."""

    server: CosmosServer
    target: CosmosTarget
    client: CosmosClient
    calls: Calls
    delivery: Delivery
    telemetry: PipelineTelemetry

    @property
    def container(self) -> ContainerProxy:
        return self.client.get_database_client(DATABASE).get_container_client(CONTAINER)

    def sent(self, operation: str) -> dict[str, int]:
        """How often the server has answered this operation, by status; a cut connection is status 0."""
        return self.server.stats()["operations"].get(operation, {})

    def bodies(self) -> list[dict[str, Any]]:
        """Every document that is there, as stored."""
        return bodies(self.server)


@asynccontextmanager
async def bench(server: CosmosServer, *, to: str = "", **settings: Any) -> AsyncIterator[Bench]:
    """Not connected, nothing created. `to` is another endpoint to go through; settings are the config's or ours."""
    told = telemetry()
    ours = {name: settings.pop(name) for name in ("timeout_s", "lifetime_s", "units_per_s", "most") if name in settings}
    carrier = delivery(told, **ours)
    wanted = config(to or server.endpoint, **settings)
    async with open_client(wanted, carrier.timeout_s + 1) as client:
        target = CosmosTarget(wanted, TargetContext(WHERE, told, carrier), client)
        yield Bench(server, target, client, Calls(carrier, told), carrier, told)


@asynccontextmanager
async def ready(
    server: CosmosServer, key_names: tuple[str, ...] = ("customer", "order_id"), **settings: Any
) -> AsyncIterator[Bench]:
    """Connected and created; nothing has been counted yet."""
    async with bench(server, **settings) as made:
        await made.target.connect(key_names)
        await made.target.create()
        server.clear_stats()
        yield made


def bodies(server: CosmosServer) -> list[dict[str, Any]]:
    """Every document of the container, as stored, expired ones left out."""
    container = server.account.container(DATABASE, CONTAINER)
    container.expire()
    return [json.loads(item.body) for item in container.items()]


def held(server: CosmosServer, key_names: tuple[str, ...]) -> dict[str, Document]:
    """What a reader of the container finds of ours, by canonical key."""
    ours = [from_cosmos(body) for body in bodies(server) if SIDECAR in body and not is_tombstone(body)]
    return {key_text({name: record[name] for name in key_names}): record for record in ours}


def put(server: CosmosServer, body: JsonObject) -> None:
    """Writes a document as somebody else would, past the SDK."""
    container = server.account.container(DATABASE, CONTAINER)
    run_one(container, make(container.definition.extract(body)), Operation("upsert", None, dict(body)))

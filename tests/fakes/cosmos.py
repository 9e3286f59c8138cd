"""The real Cosmos DB target: our connector and the unmodified SDK, over sockets, against a local server."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos import documents
from azure.cosmos.aio import CosmosClient
from pydantic import SecretStr

from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.mapping import from_cosmos
from connectors.azure.cosmos.sidecar import SIDECAR, is_tombstone
from connectors.azure.cosmos.target import CosmosTarget, open_target
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.documents import Document, Value, key_text
from replicator.model import Change, Operation
from replicator.registry import TargetContext
from replicator.telemetry import Metrics, PipelineTelemetry
from sandbox.cosmos import EMULATOR_KEY, CosmosServer
from sandbox.cosmos.keys import make
from sandbox.cosmos.operations import Operation as Request
from sandbox.cosmos.transaction import run_one
from sandbox.cosmos.wire import JsonObject

DATABASE, CONTAINER = "shop", "orders"
KEY_NAMES = ("customer", "order_id")
WHERE = "pipelines.orders.target"
IMPATIENT = Backoff(0.001, 0.002)


class Account(Protocol):
    """Where an account is: a local server of ours, or an emulator in a container."""

    @property
    def endpoint(self) -> str: ...

    @property
    def key(self) -> str: ...


def connect(account: Account, key: str | None = None) -> CosmosClient:
    """A client that retries nothing and looks up no proxies."""
    policy = documents.ConnectionPolicy()
    policy.RetryOptions._max_retry_attempt_count = 0
    return CosmosClient(
        account.endpoint,
        key or account.key,
        transport=AioHttpTransport(use_env_settings=False),
        connection_policy=policy,
        retry_total=0,
        retry_connect=0,
        retry_read=0,
        retry_status=0,
        enable_endpoint_discovery=False,
    )


def config(endpoint: str, **settings: Any) -> CosmosTargetConfig:
    """A target that makes what is missing."""
    key = SecretStr(EMULATOR_KEY)
    defaults: dict[str, Any] = {"key": key, "database": DATABASE, "container": CONTAINER, "create": True}
    return CosmosTargetConfig(type="cosmos", endpoint=endpoint, **{**defaults, **settings})


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
    """A target and what it is made of."""

    server: CosmosServer
    target: CosmosTarget
    delivery: Delivery
    telemetry: PipelineTelemetry

    def sent(self, operation: str) -> dict[str, int]:
        """How often the server has answered this operation, by status; a cut connection is status 0."""
        return self.server.stats()["operations"].get(operation, {})

    def bodies(self) -> list[dict[str, Any]]:
        """Every document that is there, as stored."""
        return bodies(self.server)

    def held(self) -> dict[str, Document]:
        """What a reader finds of orders."""
        return held(self.server, KEY_NAMES)

    def retried(self) -> dict[str, float]:
        """How often a request failed and was repeated, by the name of the error."""
        families = self.telemetry._metrics.target_retries.collect()
        samples = [sample for family in families for sample in family.samples if sample.name.endswith("_total")]
        return {sample.labels["reason"]: sample.value for sample in samples}

    @property
    def charged(self) -> float:
        """Request units accounted for so far."""
        (family,) = self.telemetry._metrics.request_charge.collect()
        return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


@asynccontextmanager
async def bench(server: CosmosServer, *, to: str = "", **settings: Any) -> AsyncIterator[Bench]:
    """Not connected, nothing created. `to` is another endpoint to go through; settings are the config's or ours."""
    told = telemetry()
    async with opened(to or server.endpoint, told, **settings) as (target, carrier):
        yield Bench(server, target, carrier, told)


@asynccontextmanager
async def opened(
    endpoint: str, told: PipelineTelemetry, **settings: Any
) -> AsyncIterator[tuple[CosmosTarget, Delivery]]:
    """Likewise, whatever is behind that endpoint."""
    ours = {name: settings.pop(name) for name in ("timeout_s", "lifetime_s", "units_per_s", "most") if name in settings}
    carrier = delivery(told, **ours)
    async with open_target(config(endpoint, **settings), TargetContext(WHERE, told, carrier)) as target:
        yield target, carrier


@asynccontextmanager
async def ready(server: CosmosServer, key_names: tuple[str, ...] = KEY_NAMES, **settings: Any) -> AsyncIterator[Bench]:
    """Connected and created; nothing has been counted yet."""
    async with bench(server, **settings) as made:
        await made.target.connect(key_names)
        await made.target.create()
        server.clear_stats()
        yield made


def order(
    customer: str, order_id: str, number: int = 1, *, expires_at: datetime | None = None, **more: Value
) -> Change[Document]:
    """The change that brings an order to this state."""
    record: Document = {"customer": customer, "order_id": order_id, "number": Decimal(number), **more}
    return Change(order_key(customer, order_id), Operation.UPSERT, record, str(number), expires_at=expires_at)


def removal(customer: str, order_id: str) -> Change[Document]:
    """The change that removes an order."""
    return Change(order_key(customer, order_id), Operation.DELETE, {"customer": customer, "order_id": order_id})


def order_key(customer: str, order_id: str) -> str:
    """The canonical key of an order."""
    return key_text({"customer": customer, "order_id": order_id})


def bodies(server: CosmosServer) -> list[dict[str, Any]]:
    """Every document of the container, as stored, expired ones left out."""
    container = server.account.container(DATABASE, CONTAINER)
    container.expire()
    return [json.loads(item.body) for item in container.items()]


def held(server: CosmosServer, key_names: tuple[str, ...]) -> dict[str, Document]:
    """What a reader of the container finds of ours, by canonical key."""
    return found(bodies(server), key_names)


def found(stored: Iterable[dict[str, Any]], key_names: tuple[str, ...]) -> dict[str, Document]:
    """What of these documents is ours, by canonical key."""
    ours = [from_cosmos(body) for body in stored if SIDECAR in body and not is_tombstone(body)]
    return {key_text({name: record[name] for name in key_names}): record for record in ours}


def put(server: CosmosServer, body: JsonObject) -> None:
    """Writes a document as somebody else would, past the SDK."""
    container = server.account.container(DATABASE, CONTAINER)
    run_one(container, make(container.definition.extract(body)), Request("upsert", None, dict(body)))

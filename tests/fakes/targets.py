"""A Cosmos DB target as the daemon opens it, for tests that bring a server along."""

from typing import Any

from pydantic import SecretStr

from connectors.azure.cosmos.config import CosmosTargetConfig
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.registry import TargetContext
from replicator.telemetry import Metrics, PipelineTelemetry
from sandbox.cosmos import EMULATOR_KEY

WHERE = "pipelines.orders.target"


def cosmos_config(endpoint: str, **fields: Any) -> CosmosTargetConfig:
    """The container `orders` in the database `shop`, made if it is missing."""
    given = {"database": "shop", "container": "orders", "create": True, "key": SecretStr(EMULATOR_KEY), **fields}
    return CosmosTargetConfig(type="cosmos", endpoint=endpoint, **given)


IMPATIENT = Backoff(0.001, 0.01)


def open_delivery(
    timeout_s: float = 5.0, most: int = 64, backoff: Backoff = IMPATIENT, lifetime_s: float | None = None
) -> Delivery:
    """A delivery whose lease never ends; a request lives as long as it may take, if nothing else is said."""
    fence = Fence(timeout_s if lifetime_s is None else lifetime_s)
    fence.extend(float("inf"))
    return Delivery(
        limiter=AdaptiveLimiter(most),
        budget=RateBudget(None),
        fence=fence,
        timeout_s=timeout_s,
        telemetry=PipelineTelemetry(Metrics(), "orders"),
        backoff=backoff,
    )


def target_context(delivery: Delivery | None = None) -> TargetContext:
    """What a target is given, with telemetry of its own."""
    return TargetContext(WHERE, PipelineTelemetry(Metrics(), "orders"), delivery or open_delivery())

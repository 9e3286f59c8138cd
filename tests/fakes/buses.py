"""The real Service Bus target: our connector and the unmodified SDK, over sockets, against a local broker."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.servicebus import NEXT_AVAILABLE_SESSION
from pydantic import SecretStr

from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.target import ServiceBusTarget, open_target
from fakes.amqp import body_of
from fakes.cosmos import IMPATIENT
from fakes.servicebus import connect
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.messages import Attribute, Message
from replicator.model import Change, Operation, Rejection, Rule
from replicator.registry import TargetContext
from replicator.telemetry import Metrics, PipelineTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.servicebus import ServiceBusReceivedMessage

    from sandbox.servicebus import ServiceBusServer

WHERE = "pipelines.jobs.target"
SENT_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def config(broker: ServiceBusServer, queue: str, **settings: Any) -> ServiceBusTargetConfig:
    """A target that reads the queue's settings over TLS."""
    defaults = {
        "connection_string": SecretStr(broker.connection_string),
        "management_endpoint": f"https://{broker.host}:{broker.management_port}",
        "ca_bundle": broker.certificate,
    }
    return ServiceBusTargetConfig(type="servicebus", queue=queue, **{**defaults, **settings})


@dataclass
class Bench:
    """A target and what it is made of."""

    broker: ServiceBusServer
    target: ServiceBusTarget
    delivery: Delivery
    telemetry: PipelineTelemetry

    async def apply(self, *changes: Change[Message]) -> list[Rejection]:
        """As the engine does."""
        return await self.target.apply(changes, Rule.FOLLOW)

    @property
    def possible_duplicates(self) -> float:
        """Messages that may be in the queue twice, as far as the target knows."""
        (family,) = self.telemetry._metrics.possible_duplicates.collect()
        return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))

    def retried(self) -> dict[str, float]:
        """How often a request failed and was repeated, by the name of the error."""
        families = self.telemetry._metrics.target_retries.collect()
        samples = [sample for family in families for sample in family.samples if sample.name.endswith("_total")]
        return {sample.labels["reason"]: sample.value for sample in samples}


@asynccontextmanager
async def bench(
    broker: ServiceBusServer, queue: str, *, timeout_s: float = 5.0, backoff: Backoff = IMPATIENT, **settings: Any
) -> AsyncIterator[Bench]:
    """Not connected."""
    async with opened(config(broker, queue, **settings), timeout_s, backoff) as (target, carrier, told):
        yield Bench(broker, target, carrier, told)


@asynccontextmanager
async def opened(
    wanted: ServiceBusTargetConfig, timeout_s: float, backoff: Backoff = IMPATIENT
) -> AsyncIterator[tuple[ServiceBusTarget, Delivery, PipelineTelemetry]]:
    """Likewise, wherever its queue is."""
    told = PipelineTelemetry(Metrics(), "jobs")
    fence = Fence(2 * timeout_s)
    fence.extend(float("inf"))
    carrier = Delivery(
        limiter=AdaptiveLimiter(8),
        budget=RateBudget(None),
        fence=fence,
        timeout_s=timeout_s,
        telemetry=told,
        backoff=backoff,
    )
    async with open_target(wanted, TargetContext(WHERE, told, carrier)) as target:
        yield target, carrier, told


@asynccontextmanager
async def ready(broker: ServiceBusServer, queue: str, **settings: Any) -> AsyncIterator[Bench]:
    """Connected and created; nothing has been counted yet."""
    async with bench(broker, queue, **settings) as made:
        await made.target.connect(())
        await made.target.create()
        broker.clear_stats()
        yield made


def job(number: int | str, body: str | None = None, **fields: Any) -> Change[Message]:
    """A message of a standard queue."""
    text = str(number) if body is None else body
    record = Message(**{"id": f"m{number}", "body": text, "sent_at": SENT_AT, "queue": "jobs", **fields})
    return Change(record.id, Operation.UPSERT, record)


def step(group: str, number: int, body: str | None = None, **fields: Any) -> Change[Message]:
    """A message of a FIFO queue."""
    return job(f"{group}{number}", body, group=group, ordered=True, **fields)


def text(kind: str, value: str | bytes) -> Attribute:
    """An attribute."""
    return Attribute(kind, value)


async def consumed(broker: ServiceBusServer, queue: str, *, sessions: bool = False) -> list[ServiceBusReceivedMessage]:
    """Everything that a consumer gets until nothing more comes, completed; sessions one after the other."""
    found: list[ServiceBusReceivedMessage] = []
    options: dict[str, Any] = {"session_id": NEXT_AVAILABLE_SESSION} if sessions else {}
    async with connect(broker) as bus:
        while broker.stats()["queues"][queue]["active"]:
            async with bus.get_queue_receiver(queue, **options) as receiver:
                for message in await receiver.receive_messages(100, max_wait_time=1):
                    found.append(message)
                    await receiver.complete_message(message)
    return found


def sessions_of(broker: ServiceBusServer, queue: str) -> dict[str, list[str]]:
    """The bodies that lie in a queue, in order, by session."""
    found: dict[str, list[str]] = {}
    for stored in broker.namespace.queue(queue).peek(0, 100_000):
        found.setdefault(stored.session_id or "", []).append(body_of(stored.content))
    return found

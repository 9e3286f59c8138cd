"""The world of a scenario with queues: SQS behind a fault proxy, a Service Bus broker, and a migration between them.

What arrived is taken by a consumer with the real client, and judged by what the sender remembers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from sandbox.aws import AwsServer
from sandbox.faults import FaultProxy
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.workload import Outcome, Queue, Sender, Sent, create_queue, receive_all
from sandbox.workload.receiving import SESSIONS_AT_ONCE
from scenarios.migration import DEADLINE_S, Migration, config_of, http_client

FIFO = ".fifo"

VISIBILITY_S = 3

SOURCE = {
    "consume": "mirror",
    "wait_s": 1,
    "visibility_timeout_s": VISIBILITY_S,
    "idle_margin_s": 0.5,
    "counts_lag_s": 0.5,
}
"""Short, so that what a crash left behind comes again within seconds, and an empty queue is known to be empty."""

LIMITS = {"request_lifetime_s": 1, "lease_s": 2.2}

WINDOW_S = 7 * 86_400.0

QUIET_S = 0.5
"""All has been forwarded before anything is received."""

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@dataclass
class QueueWorld(Migration):
    """What a scenario works with, by the names of pipelines. Only the daemon's calls to AWS go through the proxy."""

    aws: AwsServer
    broker: ServiceBusServer
    sqs: Any
    proxy: FaultProxy
    queues: dict[str, Queue]

    def sender(self, name: str, **options: Any) -> Sender:
        """One that fills this pipeline's queue, with no more groups than the consumer has receivers."""
        return Sender(self.sqs, self.queues[name].url, groups=SESSIONS_AT_ONCE, **options)

    async def counts(self, url: str) -> tuple[int, ...]:
        """Messages that are visible, in flight and delayed."""
        told = (await self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
        return tuple(int(told[name]) for name in COUNTS)

    async def forwarded(self, deadline_s: float = DEADLINE_S) -> None:
        """Returns when nothing is left in any queue."""
        await until(self._is_empty, "messages are left", deadline_s)

    async def _is_empty(self) -> bool:
        return not any([sum(await self.counts(queue.url)) for queue in self.queues.values()])

    async def given_up(self) -> int:
        """How many messages are in the sources' dead-letter queues."""
        return sum([sum(await self.counts(queue.dead_letter_url)) for queue in self.queues.values()])

    async def arrived(self, name: str, sent: Sent) -> Outcome:
        """What a consumer finds, who completes it."""
        return await receive_all(
            self.broker.connection_string, name, sent, sessions=self.has_sessions(name), quiet_s=QUIET_S
        )

    def has_sessions(self, name: str) -> bool:
        return self.queues[name].url.endswith(FIFO)

    def accepted(self, name: str) -> int:
        """How many messages the target has taken, duplicates that it dropped not among them."""
        return self.broker.stats()["queues"][name]["accepted"]

    async def peeked(self, name: str, session: str | None = None) -> list[ServiceBusReceivedMessage]:
        """What lies in a queue, or in one session of it."""
        async with (
            ServiceBusClient.from_connection_string(self.broker.connection_string, retry_total=0) as client,
            client.get_queue_receiver(name, session_id=session) as receiver,
        ):
            return await receiver.peek_messages(max_message_count=250)


def properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The client gives names and texts as bytes."""
    return {_text(name): _text(value) for name, value in (message.application_properties or {}).items()}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


async def until(what: Callable[[], Any], otherwise: str, deadline_s: float = DEADLINE_S) -> None:
    """Returns when `what` holds, which may have to be awaited: then it asks a service, which costs more than a look."""
    with anyio.move_on_after(deadline_s):
        while True:
            held = what()
            asks = hasattr(held, "__await__")
            if (await held) if asks else held:
                return
            await anyio.sleep(0.1 if asks else 0.02)
    raise AssertionError(f"within {deadline_s} s: {otherwise}")


@asynccontextmanager
async def queue_world(
    aws: AwsServer,
    folder: Path,
    *names: str,
    mode: str = "async",
    visibility_s: int = VISIBILITY_S,
    max_receives: int = 100,
    source: Mapping[str, Any] | None = None,
    target: Mapping[str, Any] | None = None,
) -> AsyncIterator[QueueWorld]:
    """For each name a pipeline, an SQS queue with its dead-letter queue, and a Service Bus queue, all of them fresh.

    Names that end in `.fifo` have FIFO queues and sessions; their pipelines are called by what is before that.
    """
    fifo = {name.removesuffix(FIFO): name.endswith(FIFO) for name in names}
    suffix = os.urandom(4).hex()
    async with AsyncExitStack() as stack:
        declared = {name: QueueSettings(sessions=kind, duplicate_window_s=WINDOW_S) for name, kind in fifo.items()}
        broker = await stack.enter_async_context(ServiceBusServer(declared))
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", aws.port))
        http = await stack.enter_async_context(http_client())
        sqs = await stack.enter_async_context(aws.client("sqs", max_pool_connections=50))
        queues: dict[str, Queue] = {}
        pipelines: dict[str, Any] = {}
        for name, kind in fifo.items():
            called = f"{name}-{suffix}{FIFO if kind else ''}"
            queues[name] = await create_queue(sqs, called, visibility_s=visibility_s, max_receives=max_receives)
            pipelines[name] = {
                "mode": mode,
                "source": {"type": "sqs", "queue": called, "endpoint": proxy.endpoint, **SOURCE, **(source or {})},
                "target": {
                    "type": "servicebus",
                    "queue": name,
                    "connection_string": "${SERVICEBUS}",
                    "management_endpoint": broker.http_endpoint,
                    "sessions": kind,
                    **(target or {}),
                },
            }
        environment = {**aws.environment, "SERVICEBUS": broker.connection_string}
        config = config_of(pipelines, LIMITS)
        made = QueueWorld(folder, http, config, environment, aws, broker, sqs, proxy, queues)
        made.write_config()
        yield made

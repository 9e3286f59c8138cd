"""An SQS source on the local AWS, and short forms of what its tests ask of it and of the queue."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.source import open_source
from fakes.follower import telemetry
from replicator.messages import Message
from replicator.model import Mode, Resume
from replicator.registry import SourceContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from connectors.aws.sqs.source import SqsSource
    from replicator.model import Batch

WHERE = "pipelines.orders.source"
FIFO = {"FifoQueue": "true"}
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


def config(endpoint: str, queue: str, **settings: Any) -> SqsSourceConfig:
    """In a hurry, and receiving."""
    hurried = {"consume": "mirror", "wait_s": 1, "idle_margin_s": 0.1, "counts_lag_s": 0.3, "region": "us-east-1"}
    return SqsSourceConfig(type="sqs", queue=queue, endpoint=endpoint, **{**hurried, **settings})


def context(mode: Mode = Mode.ASYNC, siblings: Collection[tuple[str, ...]] = ()) -> SourceContext:
    return SourceContext(WHERE, telemetry(), mode, frozenset(siblings))


@asynccontextmanager
async def connected(
    endpoint: str,
    queue: str,
    mode: Mode = Mode.ASYNC,
    siblings: Collection[tuple[str, ...]] = (),
    **settings: Any,
) -> AsyncIterator[SqsSource]:
    """A source that has looked at its queue."""
    async with open_source(config(endpoint, queue, **settings), context(mode, siblings)) as source:
        await source.connect()
        yield source


async def batches(source: SqsSource, count: int, receiver: int = 0) -> list[Batch[Message]]:
    """The next so many that hold messages, of one receiver, unsettled."""
    partition = (await source.follow_partitions())[receiver]
    found: list[Batch[Message]] = []
    with anyio.fail_after(20):
        async with aclosing(source.read(partition, Resume())) as read:
            async for batch in read:
                if batch.changes:
                    found.append(batch)
                if len(found) == count:
                    break
    return found


async def batch(source: SqsSource, receiver: int = 0) -> Batch[Message]:
    return (await batches(source, 1, receiver))[0]


async def drained(source: SqsSource) -> list[Message]:
    """Everything, settled, until every receiver has ended."""
    found: list[Message] = []

    async def drain(partition: Any) -> None:
        async with aclosing(source.read(partition, Resume())) as read:
            async for some in read:
                found.extend(messages(some))
                await source.settle(some, ())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for partition in await source.copy_partitions():
                tasks.start_soon(drain, partition)
    return found


def messages(*some: Batch[Message]) -> list[Message]:
    return [change.record for one in some for change in one.changes]


def bodies(*some: Batch[Message]) -> list[str]:
    return [message.body for message in messages(*some)]


async def send(sqs: Any, url: str, *some: str, **parameters: Any) -> list[str]:
    """Ids of the new messages; of a FIFO queue, each body is its own deduplication id."""
    ids = []
    for body in some:
        more = {"MessageDeduplicationId": body} if url.endswith(".fifo") else {}
        ids.append((await sqs.send_message(QueueUrl=url, MessageBody=body, **more, **parameters))["MessageId"])
    return ids


async def counts(sqs: Any, url: str) -> tuple[int, ...]:
    """Messages that are visible, in flight and delayed."""
    told = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    return tuple(int(told[name]) for name in COUNTS)


async def receive(sqs: Any, url: str, wait_s: int = 0) -> Sequence[Any]:
    """As another consumer does."""
    page = await sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s, MessageSystemAttributeNames=["All"]
    )
    found: Sequence[Any] = page.get("Messages", [])
    return found

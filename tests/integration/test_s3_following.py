"""The S3 source follows real notifications of the local AWS: classic, through EventBridge, among other messages."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from integration.aws import ODD_KEYS, queue
from integration.test_s3_source import context

from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.source import open_source
from replicator.errors import ConfigurationError, PositionLostError
from replicator.model import Mode, Operation, Partition, Resume

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from connectors.aws.s3.source import S3Source
    from replicator.model import Batch, Change
    from replicator.objects import StoredObject
    from sandbox.aws import AwsServer

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@asynccontextmanager
async def following(aws: AwsServer, bucket: str, url: str, **settings: Any) -> AsyncIterator[S3Source]:
    options: dict[str, Any] = {"region": "us-east-1", "endpoint": aws.endpoint, "wait_s": 1, "receivers": 2, **settings}
    config = S3SourceConfig(type="s3", bucket=bucket, notifications=url, **options)
    async with open_source(config, context()) as source:
        await source.connect()
        yield source


async def notified_queue(s3: Any, sqs: Any, bucket: str) -> str:
    url, arn = await queue(sqs)
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": events}]}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    return url


async def left(sqs: Any, url: str) -> int:
    """Messages that are still there, received or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(count) for count in told["Attributes"].values())


async def looks(source: S3Source, keys: set[str], *, settled: bool = True) -> list[Change[StoredObject]]:
    """All changes until each of these keys has come, by all receivers side by side."""
    found: list[Change[StoredObject]] = []

    async def receive(partition: Partition) -> None:
        async with aclosing(source.read(partition, Resume())) as batches:
            async for batch in batches:
                found.extend(batch.changes)
                if settled:
                    await source.settle(batch, ())
                if keys <= {change.key for change in found}:
                    tasks.cancel_scope.cancel()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for partition in await source.follow_partitions():
                tasks.start_soon(receive, partition)
    return found


async def test_events_become_looks_with_keys_as_they_are(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url = await notified_queue(s3, sqs, bucket)
    async with following(aws, bucket, url) as source:
        for key in ODD_KEYS:
            await s3.put_object(Bucket=bucket, Key=key, Body=b"")
        await s3.delete_object(Bucket=bucket, Key=ODD_KEYS[0])
        found = await looks(source, set(ODD_KEYS))
    assert {change.key for change in found} == set(ODD_KEYS)
    assert all(change.operation is Operation.LOOK and change.committed_at is not None for change in found)
    assert await left(sqs, url) <= 1, "the removal may have come after the rest"


async def test_events_through_eventbridge(s3: Any, sqs: Any, aws: AwsServer, bucket: str, aws_client: Clients) -> None:
    url, arn = await queue(sqs)
    enabled: dict[str, Any] = {"EventBridgeConfiguration": {}}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=enabled)
    async with aws_client("events") as events, following(aws, bucket, url) as source:
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        await events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
        await events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": arn}])
        for key in ODD_KEYS:
            await s3.put_object(Bucket=bucket, Key=key, Body=b"")
        found = await looks(source, set(ODD_KEYS))
        await events.remove_targets(Rule=bucket, Ids=["queue"])
        await events.delete_rule(Name=bucket)
    assert {change.key for change in found} == set(ODD_KEYS)


async def test_what_is_no_notification_blocks_nothing(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url = await notified_queue(s3, sqs, bucket)
    await sqs.send_message(QueueUrl=url, MessageBody="hello")
    await s3.put_object(Bucket=bucket, Key="out", Body=b"")
    await s3.put_object(Bucket=bucket, Key="in/k", Body=b"")
    async with following(aws, bucket, url, prefix="in/") as source:
        assert [change.key for change in await looks(source, {"in/k"})] == ["in/k"]
        assert await left(sqs, url) == 0


async def test_what_was_not_settled_comes_again_after_a_stop(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url = await notified_queue(s3, sqs, bucket)
    await s3.put_object(Bucket=bucket, Key="k", Body=b"")
    async with following(aws, bucket, url) as source:
        await looks(source, {"k"}, settled=False)
    async with following(aws, bucket, url) as source:
        assert {change.key for change in await looks(source, {"k"})} == {"k"}
        depth = await source.depth()
        assert depth is not None
        assert source.retention is not None


async def test_receiving_can_be_cancelled_at_any_moment(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url = await notified_queue(s3, sqs, bucket)
    async with following(aws, bucket, url) as source:
        (partition, *_) = await source.follow_partitions()
        for patience_s in (0.0, 0.01, 0.3):
            with anyio.move_on_after(patience_s):
                async with aclosing(source.read(partition, Resume())) as batches:
                    async for batch in batches:
                        await source.settle(batch, ())
        await s3.put_object(Bucket=bucket, Key="k", Body=b"")
        assert await looks(source, {"k"})


async def test_a_queue_that_cannot_be_used_is_reported(sqs: Any, aws: AwsServer, bucket: str) -> None:
    url, _ = await queue(sqs, FifoQueue="true")
    with pytest.raises(ConfigurationError, match="FIFO"):
        async with following(aws, bucket, url):
            pass
    with pytest.raises(ConfigurationError, match="there is no queue"):
        async with following(aws, bucket, "nowhere"):
            pass


async def test_nothing_is_received_in_mode_copy(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url = await notified_queue(s3, sqs, bucket)
    config = S3SourceConfig(type="s3", bucket=bucket, notifications=url, endpoint=aws.endpoint, region="us-east-1")
    async with open_source(config, context(Mode.COPY)) as source:
        await source.connect()
        assert await source.follow_partitions() == ()
        assert await source.depth() is None
        with pytest.raises(PositionLostError, match="no longer names"):
            source.read(Partition("receiver-0", bounded=False), Resume())
    assert await left(sqs, url) == 1, "the test event"


async def test_a_batch_is_whatever_was_received_together(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    """Events of one key become one look, and all their messages are settled."""
    url = await notified_queue(s3, sqs, bucket)
    for number in range(5):
        await s3.put_object(Bucket=bucket, Key="k", Body=str(number).encode())
    async with following(aws, bucket, url) as source:
        batches: list[Batch[StoredObject]] = []
        (partition, *_) = await source.follow_partitions()
        with anyio.fail_after(PATIENCE_S):
            async with aclosing(source.read(partition, Resume())) as reading:
                async for batch in reading:
                    batches.append(batch)
                    if sum(b.read for b in batches) == 5:
                        break
        assert all(len(batch.changes) <= 1 for batch in batches)
        for batch in batches:
            await source.settle(batch, ("k",))
        assert await left(sqs, url) == 0

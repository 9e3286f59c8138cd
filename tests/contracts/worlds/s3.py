"""An S3 bucket and the queue of its notifications, in the local AWS."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from contracts.worlds.sides import LocalClouds, SourceWorld

from connectors.aws.s3 import following
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.source import S3Source, open_source
from connectors.aws.sqs.receiving import Receiver
from replicator.model import Change, Mode, Operation
from replicator.objects import StoredObject
from replicator.registry import SourceContext
from replicator.telemetry import Metrics, PipelineTelemetry

BUCKETS = itertools.count()
VISIBILITY_S = 5
LATE_S = 4.0
"""On a busy machine the local AWS sends a notification that much later than the event it is about."""

HURRIED = partial(Receiver, counts_interval_s=0.2)
"""No time is proven without the service's counts, which are read every 10 seconds otherwise."""


@asynccontextmanager
async def s3(clouds: LocalClouds) -> AsyncIterator[SourceWorld[StoredObject]]:
    """The real source and the real client; the number of an object is its content, and in its metadata."""
    server = clouds.aws()
    bucket = f"contract-{next(BUCKETS)}"
    async with clouds.aws_client("s3") as client, clouds.aws_client("sqs") as sqs:
        url = await _notified_bucket(client, sqs, bucket)

        async def put(name: str, number: int) -> None:
            metadata = {"number": str(number)}
            await client.put_object(Bucket=bucket, Key=name, Body=str(number).encode(), Metadata=metadata)

        async def delete(name: str) -> None:
            await client.delete_object(Bucket=bucket, Key=name)

        @asynccontextmanager
        async def opened(mode: Mode) -> AsyncIterator[S3Source]:
            config = S3SourceConfig(
                type="s3", bucket=bucket, notifications=url, endpoint=server.endpoint, region=server.region,
                receivers=2, wait_s=1, visibility_timeout_s=VISIBILITY_S, idle_margin_s=LATE_S, counts_lag_s=0.3,
                partitions=2,
            )  # fmt: skip
            context = SourceContext("contract", PipelineTelemetry(Metrics(), "contract"), mode)
            with patch.object(following, "Receiver", HURRIED):
                async with open_source(config, context) as source:
                    _small_pages(source)
                    yield source

        yield SourceWorld(
            opened, put, str, state_of, delete, patience_s=20.0, hold_s=VISIBILITY_S + 5, again_s=VISIBILITY_S,
            quiet_s=1.5,
        )  # fmt: skip


async def state_of(change: Change[StoredObject]) -> int | None:
    """The number in an object's content, which its metadata says too."""
    if change.operation is Operation.DELETE:
        return None
    assert change.operation is Operation.UPSERT, "an object that is only listed is looked up first"
    found = change.record
    assert found.key == change.key
    assert found.content is not None
    assert found.size is not None
    content = b"".join([piece async for piece in found.content.read(0, found.size)])
    assert found.metadata == {"number": content.decode()}
    return int(content)


async def _notified_bucket(client: Any, sqs: Any, bucket: str) -> str:
    """A new one; the URL of the queue that its notifications come to."""
    await client.create_bucket(Bucket=bucket)
    url: str = (await sqs.create_queue(QueueName=f"events-of-{bucket}"))["QueueUrl"]
    named = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    to_queue = {"QueueArn": named["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    await client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [to_queue]}
    )
    return url


def _small_pages(source: S3Source) -> None:
    """A few records would fit into one page, and there would be nothing to resume after."""
    sizes = itertools.cycle((2, 1, 3))

    def limited(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "MaxKeys": next(sizes)}

    client: Any = source._client
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", limited)

"""The bucket every workload writes to, and the queue that is told of its changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from sandbox.workload.calls import S3, Sqs

EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:ObjectTagging:*",
    "s3:LifecycleExpiration:*",
    "s3:ObjectRestore:*",
    "s3:LifecycleTransition",
)
CONFIGURATION = "replicator"


async def create_bucket(s3: S3, sqs: Sqs, bucket: str, *, events_queue: str) -> str:
    """Create a bucket without versions whose changes are told to a new standard queue; that queue's URL.

    The queue's policy lets this bucket send. Raises botocore's ClientError if the bucket exists.
    """
    url = str((await sqs.create_queue(QueueName=events_queue))["QueueUrl"])
    told = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    queue_arn = told["Attributes"]["QueueArn"]
    policy = json.dumps(queue_policy(bucket, queue_arn))
    await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    await s3.create_bucket(Bucket=bucket)
    configuration = {"Id": CONFIGURATION, "QueueArn": queue_arn, "Events": list(EVENTS)}
    await s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
    )
    return url


def queue_policy(bucket: str, queue_arn: str) -> dict[str, Any]:
    """Lets S3 send what this bucket has to tell, and nothing else."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


class TaggingEvents:
    """Tells the queue of a bucket that the tags of an object have changed, which the local S3 does not do by itself."""

    def __init__(self, client: Sqs, queue_url: str, bucket: str) -> None:
        self._client = client
        self._queue_url = queue_url
        self._bucket = bucket

    async def tell(self, key: str, *, removed: bool) -> None:
        """As the service would, in the shape of its notifications."""
        event = tagging_event(self._bucket, key, datetime.now(UTC), removed=removed)
        await self._client.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps(event))


def tagging_event(bucket: str, key: str, at: datetime, *, removed: bool) -> dict[str, Any]:
    """What the service sends when tags are put or removed."""
    stored = {
        "s3SchemaVersion": "1.0",
        "configurationId": CONFIGURATION,
        "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}", "ownerIdentity": {"principalId": "A"}},
        "object": {"key": quote_plus(key)},
    }
    record = {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "eventName": "ObjectTagging:Delete" if removed else "ObjectTagging:Put",
        "s3": stored,
    }
    return {"Records": [record]}

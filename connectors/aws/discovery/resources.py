"""What must be known of each table, bucket and queue: key attributes, streams, notifications, dead-letter queues."""

import json
from collections.abc import Sequence
from typing import Any

from connectors.aws.discovery.environment import of_arn
from connectors.aws.discovery.functions import Gathered
from connectors.aws.discovery.model import Bucket, Catalogue, Kind, Queue, Resource, Table, Topic
from connectors.aws.discovery.services import Services
from connectors.aws.dynamodb.table import key_names
from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.coverage import OUR_NAME, PLACES

FIFO = ".fifo"

NO_KEY = "ServerSideEncryptionConfigurationNotFoundError"


async def describe_table(services: Services, resource: Resource, reasons: Sequence[str], gathered: Gathered) -> Table:
    """One that cannot be described has no key attributes, which is told."""
    name = resource.name
    try:
        answer = await services.asking.ask(
            "dynamodb:DescribeTable", f"table {name}", services.dynamodb.describe_table, TableName=name
        )
    except AwsRefusal as refusal:
        gathered.leave(Topic.RESOURCES, f"table {name} cannot be described ({refusal})")
        answer = None
    table = (answer or {}).get("Table", {})
    stream = table.get("StreamSpecification", {})
    if table.get("Replicas"):
        gathered.leave(Topic.RESOURCES, f"table {name} has replicas in other regions, which are not looked at")
    return Table(
        name,
        key_names(table) if table else (),
        stream.get("StreamViewType") if stream.get("StreamEnabled") else None,
        not table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0),
        table.get("SSEDescription", {}).get("KMSMasterKeyArn"),
        tuple(reasons),
    )


async def describe_bucket(
    services: Services, resource: Resource, reasons: Sequence[str], there: Catalogue, gathered: Gathered
) -> Bucket:
    """One in another region is told of, since the notifications of a bucket stay within its region."""
    name = resource.name
    document = await notifications(services, name) or {}
    entries = [entry for place in PLACES for entry in document.get(place, ())]
    ours = [e for e in entries if str(e.get("Id", "")).startswith(OUR_NAME) and "QueueArn" in e]
    region = there.buckets.get(name) or there.region
    if region != there.region:
        gathered.leave(Topic.RESOURCES, f"bucket {name} is in {region}, not in the region of the functions")
    return Bucket(
        name,
        region,
        ours[0]["QueueArn"] if ours else None,
        len(entries) > len(ours),
        await _bucket_key(services, name),
        tuple(reasons),
    )


async def notifications(services: Services, bucket: str) -> dict[str, Any] | None:
    """The notification configuration of a bucket; None where it may not be read or the bucket is gone."""
    try:
        answer = await services.asking.ask(
            "s3:GetBucketNotification",
            f"notifications of bucket {bucket}",
            services.s3.get_bucket_notification_configuration,
            Bucket=bucket,
        )
    except AwsRefusal:
        return None
    return None if answer is None else dict(answer)


async def _bucket_key(services: Services, bucket: str) -> str | None:
    """The key of the account's own that new objects are encrypted with."""
    try:
        answer = await services.asking.ask(
            "s3:GetEncryptionConfiguration",
            f"encryption of bucket {bucket}",
            services.s3.get_bucket_encryption,
            Bucket=bucket,
        )
    except AwsRefusal:  # it has none
        return None
    rules = (answer or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    keys = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in rules]
    return next((str(key) for key in keys if key), None)


async def describe_queue(services: Services, resource: Resource, reasons: Sequence[str], gathered: Gathered) -> Queue:
    """With the dead-letter queue that its redrive policy names."""
    name, asking = resource.name, services.asking
    attributes: dict[str, str] = {}
    try:
        url = await asking.ask("sqs:GetQueueUrl", f"queue {name}", services.sqs.get_queue_url, QueueName=name)
        if url is not None:
            answer = await asking.ask(
                "sqs:GetQueueAttributes",
                f"queue {name}",
                services.sqs.get_queue_attributes,
                QueueUrl=url["QueueUrl"],
                AttributeNames=["RedrivePolicy", "KmsMasterKeyId", "QueueArn"],
            )
            attributes = (answer or {}).get("Attributes", {})
    except AwsRefusal as refusal:
        gathered.leave(Topic.RESOURCES, f"queue {name} cannot be described ({refusal})")
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    return Queue(
        name,
        name.endswith(FIFO),
        redrive.get("deadLetterTargetArn"),
        attributes.get("KmsMasterKeyId") or None,
        tuple(reasons),
    )


async def describe_queues(
    services: Services, queues: dict[Resource, list[str]], there: Catalogue, gathered: Gathered
) -> list[Queue]:
    """These, and the dead-letter queues behind them, each once."""
    found: dict[Resource, Queue] = {}
    waiting = list(queues)
    while waiting:
        resource = waiting.pop(0)
        if resource in found:
            continue
        found[resource] = queue = await describe_queue(services, resource, queues[resource], gathered)
        if queue.dead_letters is None:
            continue
        behind = of_arn(queue.dead_letters, there)
        if behind is None or behind.kind is not Kind.QUEUE:
            text = f"queue {queue.name} has the dead-letter queue {queue.dead_letters}, in another account or region"
            gathered.leave(Topic.RESOURCES, text)
            continue
        queues.setdefault(behind, []).append(f"dead-letter queue of {queue.name}")
        waiting.append(behind)
    return list(found.values())

"""What the bucket connector relies on in the local event notifications, in both their shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from integration.aws import ODD_KEYS, queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    Clients = Callable[..., AbstractAsyncContextManager[Any]]


async def received(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    """So many message bodies, deleted; a wait that is in vain ends after five seconds."""
    bodies: list[dict[str, Any]] = []
    while len(bodies) < count:
        page = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        assert page.get("Messages"), f"{len(bodies)} of {count} messages came"
        for message in page["Messages"]:
            bodies.append(json.loads(message["Body"]))
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


async def notify(s3: Any, sqs: Any, bucket: str) -> str:
    """URL of a queue that is told of creations and removals."""
    url, arn = await queue(sqs)
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    configuration = {"QueueConfigurations": [{"Id": "ours", "QueueArn": arn, "Events": events}]}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    (test,) = await received(sqs, url, 1)
    assert (test["Event"], test["Bucket"]) == ("s3:TestEvent", bucket)
    return url


async def write_all_ways(s3: Any, bucket: str) -> None:
    """Puts, copies, writes in parts, deletes alone and together."""
    await s3.put_object(Bucket=bucket, Key="put", Body=b"content")
    await s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "put"})
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
    part = await s3.upload_part(**upload, PartNumber=1, Body=b"content")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    await s3.delete_object(Bucket=bucket, Key="put")
    await s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copied"}]})


async def test_creations_and_removals_are_notified(s3: Any, sqs: Any, bucket: str) -> None:
    """With a sequencer that grows, also over a delete and a later creation of a key."""
    url = await notify(s3, sqs, bucket)
    await write_all_ways(s3, bucket)
    await s3.put_object(Bucket=bucket, Key="put", Body=b"again")
    records = [record for message in await received(sqs, url, 6) for record in message["Records"]]
    assert sorted((record["eventName"], record["s3"]["object"]["key"]) for record in records) == [
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:Put", "put"),
        ("ObjectCreated:Put", "put"),
        ("ObjectRemoved:Delete", "copied"),
        ("ObjectRemoved:Delete", "put"),
    ]
    of_put = sorted(
        (record["s3"]["object"]["sequencer"], record["eventName"], record["s3"]["object"]["size"])
        for record in records
        if record["s3"]["object"]["key"] == "put"
    )
    assert [(name, size) for _, name, size in of_put] == [
        ("ObjectCreated:Put", 7),
        ("ObjectRemoved:Delete", 0),
        ("ObjectCreated:Put", 5),
    ]
    assert {record["s3"]["bucket"]["name"] for record in records} == {bucket}
    assert all(record["eventVersion"].startswith("2.") and record["eventTime"].endswith("Z") for record in records)


async def test_events_of_a_versioned_bucket_name_the_version(s3: Any, sqs: Any, bucket: str) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    url = await notify(s3, sqs, bucket)
    written = await s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    marker = await s3.delete_object(Bucket=bucket, Key="k")
    records = [record for message in await received(sqs, url, 2) for record in message["Records"]]
    assert {(record["eventName"], record["s3"]["object"]["versionId"]) for record in records} == {
        ("ObjectCreated:Put", written["VersionId"]),
        ("ObjectRemoved:DeleteMarkerCreated", marker["VersionId"]),
    }


async def test_keys_in_events_are_form_encoded(s3: Any, sqs: Any, bucket: str) -> None:
    url = await notify(s3, sqs, bucket)
    for key in ODD_KEYS:
        await s3.put_object(Bucket=bucket, Key=key, Body=b"")
    messages = await received(sqs, url, len(ODD_KEYS))
    raw = {message["Records"][0]["s3"]["object"]["key"] for message in messages}
    assert {unquote_plus(key) for key in raw} == set(ODD_KEYS)
    assert "a+b%2Bc/%C3%BC%2520%3F%23%26%3D.txt" in raw


async def test_events_reach_a_queue_through_eventbridge(s3: Any, sqs: Any, bucket: str, aws_client: Clients) -> None:
    """In their other shape, with keys as they are."""
    url, arn = await queue(sqs)
    await s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    async with aws_client("events") as events:
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        await events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
        await events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": arn}])
        await s3.put_object(Bucket=bucket, Key=ODD_KEYS[0], Body=b"content")
        await s3.delete_object(Bucket=bucket, Key=ODD_KEYS[0])
        messages = await received(sqs, url, 2)
        await events.remove_targets(Rule=bucket, Ids=["queue"])
        await events.delete_rule(Name=bucket)
    told = {message["detail-type"]: message["detail"] for message in messages}
    assert {kind: detail["object"]["key"] for kind, detail in told.items()} == {
        "Object Created": ODD_KEYS[0],
        "Object Deleted": ODD_KEYS[0],
    }
    assert told["Object Created"]["object"]["sequencer"] < told["Object Deleted"]["object"]["sequencer"]
    assert told["Object Created"]["bucket"]["name"] == bucket
    assert told["Object Deleted"]["deletion-type"] == "Permanently Deleted"


async def test_what_a_bucket_notifies_can_be_read(s3: Any, sqs: Any, bucket: str) -> None:
    empty = await s3.get_bucket_notification_configuration(Bucket=bucket)
    assert not set(empty) - {"ResponseMetadata"}
    await notify(s3, sqs, bucket)
    (configured,) = (await s3.get_bucket_notification_configuration(Bucket=bucket))["QueueConfigurations"]
    assert configured["Events"] == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]

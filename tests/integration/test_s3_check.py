"""What `check` finds in a bucket and its notifications, with the real client against the local AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from integration.aws import queue
from integration.test_s3_following import following
from integration.test_s3_source import connected

from connectors.aws.s3.check_queue import sender_statement
from connectors.aws.s3.coverage import KINDS
from replicator.model import Operation, Severity
from sandbox.faults import Answer, FaultProxy

if TYPE_CHECKING:
    from connectors.aws.s3.source import S3Source
    from replicator.model import Finding
    from sandbox.aws import AwsServer

DENIED = b"<Error><Code>AccessDenied</Code><Message>not you</Message></Error>"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


async def found(source: S3Source, severity: Severity) -> list[Finding]:
    return [finding for finding in await source.check() if finding.severity is severity]


def texts(findings: list[Finding]) -> str:
    return "\n".join(finding.message for finding in findings)


async def test_an_empty_bucket_may_be_read(aws: AwsServer, bucket: str) -> None:
    async with connected(aws.endpoint, bucket) as source:
        assert not await found(source, Severity.ERROR)
        fine = texts(await found(source, Severity.OK))
        assert "in us-east-1 can be listed" in fine
        assert "s3:GetObjectTagging is permitted" in fine
        (without,) = await found(source, Severity.WARNING)
        assert "every 3,600 s" in without.message
        assert await source.sample(3) == []


async def test_a_bucket_with_everything_that_is_not_carried_over(s3: Any, aws: AwsServer, bucket: str) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await s3.put_object(Bucket=bucket, Key="a", Body=b"x", StorageClass="GLACIER")
    await s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    await s3.create_multipart_upload(Bucket=bucket, Key="c")
    async with connected(aws.endpoint, bucket, tags=False) as source:
        notes = texts(await found(source, Severity.NOTE))
        assert "versioning is Enabled" in notes
        assert "1 upload in parts" in notes
        assert "tags are not read" in notes
        assert "1 of the first 2 objects are archived" in texts(await found(source, Severity.WARNING))
        assert not await found(source, Severity.ERROR)
        sample = await source.sample(5)
        assert [change.key for change in sample] == ["a", "b"]
        assert {change.operation for change in sample} == {Operation.UPSERT}


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("HEAD", ".*/k", "s3:GetObject, to look"),
        ("GET", ".*/k$", "s3:GetObject, and kms:Decrypt"),
        ("GET", ".*tagging.*", "s3:GetObjectTagging"),
    ],
)
async def test_each_missing_permission_is_found(
    s3: Any, aws: AwsServer, bucket: str, method: str, path: str, permission: str
) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    async with FaultProxy("127.0.0.1", aws.port) as proxy, connected(proxy.endpoint, bucket) as source:
        body = b"" if method == "HEAD" else DENIED
        proxy.inject(Answer(status=403, headers={"x-amz-request-id": "r"}, body=body), method=method, path=path)
        (error,) = await found(source, Severity.ERROR)
        assert error.message.startswith(permission)
        assert "docs/connectors/s3-to-blob.md" in error.fix


async def test_notifications_that_lack_nothing(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url, arn = await queue(sqs, Policy=json.dumps({"Statement": [json.loads(sender_statement("*", bucket))]}))
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": list(KINDS)}]}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    async with following(aws, bucket, url) as source:
        assert not await found(source, Severity.ERROR)
        assert not await found(source, Severity.WARNING)
        fine = texts(await found(source, Severity.OK))
        assert "every change of the bucket is notified" in fine
        assert "policy lets notifications in" in fine
        assert "triggers no function" in fine
        assert "sqs:DeleteMessage is permitted" in fine


@pytest.mark.parametrize("action", ["DeleteMessage", "ChangeMessageVisibility"])
async def test_a_notification_that_could_be_received_and_not_be_settled_is_found(
    sqs: Any, aws: AwsServer, bucket: str, action: str
) -> None:
    """It would come again and again, and be looked at each time."""
    _, arn = await queue(sqs)
    denied = Answer(status=403, body=b'{"__type": "AccessDeniedException", "message": "no"}')
    async with FaultProxy("127.0.0.1", aws.port) as proxy:
        proxy.inject(denied, headers={"x-amz-target": f"AmazonSQS.{action}$"})
        async with following(aws, bucket, arn, sqs_endpoint=proxy.endpoint) as source:
            errors = texts(await found(source, Severity.ERROR))
    assert f"sqs:{action}: " in errors


async def test_what_is_not_notified_comes_with_what_to_put(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url, arn = await queue(sqs, MessageRetentionPeriod="3600")
    before = {"QueueConfigurations": [{"Id": "mine", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=before)
    async with following(aws, bucket, url) as source:
        (error,) = await found(source, Severity.ERROR)
        warnings = texts(await found(source, Severity.WARNING))
        assert "lets neither S3" in warnings
        assert "keeps notifications for 0.0417 days" in warnings
        configuration = json.loads(error.fix.partition("--notification-configuration '")[2].removesuffix("'"))
        await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
        assert not await found(source, Severity.ERROR)


async def test_checking_takes_nothing_from_the_queue(s3: Any, sqs: Any, aws: AwsServer, bucket: str) -> None:
    url, _ = await queue(sqs)
    await sqs.send_message(QueueUrl=url, MessageBody="{}")
    async with following(aws, bucket, url) as source:
        await source.check()
    page = await sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])
    assert page["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"

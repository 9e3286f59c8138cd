"""Promises of triggers at AWS: off, on, and back exactly as they were, everything else of them untouched."""

from __future__ import annotations

import io
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from integration.aws import queue

from connectors import registry
from fakes.triggers import put_back, turn
from replicator.config.loading import parse_config
from replicator.errors import ConfigurationError
from replicator.model import Severity
from replicator.registry import TriggerContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from replicator.ports import Trigger
    from sandbox.aws import AwsServer

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def opened(aws: AwsServer, own: str = "", **fields: str) -> Any:
    """A trigger by what a config says of it."""
    given = {**fields, "endpoint": aws.endpoint, "region": aws.region}
    side = "{" + ", ".join(f"{name}: '{value}'" for name, value in given.items()) + "}"
    target = "{type: cosmos, endpoint: 'https://c.test', database: d, container: c}"
    pipeline = f"{{source: {{type: dynamodb, table: t}}, target: {target}}}"
    text = f"migration: shop\ntriggers: {{one: {{aws: {side}}}}}\npipelines: {{orders: {pipeline}}}"
    config = parse_config(text, registry(), {}).triggers["one"].aws
    assert config is not None
    sources = frozenset({("sqs", "", "", own)})
    return registry().triggers[config.type].open(config, TriggerContext("triggers.one.aws", sources=sources))


async def off_and_back(trigger: Trigger) -> None:
    """What every kind does alike."""
    before = await trigger.observe()
    assert (before.enabled, before.settled) == (True, True)
    for _ in range(2):
        await turn(trigger, False)
        assert (await trigger.observe()).enabled is False
    for _ in range(2):
        await put_back(trigger, before)
        assert await trigger.observe() == before
    assert [f for f in await trigger.check() if f.severity in {Severity.ERROR, Severity.WARNING}] == []


@pytest.fixture
async def function(aws_client: Clients) -> str:
    """The ARN of a new one."""
    async with aws_client("lambda") as client:
        made = await client.create_function(
            FunctionName=f"f{uuid.uuid4().hex}",
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/none",
            Handler="handler.handler",
            Code={"ZipFile": CODE.getvalue()},
        )
        return str(made["FunctionArn"])


async def test_a_mapping_by_uuid_or_by_function_and_source(
    aws: AwsServer, aws_client: Clients, sqs: Any, function: str
) -> None:
    _, arn = await queue(sqs)
    async with aws_client("lambda") as client:
        made = await client.create_event_source_mapping(EventSourceArn=arn, FunctionName=function)
        async with opened(aws, type="event_source_mapping", uuid=made["UUID"]) as trigger:
            await off_and_back(trigger)
        async with opened(aws, type="event_source_mapping", function=function, source_arn=arn) as trigger:
            await off_and_back(trigger)
        await client.delete_event_source_mapping(UUID=made["UUID"])


async def test_a_rule(aws: AwsServer, aws_client: Clients, function: str) -> None:
    name = f"r{uuid.uuid4().hex}"
    async with aws_client("events") as client:
        await client.put_rule(Name=name, ScheduleExpression="rate(1 day)", Description="every night")
        await client.put_targets(Rule=name, Targets=[{"Id": "one", "Arn": function}])
        before = await client.describe_rule(Name=name)
        async with opened(aws, type="rule", name=name) as trigger:
            await off_and_back(trigger)
        after = await client.describe_rule(Name=name)
        assert {**before, "ResponseMetadata": None} == {**after, "ResponseMetadata": None}
        assert len((await client.list_targets_by_rule(Rule=name))["Targets"]) == 1


async def test_a_schedule_keeps_its_whole_definition(aws: AwsServer, aws_client: Clients, function: str) -> None:
    name = f"s{uuid.uuid4().hex}"
    async with aws_client("scheduler") as client:
        await client.create_schedule(
            Name=name,
            Description="every night",
            ScheduleExpression="cron(0 3 * * ? *)",
            ScheduleExpressionTimezone="Europe/Berlin",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10},
            Target={"Arn": function, "RoleArn": "arn:aws:iam::000000000000:role/none", "Input": '{"a": 1}'},
        )
        before = await client.get_schedule(Name=name)
        async with opened(aws, type="schedule", name=name) as trigger:
            await off_and_back(trigger)
            await trigger.set_enabled(False)
            during = await client.get_schedule(Name=name)
        changed = {n for n in {*before, *during} if before.get(n) != during.get(n)}
        assert changed == {"State", "LastModificationDate", "ResponseMetadata"}


class TestNotification:
    """One entry among others."""

    @pytest.fixture
    async def others(self, s3: Any, sqs: Any, bucket: str, function: str) -> str:
        """A bucket with three entries, one of them ours; the ARN of the queue of another one."""
        _, arn = await queue(sqs)
        entry = {"Events": ["s3:ObjectCreated:*"]}
        filtered = {"Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "ours/"}]}}}
        await s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={
                "QueueConfigurations": [{**entry, "Id": "replicator", "QueueArn": arn}],
                "LambdaFunctionConfigurations": [
                    {**entry, **filtered, "Id": "to-lambda", "LambdaFunctionArn": function},
                    {"Events": ["s3:ObjectRemoved:*"], "Id": "other", "LambdaFunctionArn": function},
                ],
                "EventBridgeConfiguration": {},
            },
        )
        return arn

    async def test_it_is_taken_out_and_put_back_and_the_others_stay(
        self, aws: AwsServer, s3: Any, bucket: str, others: str
    ) -> None:
        before = await s3.get_bucket_notification_configuration(Bucket=bucket)
        async with opened(aws, type="s3_notification", bucket=bucket, id="to-lambda") as trigger:
            await off_and_back(trigger)
            saved = (await trigger.observe()).saved
            await trigger.set_enabled(False)
            during = await s3.get_bucket_notification_configuration(Bucket=bucket)
            assert during["QueueConfigurations"] == before["QueueConfigurations"]
            assert [e["Id"] for e in during["LambdaFunctionConfigurations"]] == ["other"]
            assert "EventBridgeConfiguration" in during
            await trigger.restore(saved)
        after = await s3.get_bucket_notification_configuration(Bucket=bucket)
        assert {**before, "ResponseMetadata": None} == {**after, "ResponseMetadata": None}

    async def test_what_others_add_meanwhile_stays_when_it_is_put_back(
        self, aws: AwsServer, s3: Any, bucket: str, others: str, function: str
    ) -> None:
        async with opened(aws, type="s3_notification", bucket=bucket, id="to-lambda") as trigger:
            saved = (await trigger.observe()).saved
            await trigger.set_enabled(False)
            document = await s3.get_bucket_notification_configuration(Bucket=bucket)
            document.pop("ResponseMetadata")
            added = {"Events": ["s3:ObjectCreated:Put"], "Id": "new", "LambdaFunctionArn": function}
            document["LambdaFunctionConfigurations"].append(added)
            await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=document)
            await trigger.restore(saved)
        after = await s3.get_bucket_notification_configuration(Bucket=bucket)
        assert {e["Id"] for e in after["LambdaFunctionConfigurations"]} == {"to-lambda", "other", "new"}

    async def test_the_queue_that_replicator_reads_keeps_its_events(
        self, aws: AwsServer, s3: Any, bucket: str, others: str
    ) -> None:
        own = others.rpartition(":")[2]
        before = await s3.get_bucket_notification_configuration(Bucket=bucket)
        async with opened(aws, own, type="s3_notification", bucket=bucket, id="replicator") as trigger:
            with pytest.raises(ConfigurationError, match="the queue that replicator itself reads"):
                await trigger.set_enabled(False)
            assert any(f.severity is Severity.ERROR for f in await trigger.check())
        after = await s3.get_bucket_notification_configuration(Bucket=bucket)
        assert before["QueueConfigurations"] == after["QueueConfigurations"]

    async def test_one_that_never_was_there_is_not_made_up(self, aws: AwsServer, bucket: str) -> None:
        async with opened(aws, type="s3_notification", bucket=bucket, id="nope") as trigger:
            state = await trigger.observe()
            assert state.enabled is False
            await trigger.set_enabled(False)
            await trigger.restore(state.saved)
            with pytest.raises(ConfigurationError, match="what it was is not known"):
                await trigger.set_enabled(True)
            assert any(f.severity is Severity.WARNING for f in await trigger.check())


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "event_source_mapping", "uuid": "00000000-0000-0000-0000-000000000000"},
        {"type": "event_source_mapping", "function": "nope", "source_arn": "arn:aws:sqs:us-east-1:000000000000:nope"},
        {"type": "rule", "name": "nope"},
        {"type": "schedule", "name": "nope"},
        {"type": "s3_notification", "bucket": "nope-nope-nope", "id": "x"},
    ],
    ids=lambda f: "-".join([f["type"], *list(f)[1:2]]),
)
async def test_one_that_does_not_exist_is_told_by_every_call(aws: AwsServer, fields: dict[str, str]) -> None:
    """Also where the service would answer a success."""
    async with opened(aws, **fields) as trigger:
        for call in (trigger.observe(), trigger.set_enabled(False), trigger.check()):
            with pytest.raises(ConfigurationError, match=r"^triggers\.one\.aws"):
                await call

"""What a shop keeps at AWS, and what triggers its functions at either side."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from sandbox.functions.server import Function
from sandbox.workload import create_orders_table

if TYPE_CHECKING:
    from scenarios.shop import QueueOf, Shop

APP = "shop"
"""Name of the function app."""

EXPIRES = "expires"
"""The attribute that says when an item expires."""

FUNCTIONS = {"orders": "onOrder", "uploads": "onUpload", "nightly": "nightly"}

TO_LAMBDA = "to-lambda"
"""Id of the notification that triggers the function of uploads."""

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")


async def furnish(s: Shop, suffix: str, *, schedule: bool) -> None:
    """At AWS."""
    arn = await create_orders_table(s.clients["dynamodb"], s.table, ttl_attribute=EXPIRES)
    assert arn is not None
    s.stream = arn
    function = await _function(s, f"f-{suffix}")
    await _bucket(s, suffix)
    for name, queue in s.queues.items():
        await _queue(s, name, queue, suffix)
    for name, queue in s.queues.items():
        if queue.twins:
            s.mappings[name] = await _mapping(s, function, await _arn(s, s.urls[name]))
    s.mappings["orders"] = await _mapping(s, function, s.stream, StartingPosition="TRIM_HORIZON")
    await _ticking(s, suffix, function, schedule=schedule)
    app = s.arm.app(APP)
    for name in [*FUNCTIONS, *s.queues]:
        app.functions[s.function(name)] = Function()
        if name in FUNCTIONS or s.queues[name].twins:
            app.settings[f"AzureWebJobs.{s.function(name)}.Disabled"] = "true"


async def _function(s: Shop, name: str) -> str:
    """One for all mappings, which the local AWS does not run."""
    made = await s.clients["lambda"].create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/none",
        Handler="handler.handler",
        Code={"ZipFile": CODE.getvalue()},
    )
    await s.clients["lambda"].put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    return str(made["FunctionArn"])


async def _mapping(s: Shop, function: str, arn: str, **options: Any) -> str:
    made = await s.clients["lambda"].create_event_source_mapping(EventSourceArn=arn, FunctionName=function, **options)
    return str(made["UUID"])


async def _arn(s: Shop, url: str) -> str:
    told = await s.clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(told["Attributes"]["QueueArn"])


async def _open_queue(s: Shop, name: str, called: str, *services: str) -> str:
    """Its ARN; these services may send to it."""
    attributes = {"VisibilityTimeout": "10"}
    s.urls[name] = (await s.clients["sqs"].create_queue(QueueName=called, Attributes=attributes))["QueueUrl"]
    arn = await _arn(s, s.urls[name])
    if services:
        principal = {"Service": [f"{service}.amazonaws.com" for service in services]}
        allow = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        await s.clients["sqs"].set_queue_attributes(QueueUrl=s.urls[name], Attributes={"Policy": policy})
    return arn


async def _bucket(s: Shop, suffix: str) -> None:
    """S3 tells an event to one place only: the function's is told by a notification, replicator through a rule."""
    invoked = await _open_queue(s, "uploads", f"uploads-{suffix}", "s3")
    events = await _open_queue(s, "media-events", f"media-events-{suffix}", "events")
    await s.clients["s3"].create_bucket(Bucket=s.bucket)
    entry = {"Id": TO_LAMBDA, "QueueArn": invoked, "Events": ["s3:ObjectCreated:*"]}
    await s.clients["s3"].put_bucket_notification_configuration(
        Bucket=s.bucket,
        NotificationConfiguration={"QueueConfigurations": [entry], "EventBridgeConfiguration": {}},
    )
    rule = f"media-to-replicator-{suffix}"
    pattern = json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [s.bucket]}}})
    await s.clients["events"].put_rule(Name=rule, EventPattern=pattern)
    await s.clients["events"].put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": events}])


async def _queue(s: Shop, name: str, queue: QueueOf, suffix: str) -> None:
    """What a topic fans out goes to Lambda's own queue, and to another one that is replicated."""
    if not queue.fanned:
        await _open_queue(s, name, f"{name}-{suffix}")
        return
    topic = (await s.clients["sns"].create_topic(Name=f"{name}-{suffix}"))["TopicArn"]
    s.topics[name] = topic
    for called in (name, f"{name}-mirror"):
        arn = await _open_queue(s, called, f"{called}-{suffix}", "sns")
        await s.clients["sns"].subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )


async def _ticking(s: Shop, suffix: str, function: str, *, schedule: bool) -> None:
    name = f"nightly-{suffix}"
    if not schedule:
        await s.clients["events"].put_rule(Name=name, ScheduleExpression="rate(1 day)", Description="every night")
        s.ticking = {"rule": name}
        return
    await s.clients["scheduler"].create_schedule(
        Name=name,
        Description="every night",
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10},
        Target={"Arn": function, "RoleArn": "arn:aws:iam::000000000000:role/none", "Input": '{"a": 1}'},
    )
    s.ticking = {"schedule": name}

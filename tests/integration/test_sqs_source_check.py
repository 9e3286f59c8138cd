"""Who else takes a queue's messages, where they go when nobody can, and what is permitted: found before anything is
received, and without receiving.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from integration.aws import queue
from integration.queues import FIFO, connected, counts, receive, send

from replicator.errors import ConfigurationError
from replicator.model import Finding, Mode, Severity
from sandbox.faults import Answer, FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from connectors.aws.sqs.source import SqsSource
    from sandbox.aws import AwsServer

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

DENIED = b'{"__type": "AccessDeniedException", "message": "no"}'

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@asynccontextmanager
async def triggered(aws_client: Clients, arn: str, *, enabled: bool) -> AsyncIterator[str]:
    """A function that the queue triggers, or would; its name."""
    name = arn.rpartition(":")[2]
    async with aws_client("lambda") as functions:
        await functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/none",
            Handler="handler.handler",
            Code={"ZipFile": CODE.getvalue()},
        )
        mapping = await functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, Enabled=enabled)
        try:
            yield name
        finally:
            await functions.delete_event_source_mapping(UUID=mapping["UUID"])
            await functions.delete_function(FunctionName=name)


async def found(source: SqsSource, severity: Severity) -> list[Finding]:
    return [finding for finding in await source.check() if finding.severity is severity]


async def test_nothing_stands_against_a_plain_queue_and_nothing_is_received(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs)
    await send(sqs, url, "x")
    async with connected(aws.endpoint, url) as source:
        assert not source.ordered_groups
        findings = await source.check()
    assert {finding.severity for finding in findings} == {Severity.OK, Severity.NOTE}
    told = " ".join(finding.message for finding in findings)
    for part in ("standard queue", "4 days", "DeleteMessage is permitted", "no dead-letter", "triggers no function"):
        assert part in told
    assert await counts(sqs, url) == (1, 0, 0)
    (message,) = await receive(sqs, url)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_fifo_queue_is_called_one(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO)
    async with connected(aws.endpoint, url) as source:
        assert source.ordered_groups
        assert any("FIFO" in finding.message for finding in await source.check())


# --- who else receives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "consume"), [(Mode.ASYNC, "forward"), (Mode.ASYNC, "mirror"), (Mode.COPY, "hold")])
async def test_a_queue_that_triggers_a_function_is_not_received_from(
    aws: AwsServer, sqs: Any, aws_client: Clients, mode: Mode, consume: str
) -> None:
    url, arn = await queue(sqs)
    async with triggered(aws_client, arn, enabled=True) as function:
        with pytest.raises(ConfigurationError, match=f"triggers {function}, and each message would go to one"):
            async with connected(aws.endpoint, url, mode, consume=consume):
                pass


async def test_a_held_queue_may_trigger_functions(aws: AwsServer, sqs: Any, aws_client: Clients) -> None:
    url, arn = await queue(sqs)
    async with (
        triggered(aws_client, arn, enabled=True) as function,
        connected(aws.endpoint, url, consume="hold") as source,
    ):
        notes = await found(source, Severity.NOTE)
    assert any(f"triggers {function}, and goes on" in note.message for note in notes)


async def test_a_mapping_that_is_disabled_does_no_harm(aws: AwsServer, sqs: Any, aws_client: Clients) -> None:
    url, arn = await queue(sqs)
    async with triggered(aws_client, arn, enabled=False), connected(aws.endpoint, url, consume="forward") as source:
        assert await found(source, Severity.ERROR) == []


async def test_what_cannot_be_known_of_functions_is_taken_for_the_worst_when_receiving(
    aws: AwsServer, sqs: Any
) -> None:
    _, arn = await queue(sqs)
    async with FaultProxy("127.0.0.1", aws.port) as proxy:
        proxy.inject(Answer(status=403, body=DENIED), path="event-source-mappings")
        async with connected(proxy.endpoint, arn, consume="hold") as source:
            notes = await found(source, Severity.NOTE)
            assert any("cannot be known which functions" in note.message for note in notes)
        with pytest.raises(ConfigurationError, match="Permit lambda:ListEventSourceMappings"):
            async with connected(proxy.endpoint, arn, consume="forward"):
                pass


# --- where messages go that were received too often -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sibling", "severity"),
    [
        (("sqs", "us-east-1", "000000000000", "{dead}"), Severity.OK),
        (("sqs", "", "", "{dead}"), Severity.OK),
        (("sqs", "eu-west-1", "", "{dead}"), Severity.ERROR),
        (("sqs", "us-east-1", "", "other"), Severity.ERROR),
        (("sqs", "us-east-1", "111122223333", "{dead}"), Severity.ERROR),
        (("s3", "{dead}"), Severity.ERROR),
        (None, Severity.ERROR),
    ],
)
async def test_a_dead_letter_queue_must_be_a_pipeline_too(
    aws: AwsServer, sqs: Any, sibling: tuple[str, ...] | None, severity: Severity
) -> None:
    _, dead_arn = await queue(sqs)
    dead = dead_arn.rpartition(":")[2]
    url, _ = await queue(sqs, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 10}))
    siblings = [] if sibling is None else [tuple(part.format(dead=dead) for part in sibling)]
    async with connected(aws.endpoint, url, siblings=siblings) as source:
        (finding,) = [f for f in await source.check() if dead in f.message]
    assert finding.severity is severity


@pytest.mark.parametrize(("receives", "warned"), [(1, True), (4, True), (5, False)])
async def test_few_receives_before_the_dead_letter_queue_are_warned_of(
    aws: AwsServer, sqs: Any, receives: int, *, warned: bool
) -> None:
    _, dead = await queue(sqs)
    url, _ = await queue(sqs, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": receives}))
    async with connected(aws.endpoint, url) as source:
        warnings = await found(source, Severity.WARNING)
    assert any("maxReceiveCount" in warning.fix for warning in warnings) == warned


# --- settings and permissions -----------------------------------------------------------------------------------------


async def test_a_short_retention_is_warned_of(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, MessageRetentionPeriod="3600")
    async with connected(aws.endpoint, url, consume="hold") as source:
        (warning,) = await found(source, Severity.WARNING)
    assert "MessageRetentionPeriod" in warning.fix


async def test_a_key_that_must_be_usable_is_named(aws: AwsServer, sqs: Any) -> None:
    url, _ = await queue(sqs, KmsMasterKeyId="alias/orders")
    async with connected(aws.endpoint, url) as source:
        notes = await found(source, Severity.NOTE)
    assert any("alias/orders" in note.message and "kms:Decrypt" in note.fix for note in notes)


@pytest.mark.parametrize(
    ("operation", "permission"),
    [("DeleteMessage", "sqs:DeleteMessage"), ("ChangeMessageVisibility", "sqs:ChangeMessageVisibility")],
)
async def test_what_is_not_permitted_is_found_without_an_effect(
    aws: AwsServer, sqs: Any, operation: str, permission: str
) -> None:
    _, arn = await queue(sqs)
    async with FaultProxy("127.0.0.1", aws.port) as proxy:
        proxy.inject(Answer(status=403, body=DENIED), headers={"x-amz-target": f"AmazonSQS.{operation}$"})
        async with connected(proxy.endpoint, arn, consume="forward") as source:
            (error,) = await found(source, Severity.ERROR)
    assert error.message.startswith(permission)

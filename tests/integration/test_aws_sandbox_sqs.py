"""What the queue connector relies on in the local SQS, through aiobotocore.

Waits are long polls: they end when something comes.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from integration.aws import queue, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    Clients = Callable[..., AbstractAsyncContextManager[Any]]

LARGE_BODY = "ignore:Sending a large body:ResourceWarning"  # what aiohttp thinks of more than 1 MB
FIFO = {"FifoQueue": "true"}
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793"
ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "ü 😀"},
    "number": {"DataType": "Number", "StringValue": "1.50"},
    "binary": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "custom": {"DataType": "String.json", "StringValue": "{}"},
}


async def receive(sqs: Any, url: str, wait_s: int = 0, most: int = 10) -> list[dict[str, Any]]:
    page = await sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=most,
        WaitTimeSeconds=wait_s,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    messages: list[dict[str, Any]] = page.get("Messages", [])
    return messages


async def delete(sqs: Any, url: str, messages: list[dict[str, Any]]) -> None:
    for message in messages:
        await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


async def counts(sqs: Any, url: str) -> tuple[int, int, int]:
    """Messages that are visible, in flight and delayed."""
    told = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    prefix = "ApproximateNumberOfMessages"
    visible, in_flight, delayed = (int(told[f"{prefix}{suffix}"]) for suffix in ("", "NotVisible", "Delayed"))
    return visible, in_flight, delayed


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


# --- standard queues --------------------------------------------------------------------------------------------------


async def test_a_message_carries_typed_attributes_trace_group_and_times(sqs: Any) -> None:
    url, _ = await queue(sqs)
    sent = await sqs.send_message(
        QueueUrl=url,
        MessageBody="body 😀",
        MessageAttributes=ATTRIBUTES,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}},
        MessageGroupId="tenant",
    )
    (message,) = await receive(sqs, url)
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "body 😀")
    assert message["MessageAttributes"] == ATTRIBUTES
    system = message["Attributes"]
    assert (system["AWSTraceHeader"], system["MessageGroupId"]) == (TRACE, "tenant")
    assert system["ApproximateReceiveCount"] == "1"
    assert int(system["SentTimestamp"]) <= int(system["ApproximateFirstReceiveTimestamp"])


async def test_a_message_comes_back_when_its_visibility_ends(sqs: Any) -> None:
    """Under the same id, with another receipt handle and a higher count."""
    url, _ = await queue(sqs, VisibilityTimeout="2")
    await sqs.send_message(QueueUrl=url, MessageBody="x")
    (first,) = await receive(sqs, url)
    assert await receive(sqs, url) == []
    assert await counts(sqs, url) == (0, 1, 0)
    (second,) = await receive(sqs, url, wait_s=5)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    await delete(sqs, url, [second])
    assert await counts(sqs, url) == (0, 0, 0)


async def test_visibility_is_extended_and_given_back(sqs: Any) -> None:
    url, _ = await queue(sqs, VisibilityTimeout="1")
    await sqs.send_message(QueueUrl=url, MessageBody="x")
    (message,) = await receive(sqs, url)
    held = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    await sqs.change_message_visibility(**held, VisibilityTimeout=60)
    assert await receive(sqs, url, wait_s=2) == []
    await sqs.change_message_visibility(**held, VisibilityTimeout=0)
    assert bodies(await receive(sqs, url)) == ["x"]


async def test_a_batch_fails_by_entry(sqs: Any) -> None:
    url, _ = await queue(sqs)
    await sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(10)])
    handles = [message["ReceiptHandle"] for message in await receive(sqs, url)]
    assert len(handles) == 10
    entries = [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate([*handles[:9], "bogus"])]
    answer = await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Failed"]] == ["9"]
    assert await counts(sqs, url) == (0, 1, 0)


async def test_a_delayed_message_is_counted_and_comes_when_it_is_due(sqs: Any) -> None:
    """Delayed by itself or by the queue; its own delay counts more."""
    url, _ = await queue(sqs, DelaySeconds="1")
    await sqs.send_message(QueueUrl=url, MessageBody="by queue")
    await sqs.send_message(QueueUrl=url, MessageBody="at once", DelaySeconds=0)
    await sqs.send_message(QueueUrl=url, MessageBody="much later", DelaySeconds=900)
    assert bodies(await receive(sqs, url)) == ["at once"]
    assert await counts(sqs, url) == (0, 1, 2)
    assert bodies(await receive(sqs, url, wait_s=5)) == ["by queue"]


async def test_a_long_poll_ends_when_a_message_comes(sqs: Any) -> None:
    url, _ = await queue(sqs)
    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: sqs.send_message(QueueUrl=url, MessageBody="x"))
            assert bodies(await receive(sqs, url, wait_s=20)) == ["x"]


async def test_a_cancelled_poll_still_takes_a_message_which_then_comes_back(sqs: Any) -> None:
    """As at the service, where it may: nobody sees the message until its visibility ends, and it has been counted."""
    url, _ = await queue(sqs, VisibilityTimeout="1")
    with anyio.move_on_after(0.2):
        await receive(sqs, url, wait_s=20)
    await sqs.send_message(QueueUrl=url, MessageBody="x")
    with anyio.fail_after(60):
        while await counts(sqs, url) != (0, 1, 0):
            pass  # until the poll that nobody waits for has taken it
    (message,) = await receive(sqs, url, wait_s=5)
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_a_message_goes_to_the_dead_letter_queue_as_the_policy_says(sqs: Any) -> None:
    """Under its id, with the source named; the policy can be read."""
    dead, dead_arn = await queue(sqs)
    policy = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}
    url, arn = await queue(sqs, VisibilityTimeout="0", RedrivePolicy=json.dumps(policy))
    told = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    assert json.loads(told["Attributes"]["RedrivePolicy"]) == policy
    sent = await sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=ATTRIBUTES)
    assert [bodies(await receive(sqs, url)) for _ in range(3)] == [["x"], ["x"], []]
    (message,) = await receive(sqs, dead)
    assert (message["MessageId"], message["MessageAttributes"]) == (sent["MessageId"], ATTRIBUTES)
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn


@pytest.mark.filterwarnings(LARGE_BODY)
async def test_limits_of_size_and_batch(sqs: Any) -> None:
    url, _ = await queue(sqs)
    await sqs.send_message(QueueUrl=url, MessageBody="x" * 2**20)
    too_long = sqs.send_message(QueueUrl=url, MessageBody="x" * (2**20 + 1))
    assert await refused(too_long) == (400, "InvalidParameterValue")
    entries = [{"Id": str(n), "MessageBody": "x" * 200_000} for n in range(10)]
    too_much = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert (await refused(too_much))[1].endswith("BatchRequestTooLong")


async def test_a_missing_queue_is_named_as_such(sqs: Any) -> None:
    url, _ = await queue(sqs)
    await sqs.delete_queue(QueueUrl=url)
    assert await refused(receive(sqs, url)) == (400, "AWS.SimpleQueueService.NonExistentQueue")


# --- FIFO queues ------------------------------------------------------------------------------------------------------


async def send_in_groups(sqs: Any, url: str, groups: str, count: int) -> None:
    """One message of each group by turns: a0, b0, a1, b1 …"""
    for number in range(count):
        for group in groups:
            body = f"{group}{number}"
            await sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body)


async def test_a_group_waits_for_its_messages_in_flight_and_others_go_on(sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO)
    await send_in_groups(sqs, url, "ab", 3)
    (first,) = await receive(sqs, url, most=1)
    assert first["Body"] == "a0"
    others = await receive(sqs, url)
    assert bodies(others) == ["b0", "b1", "b2"]
    assert await receive(sqs, url) == []
    await delete(sqs, url, [first])
    assert bodies(await receive(sqs, url)) == ["a1", "a2"]


async def test_a_group_keeps_its_order_when_a_message_comes_back(sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO, VisibilityTimeout="1")
    await send_in_groups(sqs, url, "a", 3)
    assert bodies(await receive(sqs, url, most=2)) == ["a0", "a1"]
    again = await receive(sqs, url, wait_s=5)
    assert bodies(again) == ["a0", "a1", "a2"]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in again] == ["2", "2", "1"]
    numbers = [message["Attributes"]["SequenceNumber"] for message in again]
    assert sorted(numbers) == numbers
    assert {message["Attributes"]["MessageGroupId"] for message in again} == {"a"}


async def test_what_is_sent_again_within_the_window_is_dropped(sqs: Any) -> None:
    """By its deduplication id even after the first was deleted, or by a hash of the body alone."""
    url, _ = await queue(sqs, **FIFO, ContentBasedDeduplication="true")
    by_id = {"QueueUrl": url, "MessageGroupId": "g", "MessageDeduplicationId": "1"}
    first = await sqs.send_message(**by_id, MessageBody="x")
    received = await receive(sqs, url)
    assert received[0]["Attributes"]["MessageDeduplicationId"] == "1"
    await delete(sqs, url, received)
    assert (await sqs.send_message(**by_id, MessageBody="y"))["MessageId"] == first["MessageId"]
    assert await receive(sqs, url) == []
    for group in "gh":
        await sqs.send_message(QueueUrl=url, MessageGroupId=group, MessageBody="same")
    assert bodies(await receive(sqs, url)) == ["same"]


async def test_a_failed_message_leaves_its_group_for_the_dead_letter_queue(sqs: Any) -> None:
    dead, dead_arn = await queue(sqs, **FIFO)
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, arn = await queue(sqs, **FIFO, RedrivePolicy=policy)
    await send_in_groups(sqs, url, "a", 2)
    (failed,) = await receive(sqs, url, most=1)
    held = {"QueueUrl": url, "ReceiptHandle": failed["ReceiptHandle"]}
    await sqs.change_message_visibility(**held, VisibilityTimeout=0)
    assert bodies(await receive(sqs, url, wait_s=5)) == ["a1"]
    (message,) = await receive(sqs, dead)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("a0", "a")
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn


async def test_a_message_without_a_group_and_a_delay_of_its_own_are_refused(sqs: Any) -> None:
    url, _ = await queue(sqs, **FIFO)
    message = {"QueueUrl": url, "MessageBody": "x", "MessageDeduplicationId": "1"}
    assert await refused(sqs.send_message(**message)) == (400, "MissingParameter")
    delayed = sqs.send_message(**message, MessageGroupId="g", DelaySeconds=1)
    assert await refused(delayed) == (400, "InvalidParameterValue")


# --- who else reads a queue -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_functions_mapping_on_a_queue_is_listed(sqs: Any, aws_client: Clients, *, enabled: bool) -> None:
    _, arn = await queue(sqs)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "def handler(event, context): return {}")
    name = arn.rpartition(":")[2]
    async with aws_client("lambda") as functions:
        await functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/none",
            Handler="handler.handler",
            Code={"ZipFile": code.getvalue()},
        )
        created = await functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, Enabled=enabled)
        (mapping,) = (await functions.list_event_source_mappings(EventSourceArn=arn))["EventSourceMappings"]
        assert (mapping["UUID"], mapping["State"]) == (created["UUID"], "Enabled" if enabled else "Disabled")
        assert mapping["FunctionArn"].endswith(f":{name}")
        await functions.delete_event_source_mapping(UUID=created["UUID"])
        await functions.delete_function(FunctionName=name)

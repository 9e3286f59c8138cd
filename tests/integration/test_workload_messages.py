"""What the workload sends, the local SQS takes and gives back; what arrives at the local Service Bus is judged."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from azure.servicebus import ServiceBusMessage

from sandbox.workload import Outcome, Sender, awkward_messages, create_queue, receive_all
from sandbox.workload.message_shapes import parameters

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient

    from sandbox.servicebus import ServiceBusServer
    from sandbox.workload import MessageAttribute, Sent

LARGE_BODY = "ignore:Sending a large body:ResourceWarning"  # what aiohttp thinks of more than 1 MB
KINDS = ("", ".fifo")


async def drained(sqs: Any, url: str, wait_s: int = 0) -> list[dict[str, Any]]:
    """Every message of a queue, in the order in which it gives them."""
    received: list[dict[str, Any]] = []
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_s}
    every = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while messages := (await sqs.receive_message(**request, **every)).get("Messages"):
        received += messages
        for message in messages:
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return received


@pytest.fixture(params=KINDS, ids=["standard", "fifo"])
def name(request: pytest.FixtureRequest) -> str:
    return f"queue-{uuid.uuid4().hex}{request.param}"


@pytest.mark.filterwarnings(LARGE_BODY)
async def test_every_awkward_message_is_taken_and_given_back(sqs: Any, name: str) -> None:
    queue = await create_queue(sqs, name)
    sender = Sender(sqs, queue.url)
    for _, message in awkward_messages():
        await sender.send([message])
    received = {message["MessageId"]: message for message in await drained(sqs, queue.url)}
    assert received.keys() == sender.sent.messages.keys()
    for (label, message), (message_id, sent) in zip(awkward_messages(), sender.sent.messages.items(), strict=True):
        given, asked = received[message_id], parameters(message)
        assert given["Body"] == message.body, label
        assert given.get("MessageAttributes") == asked.get("MessageAttributes"), label
        assert given["Attributes"].get("MessageGroupId") == sent.group, label
        assert given["Attributes"].get("AWSTraceHeader") == message.trace, label


async def test_a_queue_has_a_dead_letter_queue_of_its_kind(sqs: Any, name: str) -> None:
    queue = await create_queue(sqs, name, visibility_s=0, max_receives=1)
    assert queue.dead_letter_url.endswith(name.removeprefix(name.partition(".")[0]))
    sender = Sender(sqs, queue.url)
    await sender.run(operations=1)
    for _ in range(2):
        await sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
    dead = {message["MessageId"] for message in await drained(sqs, queue.dead_letter_url)}
    assert dead
    assert dead <= sender.sent.messages.keys()
    told = await sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["RedrivePolicy"])
    assert json.loads(told["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 1


async def test_a_queue_can_be_had_without_a_dead_letter_queue(sqs: Any, name: str) -> None:
    queue = await create_queue(sqs, name, max_receives=None)
    told = await sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])
    assert "RedrivePolicy" not in told["Attributes"]
    assert queue.dead_letter_url == ""


async def test_what_was_sent_is_what_the_queue_gives(sqs: Any, name: str) -> None:
    """Delayed ones too, and each group of a FIFO queue in the order that is remembered."""
    queue = await create_queue(sqs, name)
    sender = Sender(sqs, queue.url, rate_per_s=1e9)
    await sender.run(operations=150)
    received = await drained(sqs, queue.url, wait_s=4)
    assert len(received) == len(sender.sent.messages) == sender.counts.messages
    groups: dict[str | None, list[int]] = {}
    for message in received:
        sent = sender.sent.messages[message["MessageId"]]
        groups.setdefault(sent.group, []).append(sent.number)
    if sender.sent.ordered:
        assert len(groups) == 8
        assert all(numbers == sorted(numbers) for numbers in groups.values())
    else:
        assert sender.counts.delayed > 0


# --- arrivals ---------------------------------------------------------------------------------------------------------


def property_of(attribute: MessageAttribute) -> str | int:
    """What a target might make of an attribute."""
    if isinstance(attribute.value, bytes):
        return base64.b64encode(attribute.value).decode()
    if attribute.type == "Number" and len(attribute.value) < 15:
        return int(attribute.value)
    return attribute.value


async def pass_on(sqs: Any, url: str, bus: ServiceBusClient, queue: str, sent: Sent) -> None:
    """What is to be tested, in its simplest form: receive, then send."""
    async with bus.get_queue_sender(queue) as sender:
        for message in await drained(sqs, url, wait_s=0 if sent.ordered else 4):  # delayed ones come later
            known = sent.messages[message["MessageId"]]
            properties: dict[Any, Any] = {name: property_of(one) for name, one in known.attributes.items()}
            await sender.send_messages(
                ServiceBusMessage(
                    message["Body"],
                    message_id=message["MessageId"],
                    session_id=message["Attributes"].get("MessageGroupId"),
                    application_properties={**properties, "replicator_received": 1},
                )
            )


async def sent_to(sqs: Any, suffix: str) -> tuple[str, Sender]:
    """A queue with messages."""
    queue = await create_queue(sqs, f"queue-{uuid.uuid4().hex}{suffix}")
    sender = Sender(sqs, queue.url, groups=5, rate_per_s=1e9, seed=3)
    await sender.run(operations=40)
    return queue.url, sender


@pytest.mark.parametrize(("suffix", "target"), [(".fifo", "groups"), ("", "orders")])
async def test_what_has_arrived_as_it_was_sent_is_right(
    sqs: Any, bus: ServiceBusClient, broker: ServiceBusServer, suffix: str, target: str
) -> None:
    url, sender = await sent_to(sqs, suffix)
    await pass_on(sqs, url, bus, target, sender.sent)
    outcome = await receive_all(broker.connection_string, target, sender.sent, sessions=target == "groups", quiet_s=0.5)
    assert outcome == Outcome(received=sender.counts.messages)
    assert outcome.is_right
    assert broker.stats()["queues"][target]["active"] == 0
    again = await receive_all(broker.connection_string, target, sender.sent, sessions=target == "groups", quiet_s=0.2)
    assert again.missing == sender.counts.messages


async def test_what_is_wrong_is_found(sqs: Any, bus: ServiceBusClient, broker: ServiceBusServer) -> None:
    url, sender = await sent_to(sqs, ".fifo")
    await pass_on(sqs, url, bus, "groups", sender.sent)
    last = max(sender.sent.messages, key=lambda message_id: sender.sent.messages[message_id].number)
    group = sender.sent.messages[last].group
    async with bus.get_queue_receiver("groups", session_id=group) as receiver:
        (first,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.complete_message(first)
    lost = str(first.message_id)
    async with bus.get_queue_sender("groups") as target:
        for message_id, session in ((lost, group), ("foreign", group), ("foreign", "other")):
            await target.send_messages(ServiceBusMessage("other", message_id=message_id, session_id=session))
        await target.send_messages(ServiceBusMessage("other", message_id=last, session_id=group))
    outcome = await receive_all(broker.connection_string, "groups", sender.sent, sessions=True, quiet_s=0.5)
    assert (outcome.extra, outcome.different, outcome.disordered, outcome.duplicates) == (2, 1, 1, 1)
    assert outcome.missing == 0
    assert f"{lost} came after a later one of group {group}" in outcome.named

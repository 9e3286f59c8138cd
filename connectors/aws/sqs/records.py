"""What SQS delivers, as messages. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.aws.sqs.holding import Received
from connectors.aws.sqs.queue import Queue
from replicator.messages import Attribute, Message, Payload
from replicator.model import Batch, Change, Operation


def batch(
    messages: Sequence[Received],
    payloads: Mapping[str, Payload],
    queue: Queue,
    late: int,
    replicated_through: datetime | None,
) -> Batch[Message]:
    """The batch of one receive; `payloads` by message id. What was delivered twice in it is settled twice."""
    return Batch(
        changes=tuple(change(message, queue, payloads.get(message.receipt.id)) for message in messages),
        replicated_through=replicated_through,
        read=len(messages),
        late=late,
        bytes=sum(_size(message) for message in messages),
        receipts=tuple(message.receipt for message in messages),
    )


def change(received: Received, queue: Queue, payload: Payload | None = None) -> Change[Message]:
    """The delivery of one message."""
    message = _message(received, queue, payload)
    return Change(message.id, Operation.UPSERT, message, message.sequence, message.sent_at, written_at=message.sent_at)


def _message(received: Received, queue: Queue, payload: Payload | None) -> Message:
    system = received.system
    return Message(
        id=received.receipt.id,
        body=received.body,
        sent_at=received.receipt.sent_at,
        attributes={name: _attribute(told) for name, told in received.attributes.items()},
        group=system.get("MessageGroupId"),
        ordered=queue.ordered,
        deduplication_id=system.get("MessageDeduplicationId"),
        sequence=system.get("SequenceNumber", ""),
        trace_header=system.get("AWSTraceHeader"),
        received=int(system.get("ApproximateReceiveCount", 1)),
        queue=queue.name,
        payload=payload,
    )


def _attribute(told: Mapping[str, Any]) -> Attribute:
    kind = str(told["DataType"])
    return Attribute(kind, told["BinaryValue"] if kind.partition(".")[0] == "Binary" else told["StringValue"])


def _size(received: Received) -> int:
    """As the service counts it: the body, and the names, types and values of attributes."""
    attributes = sum(
        len(name.encode())
        + len(told["DataType"])
        + len(told.get("BinaryValue") or told.get("StringValue", "").encode())
        for name, told in received.attributes.items()
    )
    return len(received.body.encode()) + attributes

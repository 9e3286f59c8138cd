"""A queue as the service keeps it, and an `sqs` client that uses it. Time is the loop's.

The client answers as botocore parses it and errs as botocore raises it. Unlike ministack it tells expired receipts from
deleted messages, ends long polls that wait for messages by an event, and can be told to fail.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import anyio

from fakes.streams import AHEAD_S, Answer, Fault, client_error, no_fault
from replicator.clocks import elapsed_s

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
NAME = "orders"
ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
LONGEST_INVISIBLE_S = 43_200


@dataclass
class Stored:
    """One message. `handle` is of the last receive, `taken_at` when that was asked for."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    group: str | None = None
    handle: str | None = None
    taken_at: float = 0.0
    received: int = 0


class StoredQueue:
    """The ground truth."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.ordered = ordered
        self.messages: dict[str, Stored] = {}
        self.sent = 0
        self.arrival = anyio.Event()

    def send(self, *bodies: str, group: str | None = None, delay_s: float = 0.0) -> list[str]:
        """Ids of the new messages."""
        ids = []
        for body in bodies:
            self.sent += 1
            id_ = f"m{self.sent}"
            self.messages[id_] = Stored(id_, body, elapsed_s(), elapsed_s() + delay_s, group)
            ids.append(id_)
        self.arrival.set()
        return ids

    def take(self, most: int, visibility_s: float, asked_at: float) -> list[Stored]:
        """What a receive hands out, as the groups allow."""
        now = elapsed_s()
        busy = {m.group for m in self.messages.values() if m.received and m.visible_at > now} if self.ordered else set()
        taken = [m for m in self.messages.values() if m.visible_at <= now and (not self.ordered or m.group not in busy)]
        for message in taken[:most]:
            message.received += 1
            message.handle = f"{message.id}-{message.received}"
            message.visible_at, message.taken_at = now + visibility_s, asked_at
        return taken[:most]

    def holder(self, handle: str) -> tuple[Stored | None, str]:
        """The message that a receipt still settles, or why it does not."""
        message = self.messages.get(handle.partition("-")[0])
        if message is None or message.handle != handle:
            return None, "ReceiptHandleIsInvalid"
        if message.visible_at <= elapsed_s():
            return None, "InvalidParameterValue"
        return message, ""

    def next_change_s(self) -> float:
        """Seconds until a message can be received that cannot now."""
        now = elapsed_s()
        return min((m.visible_at - now for m in self.messages.values() if m.visible_at > now), default=1e6)


class QueueClient:
    """The calls that a receiver makes. `fault` is asked before the effect, and `lost` names operations whose answer is
    lost once; `damaged` ids whose body is once, `failing` receipts that fail once with a code. With `counts_nothing`
    the counts have not come as far as the messages yet.
    """

    def __init__(self, queue: StoredQueue, *, fault: Fault = no_fault, latency_s: float = 0.0) -> None:
        self.queue = queue
        self.calls: Counter[str] = Counter()
        self.fault = fault
        self.lost: set[str] = set()
        self.damaged: set[str] = set()
        self.failing: dict[str, str] = {}
        self.counts_nothing = False
        self.meta = SimpleNamespace(endpoint_url="https://sqs.eu-west-1.amazonaws.com")
        self.attributes = {
            "QueueArn": ARN,
            "MessageRetentionPeriod": "345600",
            "VisibilityTimeout": "30",
            "DelaySeconds": "0",
            **({"FifoQueue": "true"} if queue.ordered else {}),
        }
        self._latency_s = latency_s

    async def receive_message(self, **parameters: Any) -> Answer:
        asked_at, queue = elapsed_s(), self.queue
        await self._begin("receive_message")
        taken: list[Stored] = []
        with anyio.move_on_after(parameters["WaitTimeSeconds"]):
            while not (taken := self._take(parameters, asked_at)):
                queue.arrival = anyio.Event()
                with anyio.move_on_after(queue.next_change_s()):
                    await queue.arrival.wait()
        answer: Answer = {"Messages": [self._wire(m) for m in taken]} if taken else {}
        return await self._end("receive_message", answer)

    async def delete_message_batch(self, **parameters: Any) -> Answer:
        def delete(message: Stored, _entry: Mapping[str, Any]) -> str:
            del self.queue.messages[message.id]
            return ""

        return await self._batch("delete_message_batch", parameters["Entries"], delete)

    async def change_message_visibility_batch(self, **parameters: Any) -> Answer:
        def change(message: Stored, entry: Mapping[str, Any]) -> str:
            until = elapsed_s() + entry["VisibilityTimeout"]
            if until - message.taken_at > LONGEST_INVISIBLE_S:
                return "InvalidParameterValue"
            message.visible_at = until
            self.queue.arrival.set()
            return ""

        return await self._batch("change_message_visibility_batch", parameters["Entries"], change)

    async def delete_message(self, **_: Any) -> Answer:
        raise client_error("delete_message", "ReceiptHandleIsInvalid")

    async def change_message_visibility(self, **_: Any) -> Answer:
        raise client_error("change_message_visibility", "ReceiptHandleIsInvalid")

    async def get_queue_url(self, **parameters: Any) -> Answer:
        await self._begin("get_queue_url")
        if parameters["QueueName"] != NAME:
            raise client_error("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue")
        return await self._end("get_queue_url", {"QueueUrl": URL})

    async def get_queue_attributes(self, **_: Any) -> Answer:
        await self._begin("get_queue_attributes")
        now, messages = elapsed_s(), [] if self.counts_nothing else list(self.queue.messages.values())
        hidden = [m for m in messages if m.visible_at > now]
        counts = {
            "ApproximateNumberOfMessages": len(messages) - len(hidden),
            "ApproximateNumberOfMessagesNotVisible": sum(m.received > 0 for m in hidden),
            "ApproximateNumberOfMessagesDelayed": sum(m.received == 0 for m in hidden),
        }
        told = {**self.attributes, **{name: str(count) for name, count in counts.items()}}
        return await self._end("get_queue_attributes", {"Attributes": told})

    def _take(self, parameters: Mapping[str, Any], asked_at: float) -> list[Stored]:
        return self.queue.take(parameters["MaxNumberOfMessages"], parameters["VisibilityTimeout"], asked_at)

    async def _batch(self, operation: str, entries: Iterable[Mapping[str, Any]], effect: Any) -> Answer:
        await self._begin(operation)
        entries = list(entries)
        assert 1 <= len(entries) <= 10, "as the service demands"
        answer: Answer = {"Successful": [], "Failed": []}
        for entry in entries:
            code = self.failing.pop(entry["ReceiptHandle"], "")
            message, over = self.queue.holder(entry["ReceiptHandle"])
            code = code or over or (effect(message, entry) if message else "")
            if code:
                answer["Failed"].append({"Id": entry["Id"], "Code": code, "SenderFault": code != "InternalError"})
            else:
                answer["Successful"].append({"Id": entry["Id"]})
        return await self._end(operation, answer)

    async def _begin(self, operation: str) -> None:
        self.calls[operation] += 1
        await anyio.sleep(self._latency_s / 2)
        error = self.fault(operation)
        if error is not None:
            raise error

    async def _end(self, operation: str, answer: Answer) -> Answer:
        await anyio.sleep(self._latency_s / 2)
        if operation in self.lost:
            self.lost.discard(operation)
            raise client_error(operation, "InternalServerError", status=500)
        date = format_datetime(datetime.fromtimestamp(int(elapsed_s() + AHEAD_S), UTC), usegmt=True)
        return {**answer, "ResponseMetadata": {"RequestId": "r", "HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}}

    def _wire(self, message: Stored) -> Answer:
        body = message.body
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        if message.id in self.damaged:
            self.damaged.discard(message.id)
            body = body[:-1] + "?"
        system = {
            "SentTimestamp": str(int((message.sent_at + AHEAD_S) * 1000)),
            "ApproximateReceiveCount": str(message.received),
        }
        if message.group is not None:
            system["MessageGroupId"] = message.group
        return {
            "MessageId": message.id,
            "ReceiptHandle": message.handle,
            "Body": body,
            "MD5OfBody": digest,
            "Attributes": system,
        }

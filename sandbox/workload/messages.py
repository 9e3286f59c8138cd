"""Queues, and a sender that remembers what it has sent."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.workload.calls import Backoff, CallFailure, WorkloadError, is_retryable
from sandbox.workload.message_shapes import NewMessage, parameters, some_message
from sandbox.workload.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.workload.calls import Sqs
    from sandbox.workload.message_shapes import MessageAttribute

FIFO_SUFFIX = ".fifo"
BATCH_MESSAGES = 10  # the service's limit
BATCH_SHARE = 0.2
MAX_RECEIVES = 5


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its dead-letter queue, each by its URL; empty where there is no dead-letter queue."""

    url: str
    dead_letter_url: str


async def create_queue(
    client: Sqs, name: str, *, visibility_s: int = 30, max_receives: int | None = MAX_RECEIVES
) -> Queue:
    """Create a queue, FIFO where its name ends so, whose messages go to a dead-letter queue after `max_receives`.

    That queue is of the same kind, and `-dead` is added to its name; there is none where `max_receives` is None.
    """
    stem = name.removesuffix(FIFO_SUFFIX)
    suffix = name.removeprefix(stem)
    attributes = {"FifoQueue": "true"} if suffix else {}
    dead_letter_url = ""
    settings = {**attributes, "VisibilityTimeout": str(visibility_s)}
    if max_receives is not None:
        dead = await client.create_queue(QueueName=f"{stem}-dead{suffix}", Attributes=attributes)
        dead_letter_url = str(dead["QueueUrl"])
        told = await client.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": told["Attributes"]["QueueArn"], "maxReceiveCount": max_receives}
        settings["RedrivePolicy"] = json.dumps(redrive)
    made = await client.create_queue(QueueName=name, Attributes=settings)
    return Queue(str(made["QueueUrl"]), dead_letter_url)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What is remembered of a message: of its body a digest. `number` grows within a group."""

    body: bytes
    attributes: Mapping[str, MessageAttribute]
    group: str | None
    number: int


@dataclass(slots=True)
class Sent:
    """What a queue has been sent, by message id. `doubtful` counts, by the digest of the body, messages that may be in
    the queue under an id that nobody was told of. `ordered` where groups keep their order.
    """

    ordered: bool = False
    messages: dict[str, SentMessage] = field(default_factory=dict)
    doubtful: Counter[bytes] = field(default_factory=Counter)


@dataclass(slots=True)
class SenderCounts:
    """What a sender has done. `ambiguous` calls failed without saying whether they took effect."""

    messages: int = 0
    batches: int = 0
    delayed: int = 0
    ambiguous: int = 0


def body_digest(body: bytes) -> bytes:
    """Stands for a body, so that bodies need not be remembered."""
    return hashlib.blake2b(body, digest_size=16).digest()


class Sender:
    """Sends messages one at a time or in batches, and remembers them in `sent`, in some hundred bytes each.

    To a FIFO queue each is of one of `groups` groups, and sent again with its deduplication id if need be; to a
    standard queue some are delayed, and one whose sending was ambiguous may be there twice. `space` keeps the
    deduplication ids of senders apart.
    """

    def __init__(
        self,
        client: Sqs,
        queue_url: str,
        *,
        space: str = "sender",
        groups: int = 8,
        rate_per_s: float = 20,
        seed: int = 0,
        retry_for_s: float = 60,
    ) -> None:
        self.counts = SenderCounts()
        self.last_sent_at: datetime | None = None
        self.sent = Sent(ordered=queue_url.endswith(FIFO_SUFFIX))
        self._client = client
        self._url = queue_url
        self._space = space
        self._groups = groups
        self._pace = Pace(rate_per_s)
        self._chance = random.Random(f"{seed}:{space}")
        self._jitter = random.Random(0)  # of its own: errors must not change what is sent
        self._retry_for_s = retry_for_s
        self._number = 0

    def stop(self) -> None:
        """Let run() return after the operation in hand."""
        self._pace.stop()

    async def run(self, *, for_s: float = math.inf, operations: float = math.inf) -> None:
        """Send at the rate until the time or the number of sends, a batch being one, is used up, or stop() is called.

        Raises WorkloadError when the endpoint fails for longer than `retry_for_s`; it may be run again.
        """
        await self._pace.repeat(self._operate, for_s=for_s, operations=operations)

    async def send(self, messages: Sequence[NewMessage]) -> None:
        """Send these, in their order, up to ten in one request; where the queue is FIFO, without delays and in a group.

        Raises WorkloadError as run() does, and where the queue refuses one.
        """
        pending = [self._entry(message) for message in messages]
        digests = [_digest(message) for message in messages]
        self.sent.doubtful.update(digests)  # also when this task is cancelled half-way
        await self._insist(pending)
        self.sent.doubtful.subtract(digests)
        self.sent.doubtful += Counter()  # drops what counts nothing
        self.last_sent_at = datetime.now(UTC)
        self.counts.messages += len(messages)
        self.counts.batches += len(messages) > 1
        self.counts.delayed += sum(not self.sent.ordered and message.delay_s > 0 for message in messages)

    async def _operate(self) -> None:
        count = self._chance.randint(2, BATCH_MESSAGES) if self._chance.random() < BATCH_SHARE else 1
        messages: list[NewMessage] = []
        for _ in range(count):
            group = f"group-{self._chance.randrange(self._groups)}" if self.sent.ordered else None
            messages.append(some_message(self._chance, self._number + len(messages), group))
        await self.send(messages)

    def _entry(self, message: NewMessage) -> tuple[NewMessage, dict[str, Any]]:
        """What is sent, and how that is said."""
        if self.sent.ordered:
            message = replace(message, group=message.group or "none", delay_s=0)
        entry = {"Id": str(self._number), **parameters(message)}
        if self.sent.ordered:
            entry["MessageDeduplicationId"] = f"{self._space}-{self._number}"
        self._number += 1
        return message, entry

    async def _insist(self, pending: list[tuple[NewMessage, dict[str, Any]]]) -> None:
        """Send until all have surely been taken."""
        backoff = Backoff(self._jitter, self._retry_for_s)
        while pending:
            error: BaseException | None = None
            try:
                pending = await self._attempt(pending)
            except CallFailure as failure:
                if not is_retryable(failure):
                    raise
                self.counts.ambiguous += 1
                error = failure
                if not self.sent.ordered:  # a deduplication id would tell
                    self.sent.doubtful.update(_digest(message) for message, _ in pending)
            if pending:
                await backoff.pause(f"sending to {self._url}", error)

    async def _attempt(
        self, pending: list[tuple[NewMessage, dict[str, Any]]]
    ) -> list[tuple[NewMessage, dict[str, Any]]]:
        """Send once; what the queue did not take. Raises WorkloadError for what it never will."""
        if len(pending) == 1:
            message, entry = pending[0]
            single = {name: value for name, value in entry.items() if name != "Id"}
            self._remember(message, entry, await self._client.send_message(QueueUrl=self._url, **single))
            return []
        answer = await self._client.send_message_batch(QueueUrl=self._url, Entries=[entry for _, entry in pending])
        by_id = {entry["Id"]: (message, entry) for message, entry in pending}
        for taken in answer.get("Successful", ()):
            self._remember(*by_id.pop(taken["Id"]), taken)
        for failed in answer.get("Failed", ()):
            if failed["SenderFault"]:
                raise WorkloadError(f"{self._url} refuses a message: {failed.get('Code')}")
        return list(by_id.values())

    def _remember(self, message: NewMessage, entry: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        number = int(answer.get("SequenceNumber") or entry["Id"])
        self.sent.messages[str(answer["MessageId"])] = SentMessage(
            _digest(message), message.attributes, message.group, number
        )


def _digest(message: NewMessage) -> bytes:
    return body_digest(message.body.encode())

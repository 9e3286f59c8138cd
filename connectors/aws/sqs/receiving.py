"""Taking messages from a queue, and answering for them until they are settled.

To receive is to take: nobody else sees a message until its visibility timeout ends, and each receive counts towards the
queue's redrive policy. So there is one receive for each batch that is asked for, none ahead; what was received and
cannot be handed on is given back at once, and what was handed on stays invisible until it is settled.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel

from connectors.aws.calls import Caller
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.holding import Held, Receipt, Received, longest_s, received
from connectors.aws.sqs.parking import Parked, parked_s
from connectors.aws.sqs.queue import Queue, read_counts
from connectors.aws.sqs.queue_time import Counts, QueueTime
from connectors.aws.sqs.sdk import ReceivingClient
from connectors.aws.sqs.settling import MOST_MESSAGES, Settling
from replicator.clocks import elapsed_s
from replicator.delivery import retrying
from replicator.errors import TransientError
from replicator.telemetry import PipelineTelemetry

LONGEST_WAIT_S = 20
"""A receive waits no longer for messages."""

ANSWER_S = 8.0
"""A receive that has not been answered so long after its wait is given up."""

READ_TIMEOUT_S = LONGEST_WAIT_S + ANSWER_S
"""For the client: a long poll says nothing while it waits."""

CLOSING_S = 5.0
"""What is given back at an end is given back within this, or comes again when its visibility timeout ends."""

COUNTS_INTERVAL_S = 10.0
"""The service's counts are read so often while something is received, by whoever asks for them."""

RENEWAL_PAUSE_S = 0.1
"""Between two requests that keep parked messages invisible, a batch each: they take no more than ten a second."""


class Receiver:
    """Takes from one queue for any number of partitions; `keep` must run meanwhile. `expired` counts receipts that
    were over before they were settled: those messages come again, or were deleted by a call whose answer was lost.

    `visibility_s` is how long a message stays invisible at first and after each extension, `wait_s` how long a receive
    waits for messages, both in seconds. `time` is told everything that proves something about time.
    """

    def __init__(
        self,
        caller: Caller,
        client: ReceivingClient,
        queue: Queue,
        telemetry: PipelineTelemetry,
        time: QueueTime,
        *,
        wait_s: int,
        visibility_s: int,
        counts_interval_s: float = COUNTS_INTERVAL_S,
    ) -> None:
        self.expired = 0
        self.queue = queue
        self.time = time
        self._caller = caller
        self._settling = Settling(caller, queue.url, telemetry)
        self._client = client
        self._telemetry = telemetry
        self._wait_s = wait_s
        self._visibility_s = visibility_s
        self._counts_interval_s = counts_interval_s
        self._counts_at = float("-inf")
        self._held = Held(visibility_s)
        self._parked = Parked()
        self._deleting: set[str] = set()
        self._changing = anyio.Lock()

    @property
    def unsettled(self) -> int:
        """How many messages were handed on and are not settled."""
        return len(self._held)

    @property
    def parked(self) -> int:
        """How many rejected messages are kept invisible."""
        return len(self._parked.invisible(elapsed_s()))

    @property
    def _in_flight(self) -> int:
        return self._held.in_flight + self.parked

    async def receive(self, by: str) -> tuple[list[Received], int]:
        """What one receive brings to the partition `by`, maybe nothing; and how many of it are late.

        The messages are the caller's once this returns. When it is cancelled, an attempt that is under way is waited
        for, and what it brings is given back: a message that was taken for nobody would be missed for its whole
        visibility timeout. Raises AwsRefusal.
        """
        await self._count_when_due()
        behind = self._behind()
        self.time.asking(by)
        try:
            messages, asked_at = await self._taken(by)
            await self._unless_cancelled(messages)
        except BaseException:
            self._unclear(by)
            self.time.left(by)
            raise
        behind = min(filter(None, (behind, self._behind())), default=None)
        return messages, self._hand_on(messages, by, self._caller.clock.earliest(asked_at), behind)

    def claim(self, by: str) -> datetime | None:
        """What may be claimed with the next batch of a partition, given that all it was handed is durable by then."""
        return self.time.claim(self._held.oldest(besides=by))

    def oldest_unsettled(self) -> datetime | None:
        """When the oldest message was sent that was handed on and is not settled."""
        return self._held.oldest()

    async def counts(self) -> Counts:
        """What the service counts now. Raises AwsRefusal."""
        self._counts_at = asked_at = elapsed_s()
        counts = await read_counts(self._caller, self._client, self.queue)
        self.time.counted(self._caller.clock.earliest(asked_at), counts, self._in_flight)
        return counts

    async def settle(self, receipts: Sequence[Receipt]) -> None:
        """Deletes these messages; returns when each is gone or its receipt was over. Raises AwsRefusal."""
        handles = {receipt.handle for receipt in receipts}
        self._deleting |= handles
        try:
            self._lose(
                await self._settling.each(self._client.delete_message_batch, [(receipt, {}) for receipt in receipts])
            )
        finally:
            self._deleting -= handles
        for receipt in receipts:
            self._held.drop(receipt)

    async def give_back(self, receipts: Sequence[Receipt]) -> None:
        """Lets everybody receive these messages again, at once. Raises AwsRefusal."""
        await self._change([(receipt, 0) for receipt in receipts])
        for receipt in receipts:
            self._held.drop(receipt)

    async def park(self, receipts: Sequence[Receipt]) -> None:
        """Keeps these messages invisible from now on without working on them, until they are asked for, or for as long
        as the service allows. Raises AwsRefusal.

        What is too much to remember is made invisible for all of that time at once.
        """
        now = elapsed_s()
        over = await self._change([(r, parked_s(r, now)) for r in receipts if parked_s(r, now) > 0])
        self._lose(over)
        forgotten: list[Receipt] = []
        for receipt in receipts:
            self._held.drop(receipt)
            if receipt not in over:
                forgotten += self._parked.add(receipt, now)
        now = elapsed_s()
        await self._change([(r, longest_s(r, now)) for r in forgotten if longest_s(r, now) > 0])

    async def redeliver(self, ids: Collection[str]) -> None:
        """Lets these be received again if they are parked, with those parked in their groups. Raises AwsRefusal."""
        receipts = self._parked.of(ids)
        self._parked.let_go(receipts, elapsed_s())
        await self._change([(receipt, 0) for receipt in receipts])

    async def unpark(self) -> None:
        """Lets everybody receive what is parked: at once where that is possible soon, else within minutes."""
        now = elapsed_s()
        receipts = self._parked.invisible(now)
        self._parked.let_go(receipts, now)
        await self._let_go(receipts)

    async def keep(self) -> None:
        """Keeps what was handed on, and what is parked, invisible. Runs for as long as anything is received.

        Raises AwsRefusal.
        """
        while True:
            await self._extend()
            await self._renew()
            now = elapsed_s()
            parked_pause_s = max(RENEWAL_PAUSE_S, self._parked.pause_s(now))
            await anyio.sleep(max(0.0, min(self._held.pause_s(now), parked_pause_s)))

    async def close(self) -> None:
        """Gives back what is not settled, and what is parked: whoever receives next may be able to take it, and could
        not ask for it. Call it once `keep` has ended; bounded in time.
        """
        await self._let_go([*self._held.kept(), *self._parked.invisible(elapsed_s())])

    async def _taken(self, by: str) -> tuple[list[Received], float]:
        async def attempt() -> tuple[list[tuple[Received, bool]], float]:
            asked_at = elapsed_s()
            with anyio.CancelScope(shield=True):  # bounded by the time that the attempt is given
                answer = await self._caller.once(self._client.receive_message, self._request(), self._wait_s + ANSWER_S)
            return self._parsed(answer.get("Messages", []), asked_at), asked_at

        def failed(error: TransientError) -> None:
            self._unclear(by)
            self._telemetry.source_failed(error)

        messages, asked_at = await retrying(attempt, failed)
        return self._whole(messages), asked_at

    def _unclear(self, by: str) -> None:
        """A receive may have taken messages that nobody sees."""
        self.time.unclear(by, self._caller.clock.latest() + timedelta(seconds=self._visibility_s))

    def _request(self) -> Mapping[str, object]:
        return {
            "QueueUrl": self.queue.url,
            "MaxNumberOfMessages": MOST_MESSAGES,
            "WaitTimeSeconds": self._wait_s,
            "VisibilityTimeout": self._visibility_s,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }

    def _parsed(self, messages: Sequence[Mapping[str, Any]], asked_at: float) -> list[tuple[Received, bool]]:
        """Each with whether its body is the one that the service has."""
        try:
            return [(received(m, asked_at, ordered=self.queue.ordered), _is_whole(m)) for m in messages]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TransientError("receive_message: an answer of another shape") from error

    def _whole(self, messages: Sequence[tuple[Received, bool]]) -> list[Received]:
        """Those that were not damaged on the way. The others, and those behind them in their groups, come again when
        their visibility timeout ends.
        """
        found: list[Received] = []
        groups: set[str | None] = set()
        for taken, is_whole in messages:
            if not is_whole:
                self._telemetry.source_failed(TransientError("receive_message: a body was damaged on the way"))
                groups.add(taken.receipt.group or taken.receipt.id)
            elif taken.receipt.group not in groups:
                found.append(taken)
        return found

    async def _unless_cancelled(self, messages: Sequence[Received]) -> None:
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
        except anyio.get_cancelled_exc_class():
            await self._let_go([message.receipt for message in messages])
            raise

    async def _let_go(self, receipts: Sequence[Receipt]) -> None:
        """Gives back as far as that is possible: what is not comes again by itself."""
        with anyio.move_on_after(CLOSING_S, shield=True), suppress(AwsRefusal):
            await self.give_back(receipts)

    def _behind(self) -> datetime | None:
        """When the oldest message was sent that others wait for, which nobody can receive meanwhile."""
        if not self.queue.ordered:
            return None
        return min(filter(None, (self._held.oldest(), self._parked.oldest(elapsed_s()))), default=None)

    def _hand_on(self, messages: list[Received], by: str, asked_at: datetime, behind: datetime | None) -> int:
        """What was parked is older than what was claimed without contradicting it."""
        if not messages:
            self.time.empty(by, asked_at, behind)
            return 0
        receipts = [message.receipt for message in messages]
        for receipt in receipts:
            self._held.add(receipt, by)
        self.time.holding(asked_at, self._in_flight)
        sent = [r.sent_at for r in receipts if not self._parked.back(r.id)]
        return self.time.received(by, sent, asked_at, behind)

    async def _count_when_due(self) -> None:
        if elapsed_s() - self._counts_at >= self._counts_interval_s:
            await self.counts()

    async def _extend(self) -> None:
        """What is due is looked at when nothing else changes timeouts: no message that was just parked is extended."""
        async with self._changing:
            now = elapsed_s()
            due = self._held.due(now)
            ended = [receipt for receipt, seconds in due if seconds <= 0]
            over = await self._set_timeouts([(receipt, seconds) for receipt, seconds in due if seconds > 0])
            for receipt, _ in due:
                self._held.extended(receipt, now)
            self._lose([*ended, *(r for r in over if r.handle not in self._deleting)])

    async def _renew(self) -> None:
        """One batch of what is parked; what the service has let go is not hidden again."""
        async with self._changing:
            now = elapsed_s()
            due = self._parked.due(now, MOST_MESSAGES)
            over = await self._set_timeouts(due)
            for receipt, seconds in due:
                if receipt not in over:
                    self._parked.renewed(receipt, now, seconds)
            self._parked.let_go(over, now)

    async def _change(self, timeouts: Sequence[tuple[Receipt, int]]) -> list[Receipt]:
        """Sets visibility timeouts, and nobody else meanwhile. Returns those whose receipt is over."""
        async with self._changing:
            return await self._set_timeouts(timeouts)

    async def _set_timeouts(self, timeouts: Sequence[tuple[Receipt, int]]) -> list[Receipt]:
        entries = [(receipt, {"VisibilityTimeout": seconds}) for receipt, seconds in timeouts]
        return await self._settling.each(self._client.change_message_visibility_batch, entries)

    def _lose(self, receipts: Sequence[Receipt]) -> None:
        """The service delivers these again, whatever we do, or has deleted them by a call whose answer was lost."""
        lost = sum(self._held.lose(receipt) for receipt in receipts)
        if lost:
            self.expired += lost
            self._telemetry.log.warning(
                "receipts are over: these messages come again, or were deleted before", messages=lost
            )


def _is_whole(message: Mapping[str, Any]) -> bool:
    """Whether the body is the one that the service has; botocore does not compare it."""
    digest = hashlib.md5(message["Body"].encode(), usedforsecurity=False).hexdigest()
    return bool(message.get("MD5OfBody", digest) == digest)

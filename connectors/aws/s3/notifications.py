"""The changes of a bucket, by the notifications that come to a queue."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import datetime

from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.event_time import EventTime
from connectors.aws.s3.events import NoNotificationError, ObjectEvent, read_notification
from connectors.aws.sqs.holding import Receipt, Received
from connectors.aws.sqs.receiving import Receiver
from replicator.errors import PositionLostError
from replicator.model import Batch, Change, Depth, Operation, Partition, Resume
from replicator.objects import StoredObject
from replicator.telemetry import PipelineTelemetry

ELSEWHERE = "an event of another bucket or prefix"


class Notifications:
    """Receives for any number of partitions. What concerns nothing of ours is settled with the rest, and counted in
    `ignored` by what it was: it must hold nothing up.
    """

    def __init__(
        self, receiver: Receiver, bucket: str, prefix: str, time: EventTime, telemetry: PipelineTelemetry
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self._receiver = receiver
        self._bucket = bucket
        self._prefix = prefix
        self._time = time
        self._telemetry = telemetry

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[StoredObject], None]:
        """One batch a receive, endless; empty ones prove time. Raises PositionLostError when the queue is gone."""
        self._receiver.time.resume(self._time.resume(resume.replicated_through))
        while True:
            try:
                messages, _ = await self._receiver.receive(partition.id)
            except AwsRefusal as refusal:
                raise PositionLostError(
                    f"queue {self._receiver.queue.name} cannot be received from ({refusal.code}), so changes go "
                    "unnoticed. Mend it, then run once with --adopt, which repairs what was missed"
                ) from refusal
            yield self._batch(messages, partition)

    async def settle(self, batch: Batch[StoredObject]) -> None:
        """Deletes its messages, those of dead letters too: what these stand for is looked up when they are retried."""
        with suppress(AwsRefusal):  # whoever receives meets the same refusal
            await self._receiver.settle([receipt for receipt in batch.receipts if isinstance(receipt, Receipt)])

    async def keep(self) -> None:
        """Keeps messages that are worked on from others; runs for as long as anything is received."""
        with suppress(AwsRefusal):
            await self._receiver.keep()

    async def close(self) -> None:
        """Gives back what is not settled, once `keep` has ended."""
        await self._receiver.close()

    async def depth(self) -> Depth | None:
        """What waits in the queue; None where it does not say."""
        try:
            counts = await self._receiver.counts()
        except AwsRefusal:
            return None
        return Depth(counts.visible, counts.in_flight, counts.delayed)

    def _batch(self, messages: Sequence[Received], partition: Partition) -> Batch[StoredObject]:
        happened = [found for message in messages for found in self._events(message)]
        late = self._time.events([at for _, at, _ in happened])
        first: dict[str, datetime] = {}
        written: dict[str, datetime] = {}
        for key, at, by_service in happened:
            first[key] = min(at, first.get(key, at))
            if not by_service:
                written[key] = max(at, written.get(key, at))
        return Batch(
            changes=tuple(_look(key, at, written.get(key)) for key, at in first.items()),
            replicated_through=self._time.claim(self._receiver.claim(partition.id)),
            read=len(happened),
            late=late,
            receipts=tuple(message.receipt for message in messages),
        )

    def _events(self, message: Received) -> list[tuple[str, datetime, bool]]:
        """What happened to objects of ours, when, and whether by itself.

        An event that does not say when happened before it was sent.
        """
        events: Sequence[ObjectEvent]
        try:
            events = read_notification(message.body)
        except NoNotificationError as error:
            self._ignore(str(error))
            events = error.read
        ours = [event for event in events if self._is_ours(event)]
        if len(ours) < len(events):
            self._ignore(ELSEWHERE)
        return [(event.key, event.at or message.receipt.sent_at, event.by_service) for event in ours]

    def _is_ours(self, event: ObjectEvent) -> bool:
        return event.bucket == self._bucket and event.key.startswith(self._prefix)

    def _ignore(self, what: str) -> None:
        """Says so less and less often, for there may be many."""
        self.ignored[what] += 1
        count = self.ignored[what]
        if count & (count - 1) == 0:
            self._telemetry.log.warning(
                "messages that are no notifications of this bucket are deleted", what=what, messages=count
            )


def _look(key: str, at: datetime, written_at: datetime | None) -> Change[StoredObject]:
    return Change(key, Operation.LOOK, StoredObject(key), committed_at=at, written_at=written_at)

"""An SQS queue as a source: its messages, taken while the target takes them, and deleted when it has."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import anyio

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.errors import AwsRefusal
from connectors.aws.metrics import MetricsUnknownError
from connectors.aws.sqs.check import check_queue, not_yet, unread
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.consumers import OldestAge, elsewhere, require_alone
from connectors.aws.sqs.draining import Drain
from connectors.aws.sqs.estimating import average_bytes, queue_figures, sent_messages
from connectors.aws.sqs.holding import Receipt
from connectors.aws.sqs.payloads import Payloads, open_payloads
from connectors.aws.sqs.places import queue_name, require_unshared
from connectors.aws.sqs.planning import planned_of_queue
from connectors.aws.sqs.queue import MISSING, Queue, find_queue
from connectors.aws.sqs.queue_time import Counts, QueueTime
from connectors.aws.sqs.receiving import READ_TIMEOUT_S, Receiver
from connectors.aws.sqs.records import batch as batch_of
from connectors.aws.sqs.sdk import MetricsClient, QueueClient
from replicator.clocks import ServiceClock
from replicator.errors import PositionLostError
from replicator.estimate.figures import CHANGES_UNKNOWN, SourceFigures
from replicator.messages import DeliveringSource, Message
from replicator.model import Batch, Change, Depth, Finding, Mode, Partition, Resume, Size
from replicator.planning.model import Intended
from replicator.registry import SourceContext

HELD_LOOK_S = 1.0
"""How often a receiver looks whether the queue is still held."""


class SqsSource(DeliveringSource[Message]):
    """See `replicator.ports.Source`. Usable once connected; `keep` must run meanwhile."""

    def __init__(
        self,
        config: SqsSourceConfig,
        context: SourceContext,
        client: QueueClient,
        metrics: MetricsClient,
        payloads: Payloads | None = None,
    ) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._metrics = metrics
        self._payloads = payloads
        self._caller = _caller(context)
        self._is_connected = anyio.Event()
        self._receiver: Receiver | None = None
        self._oldest: OldestAge | None = None
        self._drain: Drain | None = None
        self._taking: bool | None = None
        self._switching = anyio.Lock()

    @property
    def clock(self) -> ServiceClock:
        return self._caller.clock

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self._client.meta.endpoint_url, *((self._payloads.endpoint,) if self._payloads else ()))

    @property
    def key_names(self) -> tuple[str, ...]:
        return ()

    @property
    def ordered_groups(self) -> bool:
        return self._queue.ordered

    @property
    def retention(self) -> timedelta | None:
        return self._queue.retention

    @property
    def settling(self) -> timedelta:
        """The counts must be older than what they are to prove, twice over."""
        counts_s = self._config.counts_lag_s
        return timedelta(seconds=self._config.idle_margin_s + 2 * counts_s)

    @property
    def receives(self) -> bool:
        """Whether messages are taken at all."""
        if self._taking is not None:
            return self._taking
        return self._context.mode is Mode.COPY or self._config.consume != "hold"

    async def connect(self) -> None:
        config, where, telemetry = self._config, self._context.where, self._context.telemetry
        require_unshared(config.place, self._context.siblings, f"{where}.queue")
        queue = await find_queue(self._caller, self._client, config.queue, f"{where}.queue")
        if self.receives:
            await require_alone(_caller(self._context), config, queue, where)
        self._warn(queue)
        lag = timedelta(seconds=config.counts_lag_s)
        self._receiver = Receiver(
            self._caller,
            self._client,
            queue,
            telemetry,
            QueueTime(timedelta(seconds=config.idle_margin_s), counts_lag=lag),
            wait_s=config.wait_s,
            visibility_s=config.visibility_timeout_s,
        )
        self._drain = Drain(self._receiver, telemetry, config.counts_lag_s)
        self._oldest = OldestAge(_caller(self._context), self._metrics, queue.name, self.clock)
        self._is_connected.set()

    async def size(self) -> Size:
        with self._while_it_exists():
            counts = await self._connected.counts()
        return Size(records=counts.messages)

    async def copy_partitions(self) -> tuple[Partition, ...]:
        """A copy that begins anew finds the end anew."""
        if self._context.mode is not Mode.COPY:
            return ()
        self._draining.busy()
        return self._partitions(bounded=True)

    async def follow_partitions(self) -> tuple[Partition, ...]:
        follows = self.receives and self._context.mode is not Mode.COPY
        return self._partitions(bounded=False) if follows else ()

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Message], None]:
        """One receive for each batch that is asked for, so that nothing is taken while the target takes nothing."""
        receiver = self._connected
        receiver.time.resume(resume.replicated_through)
        while not (partition.bounded and self._draining.over):
            if not self.receives:
                yield Batch((), pause_s=HELD_LOOK_S)
                continue
            with self._while_it_exists():
                messages, late = await receiver.receive(partition.id)
                if not self.receives:  # it was held again meanwhile
                    await receiver.give_back([message.receipt for message in messages])
                    continue
                if partition.bounded and not messages:
                    await self._draining.look()
                    continue
            self._draining.busy()
            payloads = await self._payloads.of(messages) if self._payloads else {}
            yield batch_of(messages, payloads, self._queue, late, receiver.claim(partition.id))

    def can_move(self, partition: Partition) -> bool:
        """Receivers prove time together, by what any of them has in hand."""
        return False

    async def settle(self, batch: Batch[Message], rejected: Collection[str]) -> None:
        """Deletes what the target has; what it rejected stays invisible for as long as the service allows, unless the
        queue was held again meanwhile.
        """
        receipts = cast("tuple[Receipt, ...]", batch.receipts)
        with self._while_it_exists():
            refused = [receipt for receipt in receipts if receipt.id in rejected]
            await (self._connected.park(refused) if self.receives else self._connected.give_back(refused))
            await self._connected.settle([receipt for receipt in receipts if receipt.id not in rejected])

    async def redeliver(self, keys: Collection[str]) -> bool:
        with self._while_it_exists():
            await self._connected.redeliver(keys)
        return True

    async def take(self, taking: bool | None) -> None:
        """The last one asked wins, however long an earlier one looks who else receives. What is parked in a queue that
        is held is anybody's again.
        """
        async with self._switching:
            if taking and not self.receives:
                await require_alone(_caller(self._context), self._config, self._queue, self._context.where)
            self._taking = taking
            if not self.receives:
                await self._connected.unpark()

    async def unfinished(self) -> list[str]:
        """Nothing but what can be counted: messages that are delayed."""
        return []

    async def depth(self) -> Depth | None:
        with self._while_it_exists():
            counts = await self._connected.counts()
        age_s = await self._oldest_age_s(counts)
        parked = min(self._connected.parked, counts.in_flight)
        return Depth(counts.visible, counts.in_flight, counts.delayed, age_s, held=not self.receives, parked=parked)

    async def sample(self, count: int) -> list[Change[Message]]:
        return []

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedSource`."""
        return planned_of_queue(self._queue.name, receives=self.receives)

    async def figures(self, sample: Sequence[Change[Message]]) -> SourceFigures:
        """See `replicator.estimate.figures.SurveyedSource`."""
        with self._while_it_exists():
            counts = await self._connected.counts()
        asked = (_caller(self._context), self._metrics, self.clock.latest(), self._queue.name)
        notes: tuple[str, ...] = ()
        sent = None
        try:
            sent = await sent_messages(*asked)
        except MetricsUnknownError as error:
            notes = (f"{CHANGES_UNKNOWN}: {error}",)
        size_bytes = await average_bytes(*asked)
        found = queue_figures(self._config, self._context.mode, counts.messages, sent=sent, message_bytes=size_bytes)
        return replace(found, notes=(*found.notes, *notes))

    async def check(self) -> list[Finding]:
        findings = await check_queue(
            self._caller, self._client, self._config, self._queue, self._context, receives=self.receives
        )
        payloads = await self._payloads.check(self._context.where) if self._payloads else []
        return findings + (payloads if self.receives else [not_yet(finding) for finding in payloads])

    async def keep(self) -> None:
        """Keeps what is being worked on invisible to others, from when it is connected."""
        await self._is_connected.wait()
        try:
            await self._connected.keep()
        except AwsRefusal as refusal:  # whoever receives reports it
            self._context.telemetry.log.warning("messages are no longer kept invisible", reason=str(refusal))

    async def close(self) -> None:
        """Gives back what was received and is not settled."""
        if self._receiver is not None:
            await self._receiver.close()

    def _warn(self, queue: Queue) -> None:
        """No error of a run: it may be on purpose, and `check` calls it one."""
        if queue.redrive is not None and unread(queue, self._context):
            self._context.telemetry.log.warning(
                "messages that are received too often go to a queue that no pipeline of this migration reads",
                dead_letter_queue=queue_name(queue.redrive.arn),
                receives=queue.redrive.most_receives,
            )

    async def _oldest_age_s(self, counts: Counts) -> float | None:
        """By what is received, else by CloudWatch, which is late."""
        if not counts.messages:
            return 0.0
        seen = self._connected.oldest_unsettled() if self.receives else None
        if seen is not None:
            return max(0.0, (self.clock.latest() - seen).total_seconds())
        assert self._oldest is not None  # noqa: S101 — made with the receiver
        return await self._oldest.read()

    def _partitions(self, *, bounded: bool) -> tuple[Partition, ...]:
        return tuple(Partition(f"receiver-{number}", bounded) for number in range(self._config.receivers))

    @contextmanager
    def _while_it_exists(self) -> Iterator[None]:
        try:
            yield
        except AwsRefusal as refusal:
            if refusal.code not in MISSING:
                raise
            raise PositionLostError(
                f"queue {self._queue.name} is gone, with every message that was in it. If it was deleted on purpose, "
                "remove the pipeline; if it was made anew, start again"
            ) from refusal

    @property
    def _connected(self) -> Receiver:
        assert self._receiver is not None, "connect comes first"  # noqa: S101
        return self._receiver

    @property
    def _queue(self) -> Queue:
        return self._connected.queue

    @property
    def _draining(self) -> Drain:
        assert self._drain is not None, "connect comes first"  # noqa: S101
        return self._drain


def _caller(context: SourceContext) -> Caller:
    """One for each service, whose clocks may differ. A queue has no budget: its reads cost production nothing."""
    return Caller(context.where, context.telemetry, YieldingBudget(1.0))


@asynccontextmanager
async def open_source(config: SqsSourceConfig, context: SourceContext) -> AsyncIterator[SqsSource]:
    """A source with clients of its own. On leaving, what is not settled is given back, within seconds."""
    async with (
        open_client("sqs", config, context.where, read_timeout_s=READ_TIMEOUT_S) as client,
        open_client("cloudwatch", elsewhere(config), context.where) as metrics,
        open_payloads(config, context) as payloads,
    ):
        source = SqsSource(config, context, client, metrics, payloads)
        try:
            async with _running(source.keep):
                yield source
        finally:
            await source.close()


@asynccontextmanager
async def _running(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs `work` meanwhile, and cancels it at the end. What the body raises is raised as it is, not in a group."""
    failures: list[Exception] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 — raised again below
            failures.append(error)
        tasks.cancel_scope.cancel()
    for failure in failures:
        raise failure

"""A scripted queue with ordered groups, and a target that passes messages on: source and sink of a whole pipeline."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from fakes.memory import MemoryService
from fakes.rig import LIFETIME_S, NAME, TIMEOUT_S, Crash
from fakes.stores import InlineStore
from replicator.clocks import ServiceClock, elapsed_s
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.engine.pipeline import Pipeline, PipelineOptions
from replicator.messages import DeliveringSource, Message, PassingTarget
from replicator.model import Batch, Change, Depth, Finding, Mode, Operation, Partition, Rejection, Resume, Rule, Size
from replicator.telemetry import Metrics, PipelineTelemetry

VISIBILITY_S = 10.0


@dataclass
class Waiting:
    """A message in the queue."""

    message: Message
    visible_at: float = 0.0
    received: int = 0


@dataclass
class ScriptedQueue:
    """Messages in the order in which they were sent; of a group only the first can be received."""

    rng: random.Random
    waiting: dict[str, Waiting] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    visibility_s: float = VISIBILITY_S

    def send(self, group: str | None = None, body: str = "") -> str:
        """A message of its own; its id."""
        id_ = f"m{len(self.sent)}"
        sent_at = datetime.fromtimestamp(elapsed_s(), UTC)
        message = Message(id_, body or f"body of {id_}", sent_at, group=group, ordered=True)
        self.sent.append(message)
        self.waiting[id_] = Waiting(message)
        return id_

    def receive(self, most: int) -> list[Message]:
        """Runs of groups that nobody is working on."""
        busy = {w.message.group for w in self.waiting.values() if w.visible_at > elapsed_s()} - {None}
        free = [w for w in self.waiting.values() if w.visible_at <= elapsed_s() and w.message.group not in busy]
        for waiting in free[:most]:
            waiting.visible_at = elapsed_s() + self.visibility_s
            waiting.received += 1
        return [waiting.message for waiting in free[:most]]


class QueueSource(DeliveringSource[Message]):
    """Receives until drained (mode copy) or for ever. What it `claims` is true: it sees into the queue."""

    def __init__(
        self, queue: ScriptedQueue, mode: Mode, *, held: bool = False, pause_s: float = 0.5, claims: bool = False
    ) -> None:
        self.clock = ServiceClock()
        self.endpoints: tuple[str, ...] = ()
        self.key_names: tuple[str, ...] = ()
        self.ordered_groups = True
        self.retention: timedelta | None = timedelta(days=4)
        self.settling = timedelta(0)
        self._queue = queue
        self._mode = mode
        self._held = held
        self._taking: bool | None = None
        self._pause_s = pause_s
        self._claims = claims
        self._parked: set[str] = set()
        self.receivers = 2

    async def connect(self) -> None:
        self.clock.observe(datetime.fromtimestamp(int(elapsed_s()), UTC), elapsed_s(), elapsed_s())

    @property
    def _is_held(self) -> bool:
        return self._held if self._taking is None else not self._taking

    async def size(self) -> Size:
        return Size(records=len(self._queue.waiting))

    async def copy_partitions(self) -> tuple[Partition, ...]:
        return self._receivers(bounded=True) if self._mode is Mode.COPY else ()

    async def follow_partitions(self) -> tuple[Partition, ...]:
        return () if self._is_held else self._receivers(bounded=False)

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Message], None]:
        while not (partition.bounded and self._is_over):
            await anyio.sleep(0.05)
            if self._is_held:
                yield Batch((), pause_s=self._pause_s)
                continue
            messages = self._queue.receive(self._queue.rng.randint(1, 4))
            changes = tuple(
                Change(m.id, Operation.UPSERT, m, committed_at=m.sent_at, written_at=m.sent_at) for m in messages
            )
            ids = tuple(m.id for m in messages)
            through = self._through(ids) if self._claims else None
            yield Batch(changes, None, through, read=len(ids), receipts=ids, pause_s=0.0 if ids else self._pause_s)

    @property
    def _is_over(self) -> bool:
        """Nothing is left but what is parked, and what waits behind that in its group."""
        groups = {w.message.group for id_, w in self._queue.waiting.items() if id_ in self._parked} - {None}
        return all(id_ in self._parked or w.message.group in groups for id_, w in self._queue.waiting.items())

    def can_move(self, partition: Partition) -> bool:
        """Receivers prove time together."""
        return False

    async def settle(self, batch: Batch[Message], rejected: Collection[str]) -> None:
        await anyio.sleep(0.02)
        for id_ in batch.receipts:
            if id_ not in rejected:
                self._queue.waiting.pop(str(id_), None)
            elif str(id_) in self._queue.waiting:
                self._queue.waiting[str(id_)].visible_at = elapsed_s() + 1000.0
                self._parked.add(str(id_))

    async def redeliver(self, keys: Collection[str]) -> bool:
        for key in keys:
            if key in self._queue.waiting:
                self._queue.waiting[key].visible_at = 0.0
                self._parked.discard(key)
        return True

    async def take(self, taking: bool | None) -> None:
        self._taking = taking

    async def unfinished(self) -> list[str]:
        return []

    async def depth(self) -> Depth | None:
        flying = sum(w.visible_at > elapsed_s() for w in self._queue.waiting.values())
        oldest = min((w.message.sent_at.timestamp() for w in self._queue.waiting.values()), default=elapsed_s())
        age_s, parked = elapsed_s() - oldest, len(self._parked & self._queue.waiting.keys())
        return Depth(len(self._queue.waiting) - flying, flying, 0, age_s, held=self._is_held, parked=parked)

    async def sample(self, count: int) -> list[Change[Message]]:
        return []

    async def check(self) -> list[Finding]:
        return []

    def _through(self, handed_out: Collection[str]) -> datetime:
        """When the oldest message was sent that is neither settled nor handed out with this, or now."""
        others = [w.message.sent_at for id_, w in self._queue.waiting.items() if id_ not in handed_out]
        return min([self.clock.earliest(), *others])

    def _receivers(self, *, bounded: bool) -> tuple[Partition, ...]:
        return tuple(Partition(f"receiver-{i}", bounded=bounded) for i in range(self.receivers))


class SinkTarget(PassingTarget[Message]):
    """Passes on to a list. A message it refuses takes along those behind it in its group."""

    def __init__(self, sink: "Sink", delivery: Delivery) -> None:
        self.endpoints: tuple[str, ...] = ()
        self.ordered_groups = False
        self._sink = sink
        self._delivery = delivery

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        self.ordered_groups = ordered_groups

    async def create(self) -> None:
        return

    async def check(self) -> list[Finding]:
        return []

    async def apply(self, changes: Sequence[Change[Message]], rule: Rule) -> list[Rejection]:
        rejections: list[Rejection] = []
        parked: set[str | None] = set()
        for change in changes:
            message = change.record
            reason = self._sink.refuses(message) or ("behind another" if message.group in parked else None)
            if reason:
                rejections.append(Rejection(change.key, reason))
                parked.update({message.group} - {None})
            else:
                await self._delivery.write([change.key], lambda message=message: self._send(message))  # type: ignore[misc]
        return rejections

    async def _send(self, message: Message) -> None:
        await self._sink.service.request("write", message.id, lambda: self._sink.passed.append(message))


@dataclass
class Sink:
    """What was passed on, each as often as it was."""

    service: MemoryService = field(default_factory=MemoryService)
    passed: list[Message] = field(default_factory=list)
    refuses: Callable[[Message], str | None] = lambda _: None

    @property
    def first_order(self) -> list[Message]:
        """Without repetitions, which duplicate detection would drop."""
        return list({message.id: message for message in self.passed}.values())


class QueueRig:
    """Queue, sink and store outlive the processes."""

    def __init__(self, seed: int = 0, *, mode: Mode = Mode.ASYNC, held: bool = False) -> None:
        self.repair = False
        self.met: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self.rng = random.Random(seed)
        self.queue = ScriptedQueue(self.rng)
        self.sink = Sink()
        self.crash = Crash()
        self.store = InlineStore(self._step)
        self.sink.service.step = self._step
        self.mode = mode
        self.held = held

    def _step(self, where: str) -> None:
        self.crash.step(where)

    async def start(self, *, adopt: bool = False) -> Pipeline[Message]:
        """A new process, taken and not yet running."""
        telemetry, fence = PipelineTelemetry(Metrics(), NAME), Fence(LIFETIME_S)
        fence.extend(float("inf"))
        delivery = Delivery(
            limiter=AdaptiveLimiter(64), budget=RateBudget(None), fence=fence, timeout_s=TIMEOUT_S, telemetry=telemetry
        )
        pipeline = Pipeline(
            name=NAME,
            source=QueueSource(self.queue, self.mode, held=self.held),
            target=SinkTarget(self.sink, delivery),
            delivery=delivery,
            store=self.store,
            options=PipelineOptions(
                lifetime_s=LIFETIME_S, beat_s=3.0, discover_s=5.0, most_batches=4, mode=self.mode, repair=self.repair
            ),
            telemetry=telemetry,
            met=self.met,
        )
        await pipeline.source.connect()
        claim = await pipeline.judge(adopt=adopt)
        assert claim is not None
        await pipeline.take(claim)
        self.latest = pipeline
        return pipeline

    async def run_until(self, condition: Callable[[], bool], within_s: float = 120.0) -> Pipeline[Message]:
        """A process that is drained when something has become true, or has crashed."""
        pipeline = await self.start()
        with self.crash.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pipeline.run)
                with anyio.fail_after(within_s):
                    while not condition():  # noqa: ASYNC110 — the fakes tell nobody
                        await anyio.sleep(0.1)
                pipeline.drain()
        return pipeline

    def assert_delivered(self) -> None:
        """Every message at least once, those of a group in the order in which they were sent."""
        passed = self.sink.first_order
        assert {m.id for m in passed} == {m.id for m in self.queue.sent}
        for group in {m.group for m in passed} - {None}:
            mine = [m.id for m in passed if m.group == group]
            assert mine == [m.id for m in self.queue.sent if m.group == group]

"""The engine's following half over a real source, without a copy: run, crashed, restarted, and every write kept.

Smaller than `rig`: nothing is scanned, so every state the target ever shows comes from the stream.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import anyio

from fakes.memory import MemoryService, MemoryTarget
from fakes.records import PLAINLY, unnoticed
from fakes.stores import InlineStore
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget, Suspects
from replicator.documents import Document
from replicator.engine.applying import Applier
from replicator.engine.following import Following
from replicator.engine.gate import Gate
from replicator.engine.guards import Guards
from replicator.engine.ledger import Ledger
from replicator.engine.lineage import Lineage
from replicator.engine.loop import PartitionLoop
from replicator.engine.reconciling import Reconciler
from replicator.model import Batch, Change, Checkpoint, Operation, Rejection, Rule
from replicator.naming import Naming
from replicator.ports import Source
from replicator.telemetry import Metrics, PipelineTelemetry

NAME = "orders"
SETTLE_S = 5.0
"""How much later than its sibling a child may be listed."""


def telemetry() -> PipelineTelemetry:
    """Counters of their own for whatever is tested."""
    return PipelineTelemetry(Metrics(), NAME)


class RecordingTarget(MemoryTarget):
    """Keeps every write in order, as the source's versions. `pause_s` says how long each takes."""

    def __init__(self, pause_s: Callable[[], float]) -> None:
        super().__init__(MemoryService(), _delivery())
        self.applied: dict[str, list[int]] = {}
        self.records: dict[str, Document] = {}
        self._pause_s = pause_s

    async def apply(self, changes: Sequence[Change[Document]], rule: Rule) -> list[Rejection]:
        for change in changes:
            await anyio.sleep(self._pause_s())
            self.applied.setdefault(change.key, []).append(int(change.version))
            if change.operation is Operation.DELETE:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = change.record
        return []


class Follower:
    """`source` makes the source of a new process; target and store (to be opened) outlive them all."""

    def __init__(
        self,
        source: Callable[[], Source[Document]],
        target: RecordingTarget,
        *,
        skip_before: datetime | None = None,
        discover_s: float = 2.0,
    ) -> None:
        self.lineage = Lineage()
        self.telemetry = telemetry()
        self._source = source
        self._target = target
        self.store = InlineStore()
        self._skip_before = skip_before
        self._discover_s = discover_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A process; leaving it is a crash, which forgets whatever is in memory."""
        source = self._source()
        await source.connect()
        self.lineage = Lineage(await self.store.load_checkpoints(NAME))
        applier, slots = self._applier(source), anyio.Semaphore(4)

        def start(checkpoint: Checkpoint) -> None:
            loop = PartitionLoop(
                pipeline=NAME,
                checkpoint=replace(checkpoint, replicated_through=self.lineage.claim(checkpoint)),
                skip_before=self._skip_before,
                source=source,
                applier=applier,
                store=self.store,
                slots=slots,
                ledger=Ledger(),
                noticed=unnoticed,
                telemetry=self.telemetry,
                advanced=following.advanced,
                gate=Gate(),
                halted=lambda *_: None,
            )
            send, receive = anyio.create_memory_object_stream[Batch[Document]](1)
            tasks.start_soon(loop.write, receive)
            tasks.start_soon(loop.read, send)

        following = Following(
            pipeline=NAME,
            source=source,
            store=self.store,
            lineage=self.lineage,
            start=start,
            interval_s=self._discover_s,
            telemetry=self.telemetry,
            settle_s=SETTLE_S,
        )
        async with anyio.create_task_group() as tasks:
            await following.discover()
            tasks.start_soon(following.run)
            yield
            tasks.cancel_scope.cancel()

    def _applier(self, source: Source[Document]) -> Applier[Document]:
        applier = Applier(
            pipeline=NAME,
            target=self._target,
            reconciler=Reconciler(source, self._target, Suspects(), PLAINLY),
            guards=Guards(),
            store=self.store,
            payloads=PLAINLY,
            naming=Naming(),
            telemetry=self.telemetry,
        )
        applier.rule = Rule.FOLLOW
        return applier


def _delivery() -> Delivery:
    fence = Fence(1.0)
    fence.extend(float("inf"))
    return Delivery(
        limiter=AdaptiveLimiter(1), budget=RateBudget(None), fence=fence, timeout_s=1.0, telemetry=telemetry()
    )

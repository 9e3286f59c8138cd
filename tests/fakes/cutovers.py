"""Whole daemons whose readiness is held against the truth: one world for each kind of source, over the fakes.

A world outlives its daemons. It writes at random, and says what of all that it has ever written is missing.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from fakes.bucket import LookingSource, ScriptedBucket
from fakes.evidence import UNREHEARSED
from fakes.memory import FINE, Fate, MemoryService, MemoryTarget
from fakes.queue import QueueSource, ScriptedQueue, Sink, SinkTarget
from fakes.records import key_of, number_in
from fakes.rig import LIFETIME_S, TIMEOUT_S
from fakes.scripted import ScriptedSource, ScriptedTable
from fakes.stores import InlineStore
from fakes.virtual import VirtualLoop
from replicator.clocks import elapsed_s
from replicator.config.models import (
    CutoverConfig,
    LimitsConfig,
    MigrationConfig,
    PipelineConfig,
    PipelineCutoverConfig,
    SourceConfig,
    TargetConfig,
)
from replicator.cutover import Cutover
from replicator.engine.daemon import Daemon
from replicator.model import Mode
from replicator.registry import Registry, SourceContext, SourceKind, TargetContext, TargetKind
from replicator.telemetry import Metrics

NAME = "orders"
MAX_LAG_S = 5.0
STEADY_S = 4.0
GAP_S = 3.0

LIMITS = LimitsConfig(request_timeout_s=TIMEOUT_S, request_lifetime_s=LIFETIME_S, lease_s=5, drain_deadline_s=1)
CUTOVER = CutoverConfig(max_lag_s=MAX_LAG_S, steady_s=STEADY_S, max_gap_s=GAP_S, rehearsal=UNREHEARSED)
WAIVED = PipelineCutoverConfig(waive={"verification": "the truth is known", "foreign": "the truth is known"})


class World(Protocol):
    """Source and target of one kind."""

    service: MemoryService
    record: str
    max_lag_s: float

    def source(self) -> Any:
        """For a new process."""

    def target(self, context: TargetContext) -> Any:
        """Likewise."""

    def write(self) -> None:
        """One change, at random."""

    def now(self) -> float:
        """By the source's clock."""

    def missing(self, before: float) -> list[str]:
        """What was committed before this instant of the source's clock and is not at the target."""

    def poison(self) -> None:
        """From now on the target refuses some records."""


class TableWorld:
    """Documents. A table with a log, or a bucket with events."""

    record = "document"

    def __init__(self, rng: random.Random, table: ScriptedTable, max_lag_s: float = MAX_LAG_S) -> None:
        self.table = table
        self.service = MemoryService()
        self.max_lag_s = max_lag_s
        self._rng = rng

    def source(self) -> ScriptedSource:
        return ScriptedSource(self.table)

    def target(self, context: TargetContext) -> MemoryTarget:
        return MemoryTarget(self.service, context.delivery)

    def write(self) -> None:
        name = f"n{self._rng.randrange(6)}"
        self.table.delete(name) if self._rng.random() < 0.25 else self.table.put(name)
        if self._rng.random() < 0.05:
            self._reshard()

    def now(self) -> float:
        return self.table.now()

    def missing(self, before: float) -> list[str]:
        missing = []
        for name, history in self.table.history.items():
            due = sum(at < before for at, _ in history)
            record = self.service.visible(key_of(name))
            state = None if record is None else number_in(record)
            if state not in [None, *(number for _, number in history)][due:]:
                missing.append(f"{name}: {state}, {history}")
        return missing

    def poison(self) -> None:
        self.service.refuses = lambda change: "poison" if change.key == key_of("n0") else None

    def _reshard(self) -> None:
        shards = self.table.open_shards()
        if len(shards) < 3 and type(self.table) is ScriptedTable:
            late = (0.0, self._rng.choice([0.0, 4.0]))
            self.table.split(self._rng.choice(shards).id, listed_after_s=late)


class BucketWorld(TableWorld):
    """Objects. Without `receivers` only walks over everything find what has changed."""

    def __init__(self, rng: random.Random, *, receivers: int, relist_s: float | None) -> None:
        self.bucket = ScriptedBucket(rng, lost=0.0 if receivers else 1.0, twice=0.2, visibility_s=4.0)
        super().__init__(rng, self.bucket, MAX_LAG_S * 2)
        self._receivers = receivers
        self._relist_s = relist_s

    def source(self) -> LookingSource:
        return LookingSource(self.bucket, receivers=self._receivers, relist_s=self._relist_s)


class QueueWorld:
    """Messages, passed on or held."""

    record = "message"

    def __init__(self, rng: random.Random, *, held: bool) -> None:
        self.queue = ScriptedQueue(rng, visibility_s=4.0)
        self.sink = Sink()
        self.service = self.sink.service
        self.max_lag_s = MAX_LAG_S
        self._rng = rng
        self._held = held
        self._receivers = rng.choice([1, 2])

    def source(self) -> QueueSource:
        source = QueueSource(self.queue, Mode.ASYNC, held=self._held, claims=True)
        source.receivers = self._receivers
        return source

    def target(self, context: TargetContext) -> SinkTarget:
        return SinkTarget(self.sink, context.delivery)

    def write(self) -> None:
        self.queue.send(self._rng.choice([None, "g0", "g1"]))

    def now(self) -> float:
        return elapsed_s()

    def missing(self, before: float) -> list[str]:
        """Of a queue that is held: what is neither there nor passed on."""
        passed = {message.id for message in self.sink.passed} | (set(self.queue.waiting) if self._held else set())
        return [m.id for m in self.queue.sent if m.sent_at.timestamp() < before and m.id not in passed]

    def poison(self) -> None:
        self.sink.refuses = lambda message: "poison" if message.id.endswith("3") else None


class MortalStore(InlineStore):
    """The state as one process has it open; once that was killed nothing gets through, so it gives no lease back."""

    def __init__(self, other: InlineStore) -> None:
        super().__init__()
        self._connection = other._connection
        self.killed = False

    async def release_lease(self, owner: str, linger_s: float) -> None:
        if not self.killed:
            await super().release_lease(owner, linger_s)


@dataclass
class Judged:
    """What was asked and answered."""

    asked: int = 0
    ready: int = 0
    wrong: list[str] = field(default_factory=list)


class Course:
    """One schedule: a world, the daemons that come and go, and whoever asks them whether they are ready."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = InlineStore()
        self.judged = Judged()
        self.daemon: Daemon | None = None
        self._life = anyio.CancelScope()
        self._mortal = MortalStore(self.store)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With daemons, one after the other; each begins again when it was killed or stopped."""
        async with self.store, anyio.create_task_group() as tasks:
            tasks.start_soon(self._live_on)
            yield
            self.kill()
            tasks.cancel_scope.cancel()

    def kill(self) -> None:
        """As by SIGKILL: nothing more is saved, and the lease is not given back."""
        self._mortal.killed = True
        self._life.cancel()

    def stop(self) -> None:
        """As by SIGTERM."""
        if self.daemon is not None:
            self.daemon.stop()

    def suspend(self, for_s: float, writes: int) -> None:
        """The machine stands still while the world goes on, and whoever asks is answered first of all when it wakes."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for _ in range(writes):
            loop.now += for_s / (writes + 1)
            self.world.write()
        loop.now += for_s / (writes + 1)
        self.ask()

    def ask(self) -> Cutover | None:
        """One question; a wrong answer is noted."""
        if self.daemon is None:
            return None
        answer = self.daemon.cutover()
        self.judged.asked += 1
        self.judged.ready += answer.ready
        if answer.ready:
            self._hold_against_the_truth(answer)
        return answer

    async def keep_asking(self, rng: random.Random) -> None:
        """For ever, at any moment."""
        while True:
            self.ask()
            await anyio.sleep(rng.uniform(0.01, 0.6))

    def _hold_against_the_truth(self, answer: Cutover) -> None:
        pipeline = answer.pipelines[NAME]
        limits = {"max_lag_s": self.world.now() - self.world.max_lag_s}
        if pipeline.replicated_through is not None:
            limits["replicated_through"] = pipeline.replicated_through.timestamp()
        elif not pipeline.held:
            self.judged.wrong.append("ready without any watermark")
        for name, before in limits.items():
            if missing := self.world.missing(before):
                self.judged.wrong.append(f"at {self.world.now():.2f}, by {name} {before:.2f}: {missing}")

    async def _live_on(self) -> None:
        while True:
            self._mortal = MortalStore(self.store)
            self._life = anyio.CancelScope()
            with self._life:
                self.daemon = self._process(self._mortal)
                await self.daemon.run()
            self.daemon = None
            await anyio.sleep(0.5)

    def _process(self, store: InlineStore) -> Daemon:
        waived = WAIVED.model_copy(update={"max_lag_s": self.world.max_lag_s})
        pipeline = PipelineConfig(
            source=SourceConfig(type="s"), target=TargetConfig(type="t"), cutover=waived, discover_interval_s=3
        )
        config = MigrationConfig(migration="shop", limits=LIMITS, cutover=CUTOVER, pipelines={NAME: pipeline})
        registry = Registry(
            {"s": SourceKind(self.world.record, SourceConfig, self._source)},
            {"t": TargetKind(self.world.record, TargetConfig, self._target)},
        )
        return Daemon(config, registry, store, Metrics(), adopt=False)

    @asynccontextmanager
    async def _source(self, _: SourceConfig, context: SourceContext) -> AsyncIterator[Any]:
        yield self.world.source()

    @asynccontextmanager
    async def _target(self, _: TargetConfig, context: TargetContext) -> AsyncIterator[Any]:
        yield self.world.target(context)


KINDS: dict[str, Callable[[random.Random], World]] = {
    "table": lambda rng: TableWorld(
        rng, ScriptedTable(rng, rng.choice([1, 2, 3]), ahead_s=rng.choice([-500.3, 0.0, 77.7]))
    ),
    "bucket": lambda rng: BucketWorld(rng, receivers=rng.choice([1, 2]), relist_s=rng.choice([None, 15.0])),
    "listing": lambda rng: BucketWorld(rng, receivers=0, relist_s=3.0),
    "queue": lambda rng: QueueWorld(rng, held=False),
    "held": lambda rng: QueueWorld(rng, held=True),
}
"""Worlds of every kind of source."""


def stuck(kind: str, _key: str) -> Fate:
    """A target that answers nothing for a while."""
    return Fate(LIFETIME_S - 0.1, LIFETIME_S + 1) if kind.startswith(("write", "guarded")) else FINE

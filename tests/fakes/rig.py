"""A whole pipeline over the fakes, in virtual time: run, crashed, restarted, and watched for its promises."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

import anyio
import anyio.lowlevel

from fakes.memory import FINE, NEVER_LANDS, Fate, MemoryService, MemoryTarget, lost, refused
from fakes.records import key_of, number_in
from fakes.scripted import ScriptedSource, ScriptedTable
from fakes.stores import InlineStore
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.documents import Document
from replicator.engine.pipeline import Pipeline, PipelineOptions
from replicator.engine.syncing import SyncLimits
from replicator.engine.verifying import VerificationOptions
from replicator.errors import ThrottledError, TransientError
from replicator.model import CopyStage, Mode, Phase, Rejection, Retried
from replicator.telemetry import Metrics, PipelineTelemetry

NAME = "orders"
LIFETIME_S = 2.0
TIMEOUT_S = 0.5


class Crash:
    """Cancels a whole process at the `at`th step that any of its fakes reports; counts steps when `at` is None."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0
        self.where = ""
        self.scope = anyio.CancelScope()

    def step(self, where: str) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.where = where
            self.scope.cancel()


class Rig:
    """Source, target and store outlive the processes; `pipeline` is the latest process."""

    def __init__(
        self,
        seed: int = 0,
        *,
        shards: int = 1,
        ahead_s: float = 0.0,
        slow_rows_s: float = 0.0,
        most_batches: int = 4,
        segments: int = 2,
        page: int = 6,
    ) -> None:
        self.rng = random.Random(seed)
        self.table = ScriptedTable(self.rng, shards, ahead_s, segments)
        self.service = MemoryService()
        self.crash = Crash()
        self.store = InlineStore(self._step)
        self.service.step = self._step
        self.excused: set[str] = set()
        self.remove_foreign = False
        self.mode = Mode.ASYNC
        self.repair = False
        self.met: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self.verification = VerificationOptions(records_per_s=1000)
        self.sync = SyncLimits(max_lag_s=10.0, steady_s=3.0)
        self.watermark_is_proof = True
        self.lifetime_s = LIFETIME_S
        self.slow_rows_s = slow_rows_s
        self._page = page
        self._most_batches = most_batches
        self._following_since: dict[str, int] | None = None
        self.pipeline = self._process()

    async def start(self, *, adopt: bool = False) -> None:
        """A new process: everything in memory is forgotten."""
        self.pipeline = self._process()
        await self.pipeline.source.connect()
        await self.pipeline.target.connect(self.pipeline.source.key_names)
        claim = await self.pipeline.judge(adopt=adopt)
        assert claim is not None, "not a failed pipeline"
        await self.pipeline.take(claim)

    @asynccontextmanager
    async def running(self, *, adopt: bool = False) -> AsyncIterator[Pipeline[Document]]:
        """A process that is watched, and drained on leaving."""
        await self.start(adopt=adopt)
        async with anyio.create_task_group() as watching:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.pipeline.run)
                watching.start_soon(self._watch)
                yield self.pipeline
                self.pipeline.drain()
            self._note_following()
            watching.cancel_scope.cancel()

    async def crashed_at(self, at: int | None, script: Callable[[], object], *, adopt: bool = False) -> bool:
        """Runs a process to convergence or to its crash, whichever comes first; False when it was not reached."""
        self.crash = crash = Crash(at)
        with crash.scope:
            async with self.running(adopt=adopt):
                script()
                await self.converged()
        self.crash = Crash()
        return crash.scope.cancelled_caught

    async def until(self, condition: Callable[[], bool], within_s: float = 120.0) -> None:
        """Waits for something to become true."""
        with anyio.move_on_after(within_s):
            while not condition():
                assert not self.pipeline.state.failure, self.pipeline.state
                await anyio.sleep(0.1)
            return
        raise AssertionError(f"not within {within_s} s; {self.pipeline.state}; target {self.held()}")

    async def converged(self, within_s: float = 120.0) -> None:
        """Following, nothing left to undo, the watermark past the last change, and the target equal to the source."""
        await self.until(self.is_following, within_s)
        await self.until(lambda: self.service_equals_table() and self.caught_up(), within_s)

    def is_following(self) -> bool:
        state = self.pipeline.state
        return state.phase is Phase.FOLLOWING and state.copy_stage is CopyStage.SWEPT

    def is_in_sync(self) -> bool:
        return self.pipeline.syncing is not None and self.pipeline.syncing.in_sync

    def caught_up(self) -> bool:
        watermark = self.pipeline.replicated_through
        last = max((at for history in self.table.history.values() for at, _ in history), default=0.0)
        return watermark is not None and watermark.timestamp() > last

    def held(self) -> dict[str, Document]:
        """What a reader of the target finds."""
        found = {key: self.service.visible(key) for key in self.service.entries}
        return {key: record for key, record in found.items() if record is not None}

    def number(self, name: str) -> int | None:
        """The state of a record as a reader of the target finds it."""
        record = self.service.visible(key_of(name))
        return None if record is None else number_in(record)

    def service_equals_table(self) -> bool:
        expected = {k: v for k, v in self.table.expected().items() if k not in self.excused}
        return {k: v for k, v in self.held().items() if k not in self.excused} == expected

    def assert_never_backwards(self) -> None:
        """Since `following` began, the target has shown each record's states in the order of the source's history."""
        assert self._following_since is not None, "nothing was ever followed"
        assert_never_backwards(self.table, self.service, self._following_since)

    async def assert_swept(self) -> None:
        """Once the copy is swept and every request is over, neither a tombstone nor a held-off expiry is left."""
        await anyio.sleep(self.lifetime_s)
        left = [key for key, entry in self.service.entries.items() if entry.record is None or not entry.armed]
        assert not left

    def assert_watermark_honest(self) -> None:
        """No change committed before the watermark is missing at the target."""
        watermark = self.pipeline.replicated_through if self.watermark_is_proof else self.pipeline.state.proven_through
        if watermark is None or self.pipeline.state.phase is not Phase.FOLLOWING:
            return
        assert_nothing_missing(self.table, self.service, watermark, self.excused)

    async def _watch(self) -> None:
        while True:
            self._note_following()
            self.assert_watermark_honest()
            await anyio.sleep(0.05)

    def _note_following(self) -> None:
        if self._following_since is None and self.pipeline.state.phase is Phase.FOLLOWING:
            self._following_since = {key: len(log) for key, log in self.service.log.items()}

    def _step(self, where: str) -> None:
        self.crash.step(where)

    def _source(self) -> ScriptedSource:
        return ScriptedSource(self.table, page=self._page, slow_rows_s=self.slow_rows_s)

    def _process(self) -> Pipeline[Document]:
        telemetry = PipelineTelemetry(Metrics(), NAME)
        fence = Fence(self.lifetime_s)
        fence.extend(float("inf"))
        delivery = Delivery(
            limiter=AdaptiveLimiter(64), budget=RateBudget(None), fence=fence, timeout_s=TIMEOUT_S, telemetry=telemetry
        )
        return Pipeline(
            name=NAME,
            source=self._source(),
            target=MemoryTarget(self.service, delivery),
            delivery=delivery,
            store=self.store,
            options=PipelineOptions(
                lifetime_s=self.lifetime_s, beat_s=3.0, discover_s=5.0, most_batches=self._most_batches,
                remove_foreign=self.remove_foreign, mode=self.mode, verification=self.verification,
                sync=self.sync, repair=self.repair,
            ),
            telemetry=telemetry,
            met=self.met,
        )  # fmt: skip


def assert_never_backwards(table: ScriptedTable, service: MemoryService, since: Mapping[str, int]) -> None:
    """The target has shown each record's states in the order of the source's history, from so many on."""
    for name, history in table.history.items():
        key = key_of(name)
        begin = since.get(key, 0)
        states, index = [None, *(number for _, number in history)], 0
        log = [None, *service.log.get(key, [])]
        for state in log[begin:]:
            assert state in states[index:], f"{name}: {log[begin:]} goes backwards in {states}"
            index = states.index(state, index)


def assert_nothing_missing(
    table: ScriptedTable, service: MemoryService, watermark: datetime, excused: Collection[str] = ()
) -> None:
    """No change committed before the watermark is missing at the target."""
    for name, history in table.history.items():
        due = sum(at < watermark.timestamp() for at, _ in history)
        states = [None, *(number for _, number in history)]
        record = service.visible(key_of(name))
        state = None if record is None else number_in(record)
        honest = state in states[due:] or key_of(name) in excused
        assert honest, f"{name}: {state} at the target, {history} at the source, watermark {watermark}"


class World(Protocol):
    """What a writer needs."""

    @property
    def rng(self) -> random.Random: ...
    @property
    def table(self) -> ScriptedTable: ...


def load(rig: World, count: int = 8) -> None:
    """Rows older than the log, and some in it."""
    for number in range(count):
        rig.table.put(f"n{number}", logged=number % 2 == 0)


def faulty(rng: random.Random, share: float = 0.3) -> Callable[[str, str], Fate]:
    """Requests are refused, slow, or lost and done later, within their lifetime, or never."""

    def fate(kind: str, _key: str) -> Fate:
        if rng.random() > share:
            return Fate(rng.uniform(0, 0.05), rng.uniform(0, 0.05))
        late_s = rng.uniform(0, LIFETIME_S - 0.01)
        reading = not kind.startswith(("write", "guarded"))
        return rng.choice(
            [
                refused(ThrottledError("too much", retry_after_s=0.1)),
                refused(TransientError("unavailable")),
                FINE if reading else lost(late_s, rng.uniform(0, TIMEOUT_S)),
                FINE if reading else lost(NEVER_LANDS, rng.uniform(0, TIMEOUT_S)),
                Fate(late_s, 0.0),
            ]
        )

    return fate


async def retry(rig: Rig, keys: Sequence[str]) -> Retried:
    """Takes dead letters up again that these keys are given first, whatever has become of the records meanwhile."""
    await rig.store.add_dead_letters(NAME, "test", [Rejection(key, "whatever") for key in keys])
    return await rig.pipeline.retry(keys)


async def work(rig: World, changes: int, names: int = 10, pause_s: float = 0.4, splits: bool = True) -> None:
    """A writer at the source; sometimes the log splits, rolls over or merges."""
    for _ in range(changes):
        await anyio.sleep(rig.rng.uniform(0, pause_s))
        name = f"n{rig.rng.randrange(names)}"
        rig.table.delete(name) if rig.rng.random() < 0.3 else rig.table.put(name)
        if splits and rig.rng.random() < 0.1:
            reshard(rig)


def reshard(rig: World) -> None:
    """One step in the life of the log."""
    shards = sorted(rig.table.open_shards(), key=lambda s: s.low)
    if len(shards) > 1 and rig.rng.random() < 0.4:
        left = rig.rng.randrange(len(shards) - 1)
        rig.table.merge(shards[left].id, shards[left + 1].id)
    elif len(shards) < 4:
        late = (0.0, rig.rng.choice([0.0, 4.0]))[: rig.rng.choice([1, 2])]
        rig.table.split(rig.rng.choice(shards).id, listed_after_s=late)

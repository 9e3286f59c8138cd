"""One pipeline: claims its target, copies, follows, keeps its phase, and stops in two stages."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from replicator.clocks import elapsed_s
from replicator.config.models import DeadLettersConfig
from replicator.delivery import Delivery
from replicator.engine.applying import Applier
from replicator.engine.barrier import Barrier, Work
from replicator.engine.confirming import Confirming
from replicator.engine.control import Control
from replicator.engine.copying import Copying
from replicator.engine.draining import Draining
from replicator.engine.following import Following
from replicator.engine.guards import NEVER, Guards
from replicator.engine.halting import Halts, Refused
from replicator.engine.inflight import Inflight
from replicator.engine.ledger import Ledger
from replicator.engine.lineage import Lineage
from replicator.engine.loop import PartitionLoop
from replicator.engine.mending import Mending
from replicator.engine.ownership import Claim
from replicator.engine.payloads import Payloads
from replicator.engine.phases import Progress, next_state
from replicator.engine.placing import ALONE, Assignment, Cluster, Placing
from replicator.engine.reconciling import Reconciler
from replicator.engine.relisting import Relisting
from replicator.engine.rounds import Ask, Round
from replicator.engine.standing import Standing
from replicator.engine.syncing import Seen, Syncing, SyncLimits
from replicator.engine.verifying import VerificationOptions, Verifying
from replicator.engine.walking import Walk
from replicator.engine.watching import Watching
from replicator.engine.watermark import held_back
from replicator.errors import ConfigurationError, PositionLostError
from replicator.model import (
    Batch,
    Change,
    Checkpoint,
    CopyStage,
    DeadLetter,
    Mode,
    Phase,
    PipelineState,
    R,
    Retried,
    Rule,
)
from replicator.naming import Naming
from replicator.ports import Source, StateStore, Target
from replicator.registry import RecordKind
from replicator.telemetry import TARGET, PipelineTelemetry
from replicator.wording import counted

SKIP_MARGIN = timedelta(seconds=60)
"""Changes older than the copy's beginning by this much are surely contained in it, whatever the source's clocks."""

TICK_S = 0.5
"""How often phase and watermark are looked at."""


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What a pipeline is told by its config.

    `lifetime_s`: how late a request may take effect. `beat_s`: how often the marker moves on. `discover_s`: how often
    partitions are listed, `watch_s`: how often the target is scanned for foreign records. `most_batches`: batches in
    memory at once, half of them for copying. `repair`: whether what differs at the end of mode copy is repaired;
    `again`: whether that is compared although it was found equal before.
    """

    lifetime_s: float
    beat_s: float
    discover_s: float
    most_batches: int
    watch_s: float = 60.0
    mode: Mode = Mode.ASYNC
    remove_foreign: bool = False
    verification: VerificationOptions = VerificationOptions()  # noqa: RUF009 — frozen
    sync: SyncLimits = SyncLimits()  # noqa: RUF009 — frozen
    repair: bool = False
    again: bool = False


class Pipeline(Generic[R]):
    """See the module. `judge` and `take` come before `run`; `drain` may be called at any time.

    `met` returns when all pipelines in mode copy are copied. `begins_at` is when a repair that still waits begins, by
    `elapsed_s`.
    """

    def __init__(
        self,
        *,
        name: str,
        source: Source[R],
        target: Target[R],
        delivery: Delivery,
        store: StateStore,
        options: PipelineOptions,
        telemetry: PipelineTelemetry,
        payloads: Payloads[R] | None = None,
        naming: Naming | None = None,
        met: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
        cluster: Cluster = ALONE,
    ) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.delivery = delivery
        self.telemetry = telemetry
        self.begins_at = float("-inf")
        self.lineage = Lineage()
        self._store = store
        self._options = options
        self._standing = Standing(name, target, store, options.mode)
        self.control = Control(name, source, delivery, self._standing, telemetry)
        self._guards = Guards()
        payloads, naming = payloads or Payloads(RecordKind(), DeadLettersConfig()), naming or Naming()
        self._applier = Applier(
            pipeline=name,
            target=target,
            reconciler=Reconciler(source, target, delivery.suspects, payloads),
            guards=self._guards,
            store=store,
            payloads=payloads,
            naming=naming,
            telemetry=telemetry,
        )
        self._copy_slots = anyio.Semaphore(options.most_batches // 2)
        self._follow_slots = anyio.Semaphore(options.most_batches - options.most_batches // 2)
        self._reading = anyio.CancelScope()
        self._retries = Inflight()
        self.placing = Placing(
            cluster=cluster, run_here=self._run_here, assignment=self._assignment, advanced=self._advanced
        )
        self._mending = Mending(
            pipeline=name,
            source=source,
            applier=self._applier,
            guards=self._guards,
            standing=self._standing,
            placing=self.placing,
            store=store,
            telemetry=telemetry,
        )
        self._readers: TaskGroup | None = None
        self._work: anyio.CancelScope | None = None
        self._work_over = anyio.Event()
        self._work_over.set()
        self._writers: TaskGroup | None = None
        self._walk = Walk(
            pipeline=name,
            source=source,
            target=target,
            store=store,
            applier=self._applier,
            start=self.placing.start,
            telemetry=telemetry,
            gate=self.control.gate,
            remove_foreign=options.remove_foreign,
        )
        self.copying = Copying(
            source=source,
            target=target,
            walk=self._walk,
            applier=self._applier,
            standing=self._standing,
            lifetime_s=options.lifetime_s,
            telemetry=telemetry,
            gate=self.control.gate,
            placing=self.placing,
        )
        self.halts = Halts(pipeline=name, store=store, go_on=self.placing.start, telemetry=telemetry)
        self.syncing = Syncing(options.sync, telemetry) if options.mode is Mode.SYNC else None
        self.barrier = Barrier(
            pipeline=name,
            mode=options.mode,
            source=source,
            delivery=delivery,
            store=store,
            standing=self._standing,
            mending=self._mending,
            placing=self.placing,
            spawn=self._spawn,
            settled_through=lambda: self.replicated_through,
            halted=lambda: len(self.halts.by_partition),
        )
        self._relisting = Relisting(source, self._walk, self._standing, telemetry, self.control.gate)
        self.following = Following(
            pipeline=name,
            source=source,
            store=store,
            lineage=self.lineage,
            start=self.placing.start,
            interval_s=options.discover_s,
            telemetry=telemetry,
        )
        self.watching = Watching(
            pipeline=name,
            source=source,
            target=target,
            store=store,
            standing=self._standing,
            interval_s=options.watch_s,
            telemetry=telemetry,
            gate=self.control.gate,
            naming=naming,
        )
        self._ledger = Ledger()
        self.verifying = Verifying(
            pipeline=name,
            source=source,
            target=target,
            store=store,
            standing=self._standing,
            ledger=self._ledger,
            through=self._compared_through,
            mend=self._mending.repair,
            options=options.verification,
            telemetry=telemetry,
            gate=self.control.gate,
        )
        self._confirming = Confirming(
            pipeline=name,
            source=source,
            store=store,
            copying=self.copying,
            verifying=self.verifying,
            met=met,
            repair=options.repair,
            again=options.again,
            telemetry=telemetry,
            gate=self.control.gate,
        )
        self.draining = Draining(
            pipeline=name,
            source=source,
            delivery=delivery,
            store=store,
            standing=self._standing,
            verifying=self.verifying,
            placing=self.placing,
            through=lambda: self.replicated_through,
            halted=lambda: len(self.halts.by_partition),
            under_way=self._under_way,
            naming=naming,
            telemetry=telemetry,
        )

    @property
    def state(self) -> PipelineState:
        """All that is remembered of it; epoch 0 before it was ever taken."""
        return self._standing.state

    @property
    def is_failed(self) -> bool:
        """Whether it has stopped for good, until it is adopted anew."""
        return self._standing.is_failed

    @property
    def partitions(self) -> list[Checkpoint]:
        """Every partition that is known."""
        return [*self.lineage.checkpoints.values(), *self._walk.checkpoints.values()]

    @property
    def replicated_through(self) -> datetime | None:
        """The watermark: what the followed partitions claim together, or what a walk over everything has proven."""
        claimed, proven = self.lineage.replicated_through(), self.state.proven_through
        return max(claimed, proven) if claimed and proven else claimed or proven

    @property
    def relisted(self) -> int | None:
        """How many records the walk over everything that is under way has looked at; None while there is none."""
        return None if self.state.relisting_since is None else self._walk.records

    async def judge(self, *, adopt: bool) -> Claim | None:
        """Whether this pipeline may begin; see `Ownership.judge`."""
        return await self._standing.judge(adopt=adopt)

    async def take(self, claim: Claim) -> None:
        """Claims the target and takes up what the store remembers. Nothing runs yet."""
        await self._standing.take(claim)
        await self._take_up()
        state = self.state
        self._applier.repairing = state.repairing
        self._applier.halting = self.syncing is not None and state.phase.follows
        if state.repairing or state.copy_stage is CopyStage.SWEPT or not self._overlaps:
            self._applier.rule = Rule.FOLLOW
        if state.repairing:
            self._guards.all_until = NEVER
        elif state.guarding:
            self._guards.all_until = self.source.clock.latest()
        self.telemetry.log.info("pipeline begins", claim=claim.value, epoch=state.epoch, phase=state.phase.value)

    async def recall(self) -> None:
        """Takes up what the store remembers, without a claim: all that is done for a pipeline that has failed."""
        await self._standing.recall()
        await self._take_up()

    async def run(self) -> None:
        """Replicates until drained, failed or, in mode copy, copied and compared. Reading is cancelled first; writers
        finish what was read.

        When it returns, no request is under way, and of those in doubt `delivery` knows.
        """
        try:
            async with anyio.create_task_group() as self._writers:
                self.placing.begin(self._writers)
                with self._reading:
                    async with anyio.create_task_group() as self._readers:
                        await self._begin(self._readers)
        except* PositionLostError as lost:
            self._writers = None
            await self._fail(str(_first(lost)))
        finally:
            self._writers = None
            self.placing.over()
        await self._retries.drained()

    def drain(self) -> None:
        """First stage of the shutdown: nothing more is read or taken up again."""
        self._reading.cancel()
        self.placing.close()

    async def retry(self, keys: Sequence[str]) -> Retried:
        """Takes the dead letters of these keys up again, by the guarded procedure or by another delivery; keys that
        have none are left alone.

        From here on the stream's changes of these keys are guarded, and those being written have landed. One that is
        refused again, be it meanwhile by the stream, stays open, and so does one until it is delivered again. Raises
        ConfigurationError for a pipeline that has failed, since its target may be somebody else's by now, or is being
        stopped.
        """
        with self._at_work():
            return await self._mending.retry(keys)

    def refused_elsewhere(self) -> None:
        """Another replica has kept a change as a dead letter."""
        self._applier.has_dead_letters = True

    async def discard(self, letters: Sequence[DeadLetter]) -> int:
        """Closes these dead letters for good, as far as they were not refused anew; returns how many.

        Of a message nothing is sent any more: it is settled when it is delivered again, which is asked for. What waits
        behind it in its group goes on. Raises ConfigurationError as `retry` does.
        """
        with self._at_work():
            self._applier.has_discards = True
            closed = await self._store.discard_dead_letters(letters)
            await self.source.redeliver([letter.key for letter in letters])
        return closed

    async def verify(self, ask: Ask) -> Round:
        """See `Verifying.start`. Raises ConfigurationError where nothing can be compared now."""
        self._require_running()
        return await self.verifying.start(ask)

    async def seal(self, *, force: bool) -> None:
        """Ends the replication for good; see `Draining.seal`. What happens at the source is noticed from now on.

        What was being written goes on until `quiet` returns.
        """
        if self.state.phase is not Phase.SEALED:
            self._require_running()
        await self.draining.seal(force=force)
        if self._work is not None:
            self._work.cancel()

    async def quiet(self) -> None:
        """Of one that is sealed: returns when nothing that was begun before can change the target any more, be it a
        request of unknown outcome. Only then it may be written by others.
        """
        await self._work_over.wait()
        await self.flushed()

    async def flushed(self) -> None:
        """Returns when nothing that had been begun by now can change the target any more; what is begun later may."""
        await self._retries.drained()
        await self._applier.inflight.drained()
        await anyio.sleep(max(0.0, self.delivery.suspects.latest - elapsed_s()))

    def _under_way(self) -> list[str]:
        """What may still change the target, in words: nothing where `quiet` would return at once."""
        target, in_doubt_s = self.telemetry.sides[TARGET], self.delivery.suspects.latest - elapsed_s()
        failing = f", and the target is failing: {target.message}" if target.degraded else ""
        found = ["copying and comparing are being ended"] if self._is_ending else []
        if len(self._retries):
            found.append(counted(len(self._retries), "retry is", "retries are") + f" under way{failing}")
        if len(self._applier.inflight):
            found.append(f"changes are being written{failing}")
        if in_doubt_s > 0:
            found.append(f"a request of unknown outcome may take effect within {in_doubt_s:.0f} s")
        return found

    @property
    def _is_ending(self) -> bool:
        return self.state.phase is Phase.SEALED and not self._work_over.is_set()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Around something that is asked for and is finished before the pipeline ends. Raises ConfigurationError."""
        self._require_running()
        with self._retries.entered():
            yield

    def _require_running(self) -> None:
        where = f"pipelines.{self.name}"
        if self.is_failed:
            raise ConfigurationError(where, "has failed", "Adopt its target first, with run --adopt")
        if self._reading.cancel_called and self.state.phase is Phase.COPIED:
            raise ConfigurationError(where, "is copied and compared, and has ended", "See docs/planned-downtime.md")
        if self._reading.cancel_called:
            raise ConfigurationError(where, "is being stopped", "Try again when it has been started again")
        if self.state.phase is Phase.SEALED:
            raise ConfigurationError(where, "is sealed: its target is written by others", "It has ended for good")

    async def _take_up(self) -> None:
        self.control.take_up()
        checkpoints = await self._store.load_checkpoints(self.name)
        self.lineage.load(checkpoints, listed_before=self.state.copy_started_at is not None)
        self._walk.checkpoints.update((c.partition.id, c) for c in checkpoints if c.partition.bounded)
        self._applier.has_discards = bool(await self._store.discarded(self.name))
        self._applier.has_dead_letters = (await self._store.dead_letter_summary(self.name)).count > 0
        await self.watching.take_up()
        await self.verifying.load()
        await self.draining.take_up()

    @property
    def _overlaps(self) -> bool:
        """Whether changes are followed that a copied row must not undo."""
        return self._options.mode is not Mode.COPY and self.source.stale_rows

    async def _begin(self, readers: TaskGroup) -> None:
        readers.start_soon(self._beat)
        if self.state.repairing and self.state.copy_started_at is None:
            await self._wait_for_others()
        follows = self._options.mode is not Mode.COPY
        if follows:
            await self.following.discover()
        if self.state.copy_started_at is None:
            await self._standing.update(copy_started_at=self.source.clock.earliest())
        if follows:
            readers.start_soon(self.following.run)
            readers.start_soon(self.draining.run)
            readers.start_soon(self.halts.run)
        readers.start_soon(self._work_until_sealed)
        readers.start_soon(self._tick)

    async def _work_until_sealed(self) -> None:
        """Whatever writes the target, or compares it, but for what is followed."""
        if self.state.phase is Phase.SEALED:
            return
        self._work_over = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                self._work = tasks.cancel_scope
                if self._options.mode is not Mode.COPY:
                    tasks.start_soon(self.watching.run)
                tasks.start_soon(self.verifying.run)
                tasks.start_soon(self._work_through)
        finally:
            self._work_over.set()

    async def _wait_for_others(self) -> None:
        """Before a repair looks at anything: nothing of a daemon with another state store may land after that.

        Its lease is not ours to see. It has crashed, or it notices our marker at its next beat; then its last request
        may live on.
        """
        wait_s = self._options.beat_s + self.delivery.timeout_s + self._options.lifetime_s
        self.begins_at = elapsed_s() + wait_s
        self.telemetry.log.info("waiting until no request of another daemon can reach the target", seconds=wait_s)
        await anyio.sleep(wait_s)

    async def _work_through(self) -> None:
        """The copy, and then whatever is to be walked again."""
        await self.copying.run()
        if self._options.mode is not Mode.COPY:
            await self._relisting.run()

    def _run_here(self, checkpoint: Checkpoint, passed_over: Refused) -> PartitionLoop[R]:
        """Runs a partition's loop: its reader in the inner task group, its writer in the outer one."""
        assert self._readers is not None  # noqa: S101
        assert self._writers is not None  # noqa: S101
        bounded = checkpoint.partition.bounded
        loop = PartitionLoop(
            pipeline=self.name,
            checkpoint=replace(checkpoint, replicated_through=self._claim(checkpoint)),
            skip_before=self._skip_before(checkpoint),
            source=self.source,
            applier=self._applier,
            store=self._store,
            slots=self._copy_slots if bounded else self._follow_slots,
            ledger=self._ledger,
            noticed=self.draining.notice,
            telemetry=self.telemetry,
            advanced=self._advanced,
            gate=self.control.gate,
            halted=self._halted,
            passed_over=passed_over,
        )
        send, receive = anyio.create_memory_object_stream[Batch[R]](1)
        self._writers.start_soon(self._write, loop, receive)
        self._readers.start_soon(loop.read, send)
        return loop

    async def _write(self, loop: PartitionLoop[R], batches: MemoryObjectReceiveStream[Batch[R]]) -> None:
        await loop.write(batches)
        self.placing.ended(loop.checkpoint)

    def _advanced(self, checkpoint: Checkpoint) -> None:
        (self._walk.advanced if checkpoint.partition.bounded else self.following.advanced)(checkpoint)

    def _skip_before(self, checkpoint: Checkpoint) -> datetime | None:
        started_at = self.state.copy_started_at
        return None if checkpoint.partition.bounded or started_at is None else started_at - SKIP_MARGIN

    def _assignment(self, checkpoint: Checkpoint) -> Assignment | None:
        """What another replica must know to run this partition; None where it has to run here.

        A followed one has to while a request of ours is in doubt, whose end another replica would not wait for. What is
        copied overwrites nothing that is later, but must be read here once records are never to go backwards any more:
        only here they are looked at one at a time.
        """
        if not self.spreads or not self.source.can_move(checkpoint.partition):
            return None
        bounded = checkpoint.partition.bounded
        in_doubt = self.delivery.suspects.latest > elapsed_s()
        if (bounded and self.state.copy_stage is not CopyStage.RUNNING) or (in_doubt and not bounded):
            return None
        known = replace(checkpoint, replicated_through=self._claim(checkpoint))
        return Assignment(self.name, known, self._skip_before(checkpoint), self._applier.rule)

    @property
    def spreads(self) -> bool:
        """Whether partitions may run at other replicas now: nothing but their own changes decides how they are
        written.
        """
        if self.syncing is not None or self._guards.any or self._applier.repairing or self._standing.is_failed:
            return False
        return not self.state.paused and self.state.fence is None

    def _spawn(self, work: Work | None, key: str) -> bool:
        """Runs it beside the writers, which end only with it. False where nothing is to be begun any more, or yet."""
        if self._writers is None or self._reading.cancel_called:
            return False
        if work is not None:
            self._writers.start_soon(work, key)
        return True

    def _halted(self, checkpoint: Checkpoint, refused: Sequence[Change[R]]) -> None:
        """A partition has stopped at these changes. Until it goes on, its intent says that a replay is to come."""
        self.lineage.update(checkpoint)
        self.halts.add(checkpoint, refused)
        if self.syncing is not None:
            self.syncing.look(Seen(self.source.clock.latest(), None, following=True, halted=1))
            self._applier.in_order = False

    def _compared_through(self) -> datetime | None:
        """What was committed before is at the target, or never will be: in mode copy nothing comes later."""
        return self.source.clock.latest() if self._options.mode is Mode.COPY else self.replicated_through

    def _claim(self, checkpoint: Checkpoint) -> datetime | None:
        return None if checkpoint.partition.bounded else self.lineage.claim(checkpoint)

    async def _tick(self) -> None:
        """Moves phase and guards on with the watermark, until nothing is left to be done but to compare."""
        while self.state.phase is not Phase.COPIED:
            await self._move_on()
            await anyio.sleep(TICK_S)
        await self._confirming.run()
        self.drain()

    async def _move_on(self) -> None:
        before, watermark = self.state, self.replicated_through
        if not self.spreads:
            self.placing.revoke()
        if watermark is not None:
            self._guards.passed(watermark)
        progress = Progress(watermark, guarded=self._guards.any, copied=bool(self._walk.rows))
        if before.repairing and not next_state(before, progress).repairing:
            self._applier.repairing = False
            await self._applier.inflight.drained()
            self._guards.end_repair(self.source.clock.latest())
        await self._standing.change(lambda state: next_state(state, progress))
        if self.state.phase is not before.phase:
            self.telemetry.log.info("phase changed", phase=self.state.phase.value, before=before.phase.value)
        if self.syncing is not None:
            await self._look_at_sync(self.syncing)

    async def _look_at_sync(self, syncing: Syncing) -> None:
        """The watermark is read before the dead letters, which are durable before it passes them."""
        through = self.replicated_through
        letters = await self._store.dead_letter_summary(self.name)
        if self.state.phase is Phase.SEALED:
            syncing.end()
            return
        following = self.state.phase.follows
        syncing.look(
            Seen(
                now=self.source.clock.latest(),
                replicated_through=held_back(through, letters),
                following=following,
                halted=len(self.halts.by_partition),
                replaying=any(c.intent is not None for c in self.lineage.checkpoints.values()),
                dead_letters=letters.count,
            )
        )
        self._applier.halting = following
        self._applier.in_order = syncing.in_sync

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self._options.beat_s)
            await self._standing.renew()

    async def _fail(self, reason: str) -> None:
        if self.syncing is not None:
            self.syncing.look(Seen(self.source.clock.latest(), None, following=False, failed=True))
        await self._standing.update(phase=Phase.FAILED, failure=reason)
        self.telemetry.log.error("pipeline failed", reason=reason)


def _first(group: BaseExceptionGroup[PositionLostError]) -> BaseException:
    """The first error itself; task groups within task groups wrap it several times."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first

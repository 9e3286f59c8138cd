"""Draining: everything that was written before the fence is at the target, and nothing was written after it.

The fence is a moment of the source's clock, taken when whoever writes there was stopped. A pipeline is drained when
nothing stands against it any more: the watermark has passed the fence, where the source proves time by being idle; a
complete comparison of both sides, begun after it, was clean; nothing is refused, in doubt, or still to be finished at
the source. A write after the fence is applied, counted and named, and takes that back: all of it must be shown anew,
past that write. What a service expires by itself is no such write.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic

import anyio

from replicator.clocks import utc_now
from replicator.delivery import Delivery
from replicator.engine.drained import Evidence, idle_proves, in_the_way, unsettled
from replicator.engine.late import NOTE, Late, read_note
from replicator.engine.placing import Placing
from replicator.engine.remaining import LOOK_INTERVAL_S, Remaining
from replicator.engine.rounds import Ask
from replicator.engine.standing import Standing
from replicator.engine.verifying import Verifying
from replicator.engine.watermark import held_back
from replicator.errors import ConfigurationError
from replicator.model import Change, CopyStage, DeadLetterSummary, Mode, Phase, R
from replicator.naming import Naming
from replicator.ports import Source, StateStore
from replicator.status import DrainStatus, NamedDrain
from replicator.telemetry import PipelineTelemetry

MOST_NAMED = 10
"""Late writes that are told by their keys."""

READING_WITHIN = timedelta(seconds=15)
"""A source that is read shows time at least so often, beyond what it takes to be sure."""


@dataclass(slots=True)
class Way:
    """What stands in the way, and since when nothing does."""

    reasons: list[str] = field(default_factory=lambda: ["it has only begun"])
    drained_at: datetime | None = None


class Draining(Generic[R]):
    """Of one pipeline. `through` is the watermark; `halted` how many partitions have stopped; `under_way` says what may
    still change the target.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        delivery: Delivery,
        store: StateStore,
        standing: Standing,
        verifying: Verifying[R],
        placing: Placing,
        through: Callable[[], datetime | None],
        halted: Callable[[], int],
        under_way: Callable[[], list[str]],
        naming: Naming,
        telemetry: PipelineTelemetry,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._delivery = delivery
        self._store = store
        self._standing = standing
        self._verifying = verifying
        self._placing = placing
        self._through = through
        self._halted = halted
        self._under_way = under_way
        self._naming = naming
        self._telemetry = telemetry
        self._late = Late()
        self._way = Way()
        self._begun_at: datetime | None = None
        self._remaining = Remaining(source, standing)
        self._lock = anyio.Lock()

    @property
    def status(self) -> DrainStatus | None:
        """What is known; None where there is no fence."""
        state = self._standing.state
        if state.fence is None:
            return None
        sealed = state.phase is Phase.SEALED
        return DrainStatus(
            fence=state.fence,
            released=state.released,
            drained_at=state.drained_at if sealed else self._way.drained_at,
            in_the_way=[] if sealed else self._way.reasons,
            late=max(self._late.count, self._waiting),
            late_at=self._late.last_at,
            emptied_at=self._remaining.emptied_at,
            under_way=self._under_way(),
        )

    @property
    def _waiting(self) -> int:
        """Messages that were sent to a queue after the seal, which nobody takes any more."""
        sealed = self._standing.state.phase is Phase.SEALED
        depth = self._remaining.depth
        return depth.messages if sealed and depth is not None else 0

    @property
    def named(self) -> NamedDrain | None:
        """The same, with names of records."""
        status = self.status
        names = [self._naming.key(key) for key in self._late.keys]
        return None if status is None else NamedDrain(**dict(status), late_keys=names)

    @property
    def is_drained(self) -> bool:
        """Whether nothing stood in the way when it was looked last."""
        return self._way.drained_at is not None

    async def take_up(self) -> None:
        """What an earlier run has left. What was written since it ended, only a comparison or a read will show."""
        self._begun_at = self._source.clock.latest()
        self._late = read_note(await self._store.load_note(self._pipeline, NOTE))
        state = self._standing.state
        if state.fence is not None:
            await self._source.take(_taking(state.phase, released=state.released))
            self._verifying.hurry(state.phase is Phase.DRAINING)

    def require_following(self) -> None:
        """Raises ConfigurationError where nothing is followed."""
        state = self._standing.state
        where = f"pipelines.{self._pipeline}"
        if state.mode is Mode.COPY:
            raise ConfigurationError(where, "is in mode copy, which ends by itself", "Drain pipelines that follow")
        if not state.phase.follows:
            raise ConfigurationError(where, f"is {state.phase}", "Drain it when it is following")

    async def begin(self) -> None:
        """The fence is now, also where there was one before. Raises ConfigurationError where nothing is followed."""
        self.require_following()
        async with self._placing.whole(), self._lock:  # only here late changes are noticed
            fence = self._source.clock.latest()
            await self._save(Late())
            self._way = Way()
            await self._standing.update(phase=Phase.DRAINING, fence=fence)
        self._verifying.hurry(True)
        self._telemetry.log.info("draining", fence=fence)

    async def release(self) -> None:
        """Takes from a held queue too, from now on. Idempotent.

        Raises ConfigurationError where it is not draining, or somebody else is still triggered by the queue.
        """
        if self._standing.state.phase is not Phase.DRAINING:
            raise ConfigurationError(f"pipelines.{self._pipeline}", "is not draining", "Begin to drain it first")
        await self._source.take(True)
        await self._standing.update(released=True)

    async def cancel(self) -> None:
        """Back to following; a queue that is held otherwise is held again. Idempotent."""
        if self._standing.state.phase is not Phase.DRAINING:
            return
        await self._source.take(None)
        async with self._lock:
            await self._standing.update(phase=Phase.FOLLOWING, fence=None, released=False)
            await self._save(Late())
            self._way = Way()
        self._verifying.hurry(False)
        self._telemetry.log.info("draining was given up: following again")

    def require_drained(self, *, force: bool) -> None:
        """Raises ConfigurationError where it may not be sealed; one that is sealed may."""
        where, asked = f"pipelines.{self._pipeline}", "Drain it first: replicator cutover drain"
        phase = self._standing.state.phase
        if phase not in {Phase.DRAINING, Phase.SEALED}:
            raise ConfigurationError(where, f"is {phase}", asked)
        if phase is Phase.DRAINING and not (self.is_drained or force):
            raise ConfigurationError(where, f"is not drained: {'; '.join(self._way.reasons)}", asked)

    async def seal(self, *, force: bool) -> None:
        """From now on nothing is written to the target, and nothing is taken from a queue. Idempotent.

        Raises ConfigurationError where it is not drained, unless forced, or no drain was begun.
        """
        async with self._lock:
            self.require_drained(force=force)
            if self._standing.state.phase is Phase.SEALED:
                return
            mark = self._mark()
            await self._standing.update(
                phase=Phase.SEALED, fence=mark, drained_at=self._way.drained_at, sealed_at=utc_now()
            )
            await self._save(Late())
        await self._source.take(False)
        self._telemetry.log.info("sealed", fence=mark, drained_at=self._standing.state.drained_at)

    async def notice(self, changes: Sequence[Change[R]]) -> bool:
        """Told of changes before they are applied; whether they still are to be. Those after the fence are durable as
        such when this returns, and so is whatever anybody writes after the seal.
        """
        if self._standing.state.fence is None:
            return True
        async with self._lock:
            fence, is_sealed = self._standing.state.fence, self._standing.state.phase is Phase.SEALED
            written = [c for c in changes if c.written_at is not None]
            late = [c for c in written if is_sealed or (fence and c.written_at and c.written_at > fence)]
            if late:
                await self._note(late, is_sealed=is_sealed)
        return not is_sealed

    async def run(self) -> None:
        """Looks at what stands in the way, while draining, and has both sides compared when nothing else does."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._remaining.run)
            while True:
                if self._standing.state.phase is Phase.DRAINING:
                    await self._look()
                await anyio.sleep(LOOK_INTERVAL_S)

    async def _look(self) -> None:
        through = self._through()
        letters = await self._store.dead_letter_summary(self._pipeline)
        if self._standing.state.fence is None:
            return  # it was given up meanwhile
        evidence = self._evidence(through, letters)
        async with self._lock:
            if self._standing.state.fence is None or self._mark() != evidence.mark:
                return  # it was given up meanwhile, or something was written, or the fence has moved
            reasons = in_the_way(evidence)
            if not reasons and self._way.drained_at is None:
                self._telemetry.log.info("drained", fence=evidence.mark)
            since = self._way.drained_at or self._source.clock.latest()
            self._way = Way(reasons, None if reasons else since)
        if reasons and not unsettled(evidence) and not evidence.differences:
            await self._verifying.start(Ask(), after=evidence.proof_mark)

    def _evidence(self, through: datetime | None, letters: DeadLetterSummary) -> Evidence:
        state, note = self._standing.state, self._verifying.note
        proof, by_time, mark = note.proof, idle_proves(self._source), self._mark()
        return Evidence(
            mark=mark,
            through=held_back(through, letters),
            idle_proves=by_time,
            oldest=self._source.clock.earliest() - self._source.settling - READING_WITHIN,
            proven_at=note.clean_since,
            proof_mark=mark if by_time or self._begun_at is None else max(mark, self._begun_at),
            differences=proof.differences if proof is not None and proof.began_at > self._mark() else 0,
            dead_letters=letters.count,
            suspects=len(self._delivery.suspects),
            halted=self._halted(),
            paused=state.paused,
            swept=state.copy_stage is CopyStage.SWEPT,
            depth=self._remaining.depth,
            unfinished=self._remaining.unfinished,
            late=self._late.count,
        )

    def _mark(self) -> datetime:
        fence = self._standing.state.fence
        assert fence is not None, "only asked while draining"  # noqa: S101
        return fence if self._late.last_at is None else max(fence, self._late.last_at)

    async def _note(self, late: Sequence[Change[R]], *, is_sealed: bool) -> None:
        known = self._late
        times = [c.written_at for c in late if c.written_at is not None]
        last = max([*times, known.last_at] if known.last_at else times)
        keys = tuple(dict.fromkeys([*known.keys, *(c.key for c in late)]))[:MOST_NAMED]
        await self._save(Late(known.count + len(late), last, keys))
        if self.is_drained:
            self._way = Way(["something was written after it had been drained"])
        self._telemetry.log.error(
            "written after the seal, and lost to the target" if is_sealed else "written after the fence",
            changes=len(late),
            last_at=last,
            first=[self._naming.key(change.key) for change in late[:3]],
        )

    async def _save(self, late: Late) -> None:
        await self._store.save_note(self._pipeline, NOTE, late.note())
        self._late = late


def _taking(phase: Phase, *, released: bool) -> bool | None:
    """Whether messages are taken in this phase; None is as configured."""
    if phase is Phase.SEALED:
        return False
    return True if released else None

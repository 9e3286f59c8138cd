"""Draining: everything that was written before the fence is at the target, and nothing was written after it.

The fence is a moment of the source's clock, taken when whoever writes there was stopped. A pipeline is drained when
nothing stands against it any more: the watermark has passed the fence, where the source proves time by being idle; a
complete comparison of both sides, begun after it, was clean; nothing is refused, in doubt, or still to be finished at
the source. A write after the fence is applied, counted and named, and takes that back: all of it must be shown anew,
past that write. What a service expires by itself is no such write.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Generic

import anyio

from replicator.clocks import elapsed_s, utc_now
from replicator.delivery import Delivery
from replicator.engine.rounds import Ask
from replicator.engine.standing import Standing
from replicator.engine.verifying import Verifying
from replicator.engine.watermark import held_back
from replicator.errors import ConfigurationError
from replicator.model import Barriers, Change, CopyStage, DeadLetterSummary, Depth, Mode, Phase, R
from replicator.naming import Naming
from replicator.ports import Source, StateStore
from replicator.status import DrainStatus, NamedDrain
from replicator.telemetry import PipelineTelemetry
from replicator.wording import counted

NOTE = "late"

MOST_NAMED = 10
"""Late writes that are told by their keys."""

LOOK_INTERVAL_S = 0.5

READING_WITHIN = timedelta(seconds=15)
"""A source that is read shows time at least so often, beyond what it takes to be sure."""

UNFINISHED_INTERVAL_S = 5.0
"""How often the source is asked for what is under way there, which may be several requests."""


NOT_ASKED = "the source was not asked yet for what is unfinished there"


@dataclass(frozen=True, slots=True)
class Late:
    """Writes after the fence: how many, when the last of them was, and the first records by their keys."""

    count: int = 0
    last_at: datetime | None = None
    keys: tuple[str, ...] = ()

    def note(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)


def read_note(text: str | None) -> Late:
    """The inverse of `Late.note`; none where there is no note."""
    if text is None:
        return Late()
    members = json.loads(text)
    at = members["last_at"]
    return Late(members["count"], None if at is None else datetime.fromisoformat(at), tuple(members["keys"]))


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is judged. Instants are by the source's clock.

    `mark` is the fence, or the last write after it. `through` is the watermark, held back by dead letters, which must
    have passed it where being idle proves time, and be not older than `oldest`: what stands still shows no late write.
    `proven_at` is when the last complete comparison that was clean began, which must be later than `proof_mark`,
    `differences` what the latest has left. `late` were written after the fence, which is no hindrance by itself.
    """

    mark: datetime
    through: datetime | None
    idle_proves: bool
    oldest: datetime
    proven_at: datetime | None
    proof_mark: datetime
    differences: int = 0
    dead_letters: int = 0
    suspects: int = 0
    halted: int = 0
    paused: bool = False
    swept: bool = True
    depth: Depth | None = None
    unfinished: Sequence[str] = ()
    late: int = 0


def settling_s(source: Source[R]) -> float:
    """How long after the last change a drain waits, at least, for the source to show that there was no other: not at
    all for one of which only a comparison shows it.
    """
    return source.settling.total_seconds() if idle_proves(source) else 0.0


def idle_proves(source: Source[R]) -> bool:
    """Whether a source that tells of nothing new shows by that, in time, that there was nothing."""
    return source.barriers is not Barriers.KEYS


def unsettled(e: Evidence) -> list[str]:
    """What stands against a comparison: as long as there is anything, it would only be made again. Pure."""
    found = ["it is paused: resume it"] if e.paused else []
    if not e.swept:
        found.append("the copy is not through")
    if e.depth is not None and e.depth.held:
        found.append(f"{counted(e.depth.messages, 'message is', 'messages are')} held: release the queue")
    elif e.idle_proves and (e.through is None or e.through <= e.mark):
        through = "unknown" if e.through is None else e.through.isoformat()
        found.append(f"replicated through {through}, which has not passed {e.mark.isoformat()}")
    elif e.idle_proves and e.through is not None and e.through < e.oldest:
        found.append(f"replicated through {e.through.isoformat()}, and nothing was read since {e.oldest.isoformat()}")
    if e.dead_letters:
        found.append(counted(e.dead_letters, "dead letter is open", "dead letters are open"))
    if e.suspects:
        found.append(counted(e.suspects, "record has", "records have") + " a request of unknown outcome")
    if e.halted:
        found.append(counted(e.halted, "partition has", "partitions have") + " stopped at a change that was refused")
    return [*found, *e.unfinished]


def in_the_way(e: Evidence) -> list[str]:
    """What stands against saying that it is drained; nothing when it is. Pure."""
    found = unsettled(e)
    if e.differences:
        found.append(counted(e.differences, "record differs", "records differ") + " by the last comparison: repair it")
    elif e.proven_at is None or e.proven_at <= e.proof_mark:
        found.append(f"no clean comparison was begun after {e.proof_mark.isoformat()} and has ended")
    if found and e.late:
        found.insert(0, counted(e.late, "change was", "changes were") + " written after the fence: stop whoever writes")
    return found


@dataclass(slots=True)
class Way:
    """What stands in the way, and since when nothing does."""

    reasons: list[str] = field(default_factory=lambda: ["it has only begun"])
    drained_at: datetime | None = None


class Draining(Generic[R]):
    """Of one pipeline. `through` is the watermark; `halted` how many partitions have stopped."""

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        delivery: Delivery,
        store: StateStore,
        standing: Standing,
        verifying: Verifying[R],
        through: Callable[[], datetime | None],
        halted: Callable[[], int],
        naming: Naming,
        telemetry: PipelineTelemetry,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._delivery = delivery
        self._store = store
        self._standing = standing
        self._verifying = verifying
        self._through = through
        self._halted = halted
        self._naming = naming
        self._telemetry = telemetry
        self._late = Late()
        self._way = Way()
        self._begun_at: datetime | None = None
        self._unfinished: list[str] = []
        self._depth: Depth | None = None
        self._asked_past: datetime | None = None
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
        )

    @property
    def _waiting(self) -> int:
        """Messages that were sent to a queue after the seal, which nobody takes any more."""
        sealed = self._standing.state.phase is Phase.SEALED
        return self._depth.messages if sealed and self._depth is not None else 0

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
        async with self._lock:
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
            tasks.start_soon(self._ask_source)
            while True:
                if self._standing.state.phase is Phase.DRAINING:
                    await self._look()
                await anyio.sleep(LOOK_INTERVAL_S)

    async def _ask_source(self) -> None:
        """What waits and what is unfinished there: at once when there is a fence, and now and then from there on."""
        asked_at = float("-inf")
        while True:
            state = self._standing.state
            is_due = state.fence != self._asked_past or elapsed_s() - asked_at >= UNFINISHED_INTERVAL_S
            if state.phase in {Phase.DRAINING, Phase.SEALED} and is_due:
                asked_at = elapsed_s()
                self._depth = await self._source.depth() if self._source.barriers is Barriers.NOTHING else None
                self._unfinished = await self._source.unfinished()
                self._asked_past = state.fence
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
            depth=self._depth,
            unfinished=self._unfinished if self._asked_past == state.fence else [NOT_ASKED],
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

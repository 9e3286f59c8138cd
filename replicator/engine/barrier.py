"""Waiting until what was written at the source is at the target, and stays.

**A record** takes the guarded procedure, begun after the question: the source is read consistently, and the target is
made equal to it. That both were equal would not be enough: a record that went from X to Y and back to X may still have
Y on its way. So from then on the stream's changes of that key are guarded: one that is older is dropped, one of which
that is not known is reconciled, none is written plainly. No plain write of the key is under way any more, and that it
is guarded is stored before anything is read, so this holds across a crash. What is being written for somebody who has
stopped waiting is finished all the same: cut off, it would be in doubt for as long as a request may live.

**Everything** is settled when the watermark has passed the question, nothing is a dead letter, and no request of
unknown outcome from before that is still under way, be it of another replica: those give back all partitions for it.

In both cases the lease is held at last: what was seen before it was lost says nothing about a target that another
daemon writes.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Generic

import anyio

from replicator.clocks import elapsed_s
from replicator.delivery import Delivery
from replicator.engine.mending import Mending
from replicator.engine.placing import Placing
from replicator.engine.standing import Standing
from replicator.model import Barriers, Mode, Phase, R
from replicator.ports import Source, StateStore
from replicator.wording import counted

ORIGIN = "barrier"

MOST_WAITING = 1000
"""So many may wait at a time; each holds no more than its keys."""

MOST_AT_WORK = 64
"""Records that are looked at, and written, at a time."""

LOOK_INTERVAL_S = 0.05
"""How often it is looked whether everything is settled: part of that is only in the store."""


Work = Callable[[str], Coroutine[Any, Any, None]]
"""What is done about one key."""


class Verdict(Enum):
    """How a wait ended. LATE: not within the time. REFUSED: to wait longer or again would be in vain, INVALID: whatever
    happens. UNAVAILABLE: not now, and not from this process maybe. CROWDED: too many wait.
    """

    SETTLED = "settled"
    LATE = "late"
    REFUSED = "refused"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    CROWDED = "crowded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told to whoever waits; `reason` says what was missing, and names no key."""

    verdict: Verdict
    reason: str = ""


SETTLED = Answer(Verdict.SETTLED)

SEALED = Answer(Verdict.REFUSED, "the pipeline is sealed")

STOPPING = Answer(Verdict.UNAVAILABLE, "the pipeline is being stopped, or has not begun")


@dataclass(slots=True, eq=False)
class Turn:
    """One procedure for one key, for all who asked before it began."""

    stage: str = "the turn of this record"
    answer: Answer = STOPPING
    done: anyio.Event = field(default_factory=anyio.Event)


class Barrier(Generic[R]):
    """That of one pipeline. `spawn` starts something that is finished before the pipeline ends, and answers False where
    nothing is begun any more; `settled_through` is the watermark, `halted` how many partitions have stopped.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        mode: Mode,
        source: Source[R],
        delivery: Delivery,
        store: StateStore,
        standing: Standing,
        mending: Mending[R],
        placing: Placing,
        spawn: Callable[[Work | None, str], bool],
        settled_through: Callable[[], datetime | None],
        halted: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._mode = mode
        self._source = source
        self._delivery = delivery
        self._store = store
        self._standing = standing
        self._mending = mending
        self._placing = placing
        self._spawn = spawn
        self._settled_through = settled_through
        self._halted = halted
        self._waiting = 0
        self._next: dict[str, Turn] = {}
        self._working: set[str] = set()
        self._slots = anyio.Semaphore(MOST_AT_WORK)

    async def wait(self, keys: Sequence[str], timeout_s: float) -> Answer:
        """Until what was committed before the call is at the target: of these keys, or all there is without any."""
        refusal = self._refusal(keys)
        if refusal is not None:
            return refusal
        if self._waiting >= MOST_WAITING:
            return Answer(Verdict.CROWDED, f"{MOST_WAITING} others are waiting")
        self._waiting += 1
        try:
            return await (self._records(keys, timeout_s) if keys else self._everything(timeout_s))
        finally:
            self._waiting -= 1

    def _refusal(self, keys: Sequence[str]) -> Answer | None:
        can = self._source.barriers
        if self._mode is Mode.COPY:
            return Answer(Verdict.REFUSED, "in mode copy nothing is followed")
        if can is Barriers.NOTHING:
            return Answer(Verdict.REFUSED, "messages are passed on: neither side can be asked for one")
        if can is Barriers.KEYS and not keys:
            return Answer(Verdict.REFUSED, "nothing proves that no change is still to come: ask for single keys")
        if not all(map(self._source.is_key, keys)):
            return Answer(Verdict.INVALID, "a key is not the text of one that a record of this source may have")
        return self._refusal_for_now()

    def _refusal_for_now(self) -> Answer | None:
        state = self._standing.state
        if self._standing.is_failed:
            return Answer(Verdict.REFUSED, f"the pipeline has failed: {state.failure}")
        if not self._spawn(None, ""):
            return STOPPING
        if state.paused:
            return Answer(Verdict.REFUSED, "the pipeline is paused: resume it first")
        if not state.phase.follows:
            return SEALED if state.phase is Phase.SEALED else Answer(Verdict.REFUSED, "the copy is not through")
        return None

    # --- records

    async def _records(self, keys: Sequence[str], timeout_s: float) -> Answer:
        turns = [self._turn(key) for key in dict.fromkeys(keys)]
        with anyio.move_on_after(timeout_s):
            for turn in turns:
                await turn.done.wait()
        left = [turn for turn in turns if not turn.done.is_set()]
        if left:
            more = f", and {len(left) - 1} more" if len(left) > 1 else ""
            return Answer(Verdict.LATE, f"waiting for {left[0].stage}{more}")
        return next((turn.answer for turn in turns if turn.answer is not SETTLED), SETTLED)

    def _turn(self, key: str) -> Turn:
        """The next one of this key that has not begun."""
        turn = self._next.setdefault(key, Turn())
        if key not in self._working:
            self._working.add(key)
            if not self._spawn(self._work, key):
                self._give_up(key)
        return turn

    async def _work(self, key: str) -> None:
        """One turn after the other, as long as anybody asks."""
        try:
            while key in self._next:
                async with self._slots:
                    turn = self._next.pop(key)  # who asks from here on needs the next one
                    try:
                        turn.answer = await self._settle(key, turn)
                    finally:
                        turn.done.set()
        finally:
            self._give_up(key)

    def _give_up(self, key: str) -> None:
        self._working.discard(key)
        turn = self._next.pop(key, None)
        if turn is not None:
            turn.done.set()

    async def _settle(self, key: str, turn: Turn) -> Answer:
        def tell(stage: str) -> None:
            turn.stage = stage

        if self._standing.state.phase is Phase.SEALED:  # it was its turn only now
            return SEALED
        rejections = await self._mending.mend(ORIGIN, {key: self._settled_through()}, tell)
        for rejection in rejections:
            return Answer(Verdict.REFUSED, f"the target refuses the record: {rejection.reason}")
        turn.stage = "the lease to be renewed"
        await self._delivery.lease_held()
        return SETTLED

    # --- everything

    async def _everything(self, timeout_s: float) -> Answer:
        moment = self._source.clock.latest()
        missing = ""
        with anyio.move_on_after(timeout_s):
            while missing := await self._missing(moment):
                refusal = self._refusal(())
                if refusal is not None:
                    return refusal
                await anyio.sleep(LOOK_INTERVAL_S)
            missing = "requests of unknown outcome to be over"
            async with self._placing.whole():
                await anyio.sleep(max(0.0, self._delivery.suspects.latest - elapsed_s()))
            missing = "the lease to be renewed"
            await self._delivery.lease_held()
            return SETTLED
        return Answer(Verdict.LATE, f"waiting for {missing or 'the state store'}")

    async def _missing(self, moment: datetime) -> str:
        """The watermark is read before the dead letters, which are durable before it passes them."""
        through = self._settled_through()
        letters = await self._store.dead_letter_summary(self._pipeline)
        if self._halted():
            return counted(self._halted(), "partition that has", "partitions that have") + " stopped at a dead letter"
        if letters.count:
            return counted(letters.count, "dead letter", "dead letters") + " to be resolved"
        if through is None or through <= moment:
            reached = through.isoformat() if through else "an unknown instant"
            return f"changes before {moment.isoformat()}: the target is replicated through {reached}"
        return ""

"""Verification of a pipeline that runs: rounds one after the other, when they are asked for and at intervals.

What is remembered is one note, so a restart goes on with the round that was under way. A round reads at a rate of its
own, far below what following needs, and beside that within the read budget of the source.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic

import anyio

from replicator.clocks import elapsed_s
from replicator.delivery import RateBudget
from replicator.engine.comparing import Sides
from replicator.engine.doubting import Doubting
from replicator.engine.gate import Gate
from replicator.engine.ledger import Ledger
from replicator.engine.rounds import ABSENT, Ask, Difference, Note, Round, read_note, write_note
from replicator.engine.standing import Standing
from replicator.engine.surveying import Surveying
from replicator.errors import ConfigurationError
from replicator.model import Barriers, CopyStage, Phase, R
from replicator.ports import Source, StateStore, Target
from replicator.telemetry import PipelineTelemetry

NOTE = "verification"
LEDGER_NOTE = "ledger"

LOOK_INTERVAL_S = 1.0
"""How often it is looked whether a round is due."""

LEDGER_SAVE_S = 30.0

IN_HAND_S = 60.0
"""A message that is in hand for so long after everything else was compared is unsettled."""


@dataclass(frozen=True, slots=True)
class VerificationOptions:
    """`continuous`: a round every `interval_s` without being asked. `records_per_s`: how fast records are compared.
    `remove_foreign`: whether a repair removes what is not ours.
    """

    continuous: bool = False
    interval_s: float = 86_400.0
    records_per_s: float = 100.0
    remove_foreign: bool = False


class Verifying(Generic[R]):
    """The rounds of one pipeline. `through` is the watermark, or now where nothing is followed; `mend` is the guarded
    procedure for keys.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        target: Target[R],
        store: StateStore,
        standing: Standing,
        ledger: Ledger,
        through: Callable[[], datetime | None],
        mend: Callable[[Sequence[str]], Awaitable[None]],
        options: VerificationOptions,
        telemetry: PipelineTelemetry,
        gate: Gate,
    ) -> None:
        self.note = Note()
        self._pipeline = pipeline
        self._source = source
        self._target = target
        self._store = store
        self._standing = standing
        self._ledger = ledger
        self._through = through
        self._mend = mend
        self._options = options
        self._budget = RateBudget(options.records_per_s)
        self._telemetry = telemetry
        self._gate = gate
        self._wake = anyio.Event()
        self._ended = anyio.Event()
        self._hurries = False

    @property
    def ledger(self) -> dict[str, int]:
        """Messages by what became of them; all zero where there are none."""
        return self._ledger.counts

    async def load(self) -> None:
        """Takes up what the store remembers, before anything runs."""
        self.note = read_note(await self._store.load_note(self._pipeline, NOTE))
        if self.note.round is not None and self.note.is_under_way:
            self.note.round.fast = self.note.round.through_at is not None and self.note.round.fast
        self._ledger.read(await self._store.load_note(self._pipeline, LEDGER_NOTE))

    def hurry(self, hurries: bool) -> None:
        """Compares as fast as the source's budget allows, from now on, or as configured."""
        self._hurries = hurries
        self._pace()

    def _pace(self) -> None:
        """What is slow for a while is no fast round any more."""
        round_ = self.note.round if self.note.is_under_way else None
        fast = self._hurries or (round_ is not None and round_.ask.fast)
        if round_ is not None and round_.through_at is None:
            round_.fast = round_.fast and fast
        self._budget.set_rate(None if fast else self._options.records_per_s)

    async def start(self, ask: Ask, *, after: datetime | None = None) -> Round:
        """The round under way, if it does what is asked and was begun after that moment of the source's clock, or else
        a new one in its place; durable when this returns.

        Raises ConfigurationError where nothing can be compared now.
        """
        self.require_ready()
        current = self.note.round
        new_enough = after is None or (current is not None and current.began_at > after)
        if current is not None and self.note.is_under_way and current.ask.covers(ask) and new_enough:
            return current
        return await self._begin(ask)

    def require_ready(self) -> None:
        """Raises ConfigurationError where nothing can be compared now."""
        where = f"pipelines.{self._pipeline}"
        if self._gate.is_closed:
            raise ConfigurationError(where, "is paused", "Resume it first: replicator resume")
        if not self._is_ready:
            raise ConfigurationError(where, "is still being copied", "Wait until its copy is finished and swept")

    async def ended(self) -> Round:
        """The latest round, once it has come to its end; another one may have taken its place by then."""
        while self.note.is_under_way:
            await self._ended.wait()
        assert self.note.round is not None, "one must have been started"  # noqa: S101
        return self.note.round

    async def run(self) -> None:
        """Until cancelled: goes on with the round that was under way, and with those that become due."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_ledger)
            while True:
                wake = self._wake = anyio.Event()
                if self._is_due:
                    await self._begin(Ask())
                if self._is_ready and self.note.is_under_way:
                    await self._go_round()
                else:
                    with anyio.move_on_after(LOOK_INTERVAL_S):
                        await wake.wait()

    @property
    def _is_ready(self) -> bool:
        state = self._standing.state
        return state.phase.compares and state.copy_stage is CopyStage.SWEPT and not self._gate.is_closed

    @property
    def _is_due(self) -> bool:
        if not (self._options.continuous and self._is_ready) or self.note.is_under_way:
            return False
        interval, proof = timedelta(seconds=self._options.interval_s), self.note.proof
        return proof is None or self._source.clock.latest() >= proof.began_at + interval

    async def _begin(self, ask: Ask) -> Round:
        round_ = Round(began_at=self._source.clock.earliest(), ask=ask, fast=True)
        self.note.begin(round_)
        self._pace()
        await self._save()
        self._wake.set()
        self._telemetry.log.info(
            "verification begins", sample=ask.sample, contents=ask.contents, repair=ask.repair, at=round_.began_at
        )
        return round_

    async def _go_round(self) -> None:
        round_ = self.note.round
        assert round_ is not None  # noqa: S101
        sides = Sides(self._source, self._target, contents=round_.ask.contents)
        doubting = Doubting(
            pipeline=self._pipeline,
            round_=round_,
            source=self._source,
            sides=sides,
            store=self._store,
            through=self._through,
            mend=self._mend,
        )
        surveying = Surveying(
            round_=round_,
            source=self._source,
            target=self._target,
            sides=sides,
            doubting=doubting,
            budget=self._budget,
            save=self._save,
            is_wanted=lambda: self.note.round is round_,
            remove_foreign=self._options.remove_foreign,
            gate=self._gate,
        )
        if await surveying.run() and await self._messages(round_):
            await self._end(round_)

    async def _messages(self, round_: Round) -> bool:
        """All that were in hand by now must have met their fate; False when the round is not wanted any more."""
        waiting, until = self._ledger.in_hand, elapsed_s() + IN_HAND_S
        while waiting and elapsed_s() < until and self.note.round is round_:
            await anyio.sleep(LOOK_INTERVAL_S)
            waiting &= self._ledger.in_hand
        for id_ in sorted(waiting):
            round_.is_unsettled(Difference(id_, "in_hand", "received", "unknown"))
        for id_ in self._ledger.lost:
            round_.differs(Difference(id_, "lost", "settled", ABSENT))
        round_.differences += self._ledger.lost_count - len(self._ledger.lost)
        if self._standing.state.phase is Phase.COPIED:
            await self._left_over(round_)
        return self.note.round is round_

    async def _left_over(self, round_: Round) -> None:
        """Where nothing is received any more, what waits in a queue is not on its way."""
        depth = await self._source.depth() if self._source.barriers is Barriers.NOTHING else None
        if depth is not None and depth.waiting:
            round_.waits(depth.waiting)

    async def _end(self, round_: Round) -> None:
        round_.ended_at = self._source.clock.latest()
        self.note.ended()
        self._pace()
        await self._save()
        self._ended.set()
        self._ended = anyio.Event()
        log = self._telemetry.log
        (log.info if round_.is_clean else log.warning)(
            "verification ended",
            compared=round_.compared,
            differences=round_.differences,
            repaired=round_.repaired,
            unsettled=round_.unsettled,
            foreign=round_.foreign,
            began_at=round_.began_at,
        )

    async def _save(self) -> None:
        await self._store.save_note(self._pipeline, NOTE, write_note(self.note))

    async def _keep_ledger(self) -> None:
        """Saved now and then: what is lacking there after a crash comes again, or has passed."""
        while True:
            await anyio.sleep(LEDGER_SAVE_S)
            if self._ledger.changed:
                await self._store.save_note(self._pipeline, LEDGER_NOTE, self._ledger.write())

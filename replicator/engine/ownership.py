"""Who may write a target: this migration, with this state store, in its present epoch, and nobody else.

The target's marker carries the migration's id, the epoch and a generation that changes at every start and every few
seconds. The store announces a generation before it is written and confirms it afterwards, so a crash in between leaves
no doubt, while a store that was deleted, restored from a copy or made by a second daemon does not know the generation
that the target shows.
"""

import uuid
from dataclasses import replace
from enum import Enum

from replicator.errors import ConfigurationError, ForeignOwnerError
from replicator.model import EVERYBODYS, Budgets, Marker, Mode, Phase, PipelineState
from replicator.ports import R, StateStore, Target


class Claim(Enum):
    """How a pipeline begins."""

    FRESH = "fresh"
    RESUME = "resume"
    ADOPT = "adopt"


ADOPT_HINT = (
    "If this daemon shall take the target over as it is, make sure that no other one runs and start it once with "
    "--adopt: every record is then compared with the source and repaired where it differs"
)


def judge(state: PipelineState | None, marker: Marker | None, migration: str, *, empty: bool) -> Claim | str:
    """How to begin, or what stands against it. Pure."""
    if marker == EVERYBODYS:
        return Claim.FRESH if state is None or state.phase is Phase.FAILED else Claim.RESUME
    if state is None or not state.generation:
        return _judge_unconfirmed(state, marker, empty=empty)
    if marker is None:
        return "the target's marker is gone: the target was deleted or replaced since the last run"
    if marker.migration != migration:
        return f"the target belongs to another migration, {marker.migration}"
    if marker.epoch != state.epoch:
        return f"the target is in epoch {marker.epoch}, this state store in epoch {state.epoch}"
    if marker.generation not in {state.generation, state.pending_generation}:
        return "this state store is older than the target: it was restored from a copy, or another daemon has run since"
    if marker.obstacle:
        return marker.obstacle
    return state.failure if state.phase is Phase.FAILED else Claim.RESUME


def _judge_unconfirmed(state: PipelineState | None, marker: Marker | None, *, empty: bool) -> Claim | str:
    """The store knows of no claim that the target has confirmed: none was made, or it was cut off in the middle."""
    if state is not None and marker is not None and marker.generation == state.pending_generation:
        return Claim.RESUME
    if state is not None and state.repairing:
        return Claim.ADOPT
    if marker is not None:
        return f"the target belongs to migration {marker.migration}, which this state store does not know"
    return Claim.FRESH if empty else "the target is not empty"


class Ownership:
    """The claim of one pipeline on its target."""

    def __init__(self, pipeline: str, target: Target[R], store: StateStore, mode: Mode = Mode.ASYNC) -> None:
        self._pipeline = pipeline
        self._mode = mode
        self._target = target
        self._store = store
        self._migration = ""
        self._marker: Marker | None = None
        self._state: PipelineState | None = None

    async def judge(self, *, adopt: bool) -> Claim | None:
        """Reads both sides and changes nothing; None for a pipeline that has failed and stays so.

        Raises ConfigurationError when the target is not ours to write and `adopt` was not asked for.
        """
        self._migration = await self._store.migration_id()
        self._state = await self._store.load_pipeline(self._pipeline)
        self._marker = await self._target.read_marker()
        empty = await self._target.is_empty()
        verdict = judge(self._state, self._marker, self._migration, empty=empty)
        if verdict is Claim.RESUME and self._state is not None and not _goes_on(self._state.mode, self._mode):
            if self._marker == EVERYBODYS:
                return Claim.FRESH
            verdict = f"was begun in mode {self._state.mode.value}, which mode {self._mode.value} does not go on with"
        if isinstance(verdict, Claim):
            return verdict
        if adopt:
            return Claim.ADOPT
        if self._state is not None and self._state.phase is Phase.FAILED:
            return None
        raise ConfigurationError(f"pipelines.{self._pipeline}.target", verdict, ADOPT_HINT)

    async def take(self, claim: Claim) -> PipelineState:
        """Writes the marker; returns the state to begin with."""
        if claim is Claim.RESUME and self._state is not None:
            return await self._shown(await self.announce(replace(self._state, mode=self._mode)))
        epoch = 1 + max(self._state.epoch if self._state else 0, self._marker.epoch if self._marker else 0)
        repairing = claim is Claim.ADOPT
        state = PipelineState(
            epoch=epoch,
            mode=self._mode,
            repairing=repairing,
            guarding=repairing,
            pending_generation=_new_generation(),
            paused=self._state.paused if self._state else False,
            budgets=self._state.budgets if self._state else Budgets(),
        )
        await self._store.begin_epoch(self._pipeline, state)
        return await self._shown(state)

    async def announce(self, state: PipelineState) -> PipelineState:
        """Saves which generation the target is to show next; `show` follows, and then `confirm`, every few seconds.

        What it shows now stays known until it surely shows the next: crashes in a row leave no doubt. From now on no
        state may be saved that is older than the one returned here; a later one, made from it, may.
        """
        shown = state.generation if self._marker is None else self._marker.generation
        announced = replace(state, generation=shown, pending_generation=_new_generation())
        await self._store.save_pipeline(self._pipeline, announced)
        return announced

    async def show(self, state: PipelineState) -> None:
        """Moves the target on to what was announced, which takes as long as the target does not answer.

        Raises ForeignOwnerError when somebody else did.
        """
        marker = Marker(self._migration, state.epoch, state.pending_generation)
        if not await self._target.write_marker(marker, self._marker):
            raise ForeignOwnerError(
                f"pipelines.{self._pipeline}.target: another daemon has written the target's marker. "
                "Stop whichever is not meant to run; no record was harmed by this one since it noticed"
            )
        self._marker = marker

    async def confirm(self, state: PipelineState) -> PipelineState:
        """Saves that the target shows what was announced; returns that state."""
        confirmed = replace(state, generation=state.pending_generation)
        await self._store.save_pipeline(self._pipeline, confirmed)
        return confirmed

    async def _shown(self, state: PipelineState) -> PipelineState:
        await self.show(state)
        return await self.confirm(state)


def _goes_on(before: Mode, now: Mode) -> bool:
    """Whether one mode goes on where the other one stood: what is followed is followed from the same positions."""
    return (before is Mode.COPY) == (now is Mode.COPY)


def _new_generation() -> str:
    return uuid.uuid4().hex

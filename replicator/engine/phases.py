"""When a pipeline moves from one phase to the next. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from replicator.model import CopyStage, Mode, Phase, PipelineState


@dataclass(frozen=True, slots=True)
class Progress:
    """What the rules look at: the watermark, whether any key is guarded, and whether there was anything to copy."""

    watermark: datetime | None
    guarded: bool = False
    copied: bool = True


def next_state(state: PipelineState, progress: Progress) -> PipelineState:
    """The state after this progress; the same where nothing changes.

    `following` begins when the copy has finished and the watermark has passed the instant at which it did: from then on
    the target is the source of some single moment for every key, and only moves forward. Where there was nothing to
    copy it always does.
    """
    if state.mode is Mode.COPY:
        done = state.phase is Phase.COPYING and state.copy_stage is CopyStage.SWEPT
        return replace(state, phase=Phase.COPIED, repairing=False) if done else state
    if state.phase is Phase.COPYING and state.copy_stage is not CopyStage.RUNNING:
        passed = _is_later(progress.watermark, state.copy_finished_at) or not progress.copied
        return replace(state, phase=Phase.FOLLOWING, repairing=False) if passed else state
    if state.phase.follows and state.guarding and not progress.guarded:
        return replace(state, guarding=False)
    return state


def _is_later(watermark: datetime | None, moment: datetime | None) -> bool:
    return watermark is not None and moment is not None and watermark > moment

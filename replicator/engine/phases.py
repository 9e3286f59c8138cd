"""When a pipeline moves from one phase to the next. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from replicator.model import CopyStage, Phase, PipelineState


@dataclass(frozen=True, slots=True)
class Progress:
    """What the rules look at: the watermark of the followed partitions, and whether any key is still guarded."""

    watermark: datetime | None
    guarded: bool


def next_state(state: PipelineState, progress: Progress) -> PipelineState:
    """The state after this progress; the same where nothing changes.

    `following` begins when the copy has finished and the watermark has passed the instant at which it did: from then on
    the target is the source of some single moment for every key, and only moves forward.
    """
    copied_at = state.copy_finished_at
    if state.phase is Phase.COPYING and state.copy_stage is not CopyStage.RUNNING:
        if copied_at is not None and progress.watermark is not None and progress.watermark > copied_at:
            return replace(state, phase=Phase.FOLLOWING, repairing=False)
        return state
    if state.phase is Phase.FOLLOWING and state.guarding and not progress.guarded:
        return replace(state, guarding=False)
    return state

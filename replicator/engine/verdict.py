"""What came of a pipeline in mode copy: told by what is remembered, so it is the same after a restart. Pure but for
the reading of it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from replicator.config.models import MigrationConfig
from replicator.config.sides import sides_text
from replicator.engine.rounds import Round, read_note
from replicator.engine.verifying import NOTE as VERIFICATION_NOTE
from replicator.model import Mode, Phase, PipelineState
from replicator.ports import StateStore

SIDES_NOTE = "copied"
"""Of a pipeline in mode copy: its two sides, so that a verdict is never told of others."""


class Result(StrEnum):
    """FAILED: it has stopped for good. UNFINISHED: not all is copied and compared. DIFFERENT: something differs, is
    unsettled, or was left out as a dead letter. EQUAL: none of that.
    """

    FAILED = "failed"
    UNFINISHED = "unfinished"
    DIFFERENT = "different"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one pipeline. `found` is the latest comparison, None where there was none yet."""

    state: PipelineState
    found: Round | None
    dead_letters: int

    @property
    def result(self) -> Result:
        """What was repaired in a comparison is known to be equal by the next one only."""
        if self.state.phase is Phase.FAILED:
            return Result.FAILED
        found = self.found
        if self.state.mode is not Mode.COPY or self.state.phase is not Phase.COPIED or found is None:
            return Result.UNFINISHED
        if found.ended_at is None or found.ask.sample is not None:
            return Result.UNFINISHED
        return Result.EQUAL if found.is_clean and not (found.repaired or self.dead_letters) else Result.DIFFERENT


def is_begun_again(results: Collection[Result]) -> bool:
    """Whether the next start compares all of them again: a verdict was told, and it was none to move traffic by. What
    was cut off before that goes on, and what was found equal meanwhile is so still. Pure.
    """
    return Result.UNFINISHED not in results and any(result is not Result.EQUAL for result in results)


async def load_verdict(store: StateStore, pipeline: str) -> Verdict:
    """As the state store remembers it."""
    return Verdict(
        state=await store.load_pipeline(pipeline) or PipelineState(epoch=0),
        found=read_note(await store.load_note(pipeline, VERIFICATION_NOTE)).round,
        dead_letters=(await store.dead_letter_summary(pipeline)).count,
    )


async def is_over(config: MigrationConfig, store: StateStore) -> bool:
    """Whether all of it was copied and found equal before: then nothing is looked at, and nothing written, any more."""
    for name, pipeline in config.pipelines.items():
        is_same = await store.load_note(name, SIDES_NOTE) == sides_text(pipeline)
        if not is_same or (await load_verdict(store, name)).result is not Result.EQUAL:
            return False
    return True

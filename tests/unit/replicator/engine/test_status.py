"""Promise: whatever needs somebody's attention is said in words, and all of it."""

from replicator.engine.status import problems
from replicator.model import Phase, PipelineState

FOLLOWING = PipelineState(epoch=1, phase=Phase.FOLLOWING)


def test_a_pipeline_that_is_well_has_no_problems() -> None:
    assert problems(FOLLOWING, {}, 0) == []
    assert problems(PipelineState(epoch=1), {}, 0) == [], "copying is no problem"


def test_every_problem_is_named() -> None:
    state = PipelineState(epoch=1, phase=Phase.FAILED, failure="the position was trimmed")
    assert problems(state, {"source": "no answer", "target": "[429] busy"}, 2) == [
        "source is failing: no answer",
        "target is failing: [429] busy",
        "failed: the position was trimmed",
        "2 dead letters are open",
    ]
    assert problems(FOLLOWING, {}, 1) == ["1 dead letter is open"]

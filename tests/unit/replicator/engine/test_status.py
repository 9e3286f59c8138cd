"""Promises: whatever needs somebody's attention is said in words, and all of it; no number is better than the truth."""

import anyio

from fakes.daemons import Place
from fakes.records import key_of
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.engine.status import problems
from replicator.model import DeadLetterSummary, Phase, PipelineState

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


class SlowlySummed(InlineStore):
    """Says how many dead letters there were when it was asked, some seconds later."""

    async def dead_letter_summary(self, pipeline: str) -> DeadLetterSummary:
        found = await super().dead_letter_summary(pipeline)
        await anyio.sleep(5)
        return found


@in_virtual_time
async def test_the_watermark_does_not_pass_a_change_that_is_refused_while_the_status_is_being_taken() -> None:
    place = Place("orders")
    place.services["orders"].refuses = lambda _: "poison"
    async with place.store, anyio.create_task_group() as tasks:
        store = SlowlySummed()
        store._connection = place.store._connection
        daemon = place.daemon(store=store)
        tasks.start_soon(daemon.run)
        await anyio.sleep(30.3)
        place.tables["orders"].put("n0")
        ((refused_at, _),) = place.tables["orders"].history["n0"]
        for _ in range(300):
            await anyio.sleep(0.1)
            through = daemon.statuses["orders"].replicated_through
            assert through is not None
            assert through.timestamp() <= refused_at
        assert daemon.statuses["orders"].dead_letters == 1
        assert await store.dead_letters_of("orders", [key_of("n0")])
        daemon.stop()

"""Promises of the engine's small pure parts: folding, phases, work under way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import delete, key_of, number_in, upsert
from fakes.virtual import in_virtual_time
from replicator.engine.folding import fold
from replicator.engine.inflight import Inflight
from replicator.engine.phases import Progress, next_state
from replicator.model import CopyStage, Operation, Phase, PipelineState

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20))
def test_folding_keeps_the_last_change_of_each_key_in_the_order_of_those(steps: list[tuple[str, bool]]) -> None:
    changes = [upsert(name, i) if there else delete(name) for i, (name, there) in enumerate(steps)]
    folded = fold(changes)
    assert len({c.key for c in folded}) == len(folded) == len({name for name, _ in steps})
    last = {key_of(name): changes[i] for i, (name, _) in enumerate(steps)}
    assert folded == [c for i, c in enumerate(changes) if last[c.key] is c and c not in changes[i + 1 :]]
    assert fold(folded) == folded


def test_folding_ends_in_the_same_state_as_every_change_one_by_one() -> None:
    changes = [upsert("a", 1), delete("a"), upsert("b", 2), upsert("a", 3), delete("b")]
    state: dict[str, int | None] = {}
    for change in fold(changes):
        state[change.key] = None if change.operation is Operation.DELETE else number_in(change.record)
    assert state == {key_of("a"): 3, key_of("b"): None}


COPIED = PipelineState(epoch=1, repairing=True, guarding=True, copy_stage=CopyStage.FINISHED, copy_finished_at=T0)
AFTER = T0 + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("state", "watermark"),
    [
        (replace(COPIED, copy_stage=CopyStage.RUNNING, copy_finished_at=None), AFTER),
        (replace(COPIED, copy_stage=CopyStage.RUNNING), AFTER),
        (COPIED, None),
        (COPIED, T0),
        (COPIED, T0 - timedelta(seconds=1)),
        (replace(COPIED, copy_finished_at=None), AFTER),
        (replace(COPIED, phase=Phase.FAILED), AFTER),
    ],
)
def test_following_does_not_begin_before_the_stream_has_passed_the_copy(
    state: PipelineState, watermark: datetime | None
) -> None:
    assert next_state(state, Progress(watermark, guarded=False)) == state


@pytest.mark.parametrize("stage", [CopyStage.FINISHED, CopyStage.SWEPT])
def test_following_begins_once_the_stream_has_passed_the_copy_and_ends_the_repair(stage: CopyStage) -> None:
    state = replace(COPIED, copy_stage=stage)
    after = next_state(state, Progress(AFTER, guarded=True))
    assert (after.phase, after.repairing, after.guarding) == (Phase.FOLLOWING, False, True)


def test_guarding_is_remembered_as_long_as_any_key_is_guarded() -> None:
    state = replace(COPIED, phase=Phase.FOLLOWING, repairing=False)
    assert next_state(state, Progress(AFTER, guarded=True)) == state
    assert not next_state(state, Progress(AFTER, guarded=False)).guarding


@in_virtual_time
async def test_waiting_for_work_under_way_does_not_wait_for_what_began_later() -> None:
    inflight, order = Inflight(), list[str]()

    async def work(name: str, seconds: float) -> None:
        with inflight.entered():
            await anyio.sleep(seconds)
            order.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work, "past", 2)
        await anyio.sleep(1)

        async def wait() -> None:
            await inflight.drained()
            order.append("drained")

        tasks.start_soon(wait)
        await anyio.sleep(0.5)
        tasks.start_soon(work, "future", 10)
    assert order == ["past", "drained", "future"]


@in_virtual_time
async def test_work_that_fails_has_left_too() -> None:
    inflight = Inflight()
    with pytest.raises(ZeroDivisionError), inflight.entered():
        raise ZeroDivisionError
    await inflight.drained()

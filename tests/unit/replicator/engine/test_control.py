"""Promises of pausing, resuming and budgets at run time."""

import math
from dataclasses import replace

import anyio
import pytest

from connectors.aws.budget import YieldingBudget
from fakes.memory import Fate, refused
from fakes.records import document, key_of
from fakes.rig import NAME, Rig, load
from fakes.scripted import ScriptedSource
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.engine.barrier import SETTLED, Verdict
from replicator.engine.rounds import Ask
from replicator.engine.verifying import VerificationOptions
from replicator.errors import ConfigurationError, TransientError
from replicator.model import Budgets, Phase, PipelineState
from replicator.state.rows import read_state, state_text

LONGER_THAN_A_READ_S = 10.0


@in_virtual_time
async def test_a_paused_pipeline_reads_nothing_and_its_lag_goes_on_growing() -> None:
    rig = Rig(shards=2)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.control.pause()
        await anyio.sleep(LONGER_THAN_A_READ_S)
        read, through, generation = pipeline.telemetry.totals.read, pipeline.replicated_through, rig.service.marker
        rig.table.put("n0")
        await anyio.sleep(600)
        assert pipeline.telemetry.totals.read == read
        assert not rig.service_equals_table()
        assert pipeline.replicated_through == through, "nothing was claimed meanwhile"
        assert rig.service.marker != generation, "the marker is kept up"
        await pipeline.control.resume()
        await rig.converged()
    rig.assert_never_backwards()


@in_virtual_time
async def test_what_was_read_is_finished_and_saved() -> None:
    """The next process replays nothing, even where this one is killed while it is paused."""
    rig = Rig()
    load(rig)
    async with rig.store:
        with anyio.CancelScope() as process:
            async with rig.running() as pipeline:
                await rig.converged()
                rig.service.fate = lambda kind, _: Fate(0.4, 0.4) if kind == "write" else Fate()
                before = pipeline.telemetry.totals.read
                rig.table.put("n0")
                await rig.until(lambda: pipeline.telemetry.totals.read > before)
                await pipeline.control.pause()
                await anyio.sleep(LONGER_THAN_A_READ_S)
                assert rig.service_equals_table()
                assert [c.intent for c in await rig.store.load_checkpoints(NAME)] == [None] * 3
                process.cancel()


@in_virtual_time
async def test_a_copy_is_paused_too_and_goes_on_without_loss_after_a_restart() -> None:
    rig = Rig(slow_rows_s=2.0)
    for number in range(60):
        rig.table.put(f"r{number}", logged=False)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.until(lambda: pipeline.copying.records > 10)
            await pipeline.control.pause()
        async with rig.running() as pipeline:
            assert pipeline.state.paused
            before = pipeline.copying.records
            await anyio.sleep(60)
            assert pipeline.copying.records == before < 60
            assert pipeline.state.phase is Phase.COPYING
            await pipeline.control.resume()
            await rig.converged()
            assert pipeline.copying.records == 60


@in_virtual_time
async def test_comparing_what_the_target_holds_is_paused_too() -> None:
    """A repair's second half reads the target page by page, and asks the source for what is there."""
    rig = Rig()
    async with rig.store:
        async with rig.running():
            await rig.converged()
        for number in range(30):
            rig.service.put(key_of(f"x{number}"), document(f"x{number}", 1))
        rig.service.marker = replace(rig.service.marker, generation="another") if rig.service.marker else None
        async with rig.running(adopt=True) as pipeline:
            await rig.until(lambda: len(rig.held()) < 30)
            await pipeline.control.pause()
            await anyio.sleep(120)
            assert rig.held(), "not before it is resumed"
            await pipeline.control.resume()
            await rig.converged()
            assert rig.held() == {}


@in_virtual_time
async def test_verification_waits_while_it_is_paused_and_ends_as_if_it_had_not() -> None:
    rig = Rig()
    rig.verification = VerificationOptions(records_per_s=4)
    load(rig, 40)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.verify(Ask())
        round_ = pipeline.verifying.note.round
        assert round_ is not None
        await rig.until(lambda: round_.compared > 4)
        await pipeline.control.pause()
        await anyio.sleep(LONGER_THAN_A_READ_S)
        compared = round_.compared
        await anyio.sleep(600)
        assert round_.compared == compared < 40
        with pytest.raises(ConfigurationError, match="is paused"):
            await pipeline.verify(Ask())
        await pipeline.control.resume()
        await rig.until(lambda: round_.ended_at is not None)
        assert round_.is_clean
        assert (round_.compared, round_.scanned) == (40, 40)


@in_virtual_time
async def test_a_paused_pipeline_looks_for_no_foreign_writes_and_begins_no_verification() -> None:
    rig = Rig()
    rig.verification = VerificationOptions(continuous=True, interval_s=10, records_per_s=1000)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await rig.until(lambda: pipeline.watching.status is not None and pipeline.verifying.note.proof is not None)
        await pipeline.control.pause()
        await anyio.sleep(LONGER_THAN_A_READ_S)
        looked, proven = pipeline.watching.found.scanned_at, pipeline.verifying.note.proof
        await anyio.sleep(600)
        assert pipeline.watching.found.scanned_at == looked
        assert pipeline.verifying.note.proof == proven
        await pipeline.control.resume()
        await rig.until(lambda: pipeline.watching.found.scanned_at != looked)
        await rig.until(lambda: pipeline.verifying.note.proof != proven)


@in_virtual_time
async def test_a_barrier_does_not_wait_for_a_paused_pipeline() -> None:
    """It says why at once: nobody knows how long that lasts."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.control.pause()
        for keys in ([key_of("n0")], []):
            answer = await pipeline.barrier.wait(keys, 60.0)
            assert answer.verdict is Verdict.REFUSED
            assert "paused" in answer.reason
        await pipeline.control.resume()
        assert await pipeline.barrier.wait([key_of("n0")], 60.0) is SETTLED


@in_virtual_time
async def test_an_operator_is_answered_while_the_target_is_not() -> None:
    """That the marker cannot be moved on at present is no reason to keep whoever pauses because of that waiting."""
    rig = Rig()
    load(rig)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            rig.service.fate = lambda *_: refused(TransientError("unavailable"))
            await anyio.sleep(LONGER_THAN_A_READ_S)
            with anyio.fail_after(1):
                await pipeline.control.pause()
            rig.service.fate = lambda *_: Fate()
            marker = rig.service.marker
            await anyio.sleep(LONGER_THAN_A_READ_S)
            assert rig.service.marker != marker, "it is kept up again"
            assert pipeline.state.paused, "which that did not undo"
        async with rig.running() as pipeline:
            assert (pipeline.state.epoch, pipeline.state.paused) == (1, True), "the target is still known as ours"


@in_virtual_time
async def test_of_two_who_change_different_budgets_at_once_both_are_heard() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.control.limit, {"target_units": 20.0})
            tasks.start_soon(pipeline.control.limit, {"concurrency": 2})
        assert pipeline.control.budgets == Budgets(None, 20.0, 2)


@in_virtual_time
async def test_pausing_at_random_moments_loses_nothing() -> None:
    for seed in range(15):
        rig = Rig(seed, shards=2, slow_rows_s=1.0)
        load(rig)
        async with rig.store, rig.running() as pipeline:
            for number in range(8):
                rig.table.put(f"n{number}")
                await pipeline.control.pause()
                await anyio.sleep(rig.rng.uniform(0, 2))
                rig.table.put(f"n{number + 1}")
                await pipeline.control.resume()
                await anyio.sleep(rig.rng.uniform(0, 2))
            await rig.converged()
        rig.assert_never_backwards()


@in_virtual_time
async def test_an_adoption_leaves_paused_what_was() -> None:
    """Whoever paused it did not ask for it to begin."""
    rig = Rig()
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            await pipeline.control.pause()
            await pipeline.control.limit({"concurrency": 3})
        rig.service.marker = replace(rig.service.marker, generation="another") if rig.service.marker else None
        async with rig.running(adopt=True) as pipeline:
            assert pipeline.state.epoch == 2
            assert pipeline.state.paused
            assert pipeline.control.budgets.concurrency == 3


@in_virtual_time
async def test_a_failed_pipeline_can_be_changed_in_nothing() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline._standing.update(phase=Phase.FAILED)
        for change in (pipeline.control.pause, pipeline.control.resume, lambda: pipeline.control.limit({})):
            with pytest.raises(ConfigurationError, match="has failed"):
                await change()


@in_virtual_time
async def test_budgets_are_in_force_at_once_and_after_a_restart_until_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()

    def source() -> ScriptedSource:
        made = ScriptedSource(rig.table)
        made.budget = YieldingBudget(500.0)
        return made

    monkeypatch.setattr(rig, "_source", source)
    async with rig.store:
        async with rig.running() as pipeline:
            assert pipeline.control.budgets == Budgets(500.0, math.inf, 64)
            await pipeline.control.limit({"source_units": 7.0, "target_units": 20.0})
            await pipeline.control.limit({"concurrency": 2})
            assert pipeline.control.budgets == Budgets(7.0, 20.0, 2)
        async with rig.running() as pipeline:
            assert pipeline.control.budgets == Budgets(7.0, 20.0, 2)
            assert pipeline.control.configured == Budgets(500.0, math.inf, 64)
            await pipeline.control.limit({"source_units": None, "target_units": math.inf, "concurrency": None})
            assert pipeline.control.budgets == pipeline.control.configured


@in_virtual_time
async def test_a_source_without_a_budget_is_told() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        with pytest.raises(ConfigurationError, match="has no budget"):
            await pipeline.control.limit({"source_units": 7.0, "concurrency": 2})
        assert pipeline.control.budgets == Budgets(None, math.inf, 64), "nothing of it was done"


def test_what_was_stored_without_all_this_is_read_and_what_is_stored_comes_back() -> None:
    assert read_state('{"epoch": 1}') == PipelineState(1)
    state = PipelineState(1, paused=True, budgets=Budgets(1.5, math.inf, 3))
    assert read_state(state_text(state)) == state


@in_virtual_time
async def test_a_higher_rate_helps_whoever_is_waiting_already() -> None:
    budget, begun = YieldingBudget(0.01), elapsed_s()
    budget.charge(1.0)

    async def spend() -> None:
        async with budget.held():
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spend)
        await anyio.sleep(1)
        budget.set_limit(1000.0)
    assert elapsed_s() - begun < 2


@in_virtual_time
async def test_a_debt_made_at_a_high_rate_is_no_long_wait_at_a_low_one() -> None:
    budget = YieldingBudget(1000.0)
    budget.charge(3000.0)
    budget.set_limit(1.0)
    assert budget.owed_s() == pytest.approx(2.0)

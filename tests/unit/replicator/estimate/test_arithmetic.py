"""Promises of the arithmetic: more work never takes less time, an unknown stays unknown, and totals are sums."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.estimate.arithmetic import (
    EGRESS,
    SAFETY,
    MigrationEstimate,
    PipelineEstimate,
    StepName,
    added,
    combined,
    duration_s,
    estimate,
)
from replicator.estimate.figures import UNBOUNDED, ChangeRate, Flow, Origin, SourceFigures, TargetFigures

RATES = st.floats(0.01, 1e6)
COUNTS = st.integers(0, 10**9)

SOURCE = SourceFigures(
    records=1000,
    record_bytes=500.0,
    waiting=0,
    changes=ChangeRate(10.0, 20.0),
    margin_s=6.0,
    copy=Flow(200.0, Origin.CONFIGURED, {"read": 0.5}),
    follow=Flow(UNBOUNDED, Origin.CONFIGURED),
    verify=Flow(200.0, Origin.CONFIGURED, {"read": 0.5}),
    idle_needs_per_s={"poll": 4.0},
)
TARGET = TargetFigures(
    record_bytes=600.0,
    copy=Flow(100.0, Origin.MEASURED, {"unit": 6.0}),
    follow=Flow(50.0, Origin.MEASURED, {"unit": 12.0}),
    verify=Flow(400.0, Origin.ASSUMED, {"unit": 1.0}),
)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    return Flow(draw(st.none() | RATES), draw(st.sampled_from(Origin)), {"unit": 2.0}, draw(st.none() | RATES))


@st.composite
def sources(draw: st.DrawFn) -> SourceFigures:
    mean = draw(RATES)
    return SourceFigures(
        records=draw(st.none() | COUNTS),
        record_bytes=draw(st.none() | RATES),
        waiting=draw(st.none() | COUNTS),
        changes=draw(st.none() | st.just(ChangeRate(mean, mean * 2))),
        margin_s=draw(st.floats(0, 1000)),
        copy=draw(flows()),
        follow=draw(flows()),
        verify=draw(flows()),
        idle_needs_per_s={"poll": 1.0},
        follows=draw(st.booleans()),
        drains=draw(st.booleans()),
    )


targets = st.builds(TargetFigures, record_bytes=st.none() | RATES, copy=flows(), follow=flows(), verify=flows())


def seconds(pipeline: PipelineEstimate) -> dict[str, float | None]:
    return {step.name.value: step.seconds for step in pipeline.steps}


def worse(later: float | None, earlier: float | None) -> bool:
    """Whether a duration is known to have become shorter."""
    return later is not None and earlier is not None and later < earlier * (1 - 1e-9)


@given(COUNTS, COUNTS, RATES, st.none() | RATES)
def test_more_records_never_take_less_time(some: int, more: int, most: float, slot: float | None) -> None:
    flow = Flow(most, slot_per_s=slot)
    less_s, more_s = duration_s(min(some, more), flow), duration_s(max(some, more), flow)
    assert less_s is not None
    assert not worse(more_s, less_s)


@given(st.integers(1, 10**9), RATES, RATES)
def test_nothing_is_faster_than_its_rate_and_growing_into_it_costs_time(records: int, most: float, slot: float) -> None:
    steady, ramped = duration_s(records, Flow(most)), duration_s(records, Flow(most, slot_per_s=slot))
    assert steady is not None
    assert steady == pytest.approx(records / most)
    assert not worse(ramped, steady)


def test_the_ramp_is_what_the_limiter_does() -> None:
    """From one request under way, one more each second: 10/s, 20/s, 30/s, … on the straight line through them."""
    assert duration_s(10 * (4 + 4**2 / 2), Flow(1000.0, slot_per_s=10.0)) == pytest.approx(4.0)
    ramp = 10 * (9 + 9**2 / 2)
    assert duration_s(ramp + 500, Flow(100.0, slot_per_s=10.0)) == pytest.approx(9 + 5)


@given(sources(), targets, st.integers(0, 10**6))
def test_a_larger_source_never_makes_a_step_shorter(source: SourceFigures, target: TargetFigures, more: int) -> None:
    larger = replace(source, records=None if source.records is None else source.records + more)
    before, after = seconds(estimate("p", source, target)), seconds(estimate("p", larger, target))
    assert not [name for name in before if worse(after[name], before[name])]


@given(sources(), targets, st.floats(1, 100))
def test_more_changes_never_make_a_step_shorter(source: SourceFigures, target: TargetFigures, factor: float) -> None:
    rate = source.changes
    busier = replace(source, changes=rate and ChangeRate(rate.mean_per_s * factor, rate.peak_per_s * factor))
    before, after = seconds(estimate("p", source, target)), seconds(estimate("p", busier, target))
    assert not [name for name in before if worse(after[name], before[name])]


@given(sources(), targets)
def test_what_is_not_known_is_never_a_number(source: SourceFigures, target: TargetFigures) -> None:
    steps = {step.name: step for step in estimate("p", source, target).steps}
    if source.records is None or (source.records and None in {source.copy.most_per_s, target.copy.most_per_s}):
        assert steps[StepName.COPY].seconds is None
        assert steps.get(StepName.CATCH_UP, steps[StepName.COPY]).seconds is None
    if source.follows and source.changes is None:
        assert steps[StepName.CATCH_UP].seconds is None
    if source.drains and source.waiting is None:
        assert steps[StepName.DRAIN].seconds in {None, math.inf}
    if (
        source.drains
        and source.follows
        and None in {source.changes, source.follow.most_per_s, target.follow.most_per_s}
    ):
        assert steps[StepName.DRAIN].seconds is None, "nobody knows whether it keeps up"
    assert all(s.seconds is None or s.seconds >= 0 for s in steps.values())


@given(st.lists(st.tuples(sources(), targets), max_size=4))
def test_totals_are_sums_of_needs_and_the_longest_of_durations(both: list[tuple[SourceFigures, TargetFigures]]) -> None:
    pipelines = tuple(estimate(str(n), *sides) for n, sides in enumerate(both))
    total = MigrationEstimate(pipelines)
    steps = [step for pipeline in pipelines for step in pipeline.steps]
    if any(step.needs is None for step in steps):
        assert total.needs is None
        assert not total.is_complete
    else:
        assert total.needs is not None
        for meter in ("unit", "poll", EGRESS):
            parts = [step.needs.get(meter, 0.0) for step in steps if step.needs is not None]
            assert total.needs.get(meter, 0.0) == pytest.approx(math.fsum(parts))
    windows = [pipeline.window_s for pipeline in pipelines]
    if windows and None not in windows:
        assert total.window_s == max(s for s in windows if s is not None)
        assert total.suggested_window_s == pytest.approx(SAFETY * max(s for s in windows if s is not None))


def test_the_slower_side_decides_and_the_less_certain_figure_is_named() -> None:
    flow = combined(Flow(100.0, Origin.MEASURED, {"a": 1.0}), Flow(30.0, Origin.CONFIGURED, {"a": 2.0, "b": 1.0}))
    assert (flow.most_per_s, flow.origin, dict(flow.needs)) == (30.0, Origin.CONFIGURED, {"a": 3.0, "b": 1.0})
    assert combined(Flow(None), Flow(30.0)).most_per_s is None


def test_every_step_of_a_table() -> None:
    steps = {step.name: step for step in estimate("p", SOURCE, TARGET).steps}
    assert steps[StepName.COPY].seconds == pytest.approx(10.0)
    assert steps[StepName.COPY].needs == {"read": 500.0, "unit": 6000.0, EGRESS: 600_000.0}
    catch_up_s = 10 * 10 / (50 - 10) + 6
    assert steps[StepName.CATCH_UP].seconds == pytest.approx(catch_up_s)
    assert steps[StepName.CATCH_UP].records == pytest.approx(10 * (10 + catch_up_s))
    assert (steps[StepName.CATCH_UP].needs or {})["poll"] == pytest.approx(4 * (10 + catch_up_s))
    assert steps[StepName.DRAIN].seconds == pytest.approx(6.0)
    assert steps[StepName.VERIFICATION].seconds == pytest.approx(5.0)
    assert steps[StepName.VERIFICATION].origin is Origin.ASSUMED
    pipeline = estimate("p", SOURCE, TARGET)
    assert pipeline.lead_s == pytest.approx(10 + catch_up_s)
    assert pipeline.window_s == pytest.approx(11.0)


@pytest.mark.parametrize("changes_per_s", [50.0, 75.0])
def test_who_changes_faster_than_can_be_followed_is_never_caught_up_with(changes_per_s: float) -> None:
    pipeline = estimate("p", replace(SOURCE, changes=ChangeRate(changes_per_s, 90.0)), TARGET)
    assert pipeline.lead_s == math.inf
    assert pipeline.window_s == math.inf
    assert not MigrationEstimate((pipeline,)).is_complete


def test_a_busy_hour_above_what_can_be_followed_is_said() -> None:
    assert any(
        "the lag grows" in n for n in estimate("p", replace(SOURCE, changes=ChangeRate(1.0, 60.0)), TARGET).notes
    )
    assert estimate("p", SOURCE, TARGET).notes == ()


def test_in_mode_copy_all_of_it_is_the_window() -> None:
    pipeline = estimate("p", replace(SOURCE, follows=False, drains=False, changes=None), TARGET)
    assert [step.name for step in pipeline.steps] == [StepName.COPY, StepName.VERIFICATION]
    assert pipeline.lead_s == 0
    assert pipeline.window_s == pytest.approx(15.0)


def test_what_waits_in_a_held_queue_is_drained_in_the_window() -> None:
    held = replace(SOURCE, records=0, waiting=500, follows=False)
    pipeline = estimate("p", held, TARGET)
    assert pipeline.window_s == pytest.approx(500 / 50 + 6)


def test_what_waits_where_it_is_followed_is_caught_up_with_before_the_window() -> None:
    pipeline = estimate("p", replace(SOURCE, records=0, waiting=80), TARGET)
    assert pipeline.lead_s == pytest.approx(80 / (50 - 10) + 6)
    assert pipeline.window_s == pytest.approx(6)


def test_a_comparison_of_listings_moves_no_content() -> None:
    verification = estimate("p", replace(SOURCE, lists=True), TARGET).steps[-1]
    assert verification.needs == {"read": 500.0, "unit": 1000.0, EGRESS: 0.0}


def test_one_unknown_need_makes_the_sum_unknown() -> None:
    assert added([{"a": 1.0}, None]) is None
    assert added([{"a": 1.0}, {"a": 2.0}]) == {"a": 3.0}


def test_a_verification_takes_no_less_than_the_rate_at_which_the_daemon_compares() -> None:
    """It compares twice: what the source holds, and what the target does."""

    def verification(source: SourceFigures, compared_per_s: float) -> tuple[float | None, Origin]:
        step = estimate("p", source, TARGET, compared_per_s).steps[-1]
        return step.seconds, step.origin

    assert verification(SOURCE, 100.0) == (2 * 1000 / 100.0, Origin.ASSUMED)
    assert verification(SOURCE, 100_000.0) == (1000 / 200.0, Origin.ASSUMED), "the source gives no more"
    assert verification(replace(SOURCE, follows=False, drains=False), 100.0)[0] == 5.0, "not in mode copy"
    assert verification(replace(SOURCE, verify=Flow()), 100.0)[0] is None

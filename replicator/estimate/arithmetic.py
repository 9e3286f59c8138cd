"""From figures to durations and needs. Pure.

Seconds are None where they are unknown and infinite where the end is never reached.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from replicator.estimate.figures import ORIGINS, ChangeRate, Flow, Needs, Origin, SourceFigures, TargetFigures

EGRESS = "egress.byte"
"""Bytes that leave the source's cloud."""


class StepName(StrEnum):
    """The steps of a migration, in order."""

    COPY = "copy"
    CATCH_UP = "catch-up"
    DRAIN = "drain"
    VERIFICATION = "verification"


SAFETY = 2.0
"""How many times as long as estimated a window should be: measured copies were within this factor."""

WINDOW_STEPS = {StepName.DRAIN, StepName.VERIFICATION}
"""Nobody may write meanwhile, where the rest was followed."""


@dataclass(frozen=True, slots=True)
class Step:
    """`records` pass within `seconds` and need `needs`, each None where unknown. `origin` is the least trustworthy of
    the rates it rests on.
    """

    name: StepName
    records: float | None
    seconds: float | None
    needs: Needs | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class PipelineEstimate:
    """The steps of one pipeline, in order; `notes` are for people. `window_s` is for how long nobody may write."""

    name: str
    steps: tuple[Step, ...]
    records: int | None
    record_bytes: float | None
    changes: ChangeRate | None
    notes: tuple[str, ...]
    follows: bool = True

    @property
    def lead_s(self) -> float | None:
        """From the start until the window may begin."""
        return seconds_of(step for step in self.steps if step.name not in self._in_window)

    @property
    def window_s(self) -> float | None:
        """The drain and the proof by comparison; in mode copy all of it."""
        return seconds_of(step for step in self.steps if step.name in self._in_window)

    @property
    def _in_window(self) -> set[StepName]:
        drains = any(step.name is StepName.DRAIN for step in self.steps)
        return WINDOW_STEPS if drains else set(StepName)


@dataclass(frozen=True, slots=True)
class MigrationEstimate:
    """All pipelines, which run side by side: the longest decides, and needs add up."""

    pipelines: tuple[PipelineEstimate, ...]

    @property
    def lead_s(self) -> float | None:
        """Until the window may begin."""
        return _longest(pipeline.lead_s for pipeline in self.pipelines)

    @property
    def window_s(self) -> float | None:
        """The maintenance window to agree on."""
        return _longest(pipeline.window_s for pipeline in self.pipelines)

    @property
    def suggested_window_s(self) -> float | None:
        """With room for what no figure says."""
        return None if self.window_s is None else self.window_s * SAFETY

    @property
    def needs(self) -> Needs | None:
        """Of all steps; None where one of them is unknown."""
        return added([step.needs for pipeline in self.pipelines for step in pipeline.steps])

    @property
    def is_complete(self) -> bool:
        """Whether everything is known, and ends."""
        durations = [step.seconds for pipeline in self.pipelines for step in pipeline.steps]
        return self.needs is not None and all(s is not None and math.isfinite(s) for s in durations)


def estimate(
    name: str, source: SourceFigures, target: TargetFigures, compared_per_s: float | None = None
) -> PipelineEstimate:
    """All steps of one pipeline, whose daemon compares so many records per second at most."""
    sizes = [size for size in (source.record_bytes, target.record_bytes) if size is not None]
    egress_bytes = max(sizes, default=None)
    follow = combined(source.follow, target.follow)
    copy = _step(StepName.COPY, source.records, combined(source.copy, target.copy), egress_bytes)
    steps = [copy]
    if source.follows:
        steps.append(_catch_up(copy, source, follow, egress_bytes))
    if source.drains:
        steps.append(_drain(source, follow, egress_bytes))
    verify = _compared(source, combined(source.verify, target.verify), compared_per_s)
    steps.append(_step(StepName.VERIFICATION, source.records, verify, 0.0 if source.lists else egress_bytes))
    return PipelineEstimate(
        name=name,
        steps=tuple(steps),
        records=source.records,
        record_bytes=source.record_bytes,
        changes=source.changes,
        notes=(*source.notes, *target.notes, *_rate_notes(source, follow)),
        follows=source.follows,
    )


def combined(source: Flow, target: Flow) -> Flow:
    """Both sides at work: the slower one decides, needs add up. Unknown where one side is."""
    rates = (source.most_per_s, target.most_per_s)
    return Flow(
        most_per_s=None if None in rates else min(rate for rate in rates if rate is not None),
        origin=max(source.origin, target.origin, key=ORIGINS.index),
        needs=added([source.needs, target.needs]) or {},
        slot_per_s=target.slot_per_s,
    )


def _compared(source: SourceFigures, flow: Flow, per_s: float | None) -> Flow:
    """Both sides no faster than the daemon compares: each record as the source holds it, and as the target does. In
    mode copy nothing holds it back.
    """
    if per_s is None or flow.most_per_s is None or not source.drains:
        return flow
    origin = max(flow.origin, Origin.CONFIGURED, key=ORIGINS.index)
    return replace(flow, most_per_s=min(flow.most_per_s, per_s / 2), origin=origin)


def duration_s(records: float | None, flow: Flow) -> float | None:
    """How long so many records take at `most_per_s`.

    Where requests under way grow by one each second from one on, r(t) = slot · (t + t²/2) records are through after t
    seconds, until slot · (1 + t) reaches the most.
    """
    most, slot = flow.most_per_s, flow.slot_per_s
    if records == 0:
        return 0.0
    if records is None or most is None:
        return None
    if most <= 0:
        return math.inf
    if slot is None or slot >= most:
        return records / most
    ramp_s = most / slot - 1
    ramped = slot * (ramp_s + ramp_s**2 / 2)
    if records >= ramped:
        return ramp_s + (records - ramped) / most
    return math.sqrt(1 + 2 * records / slot) - 1


def added(parts: Iterable[Needs | None]) -> Needs | None:
    """Amounts of all by meter; None where one is unknown."""
    total: dict[str, float] = {}
    for part in parts:
        if part is None:
            return None
        for meter, amount in part.items():
            total[meter] = total.get(meter, 0.0) + amount
    return total


def seconds_of(steps: Iterable[Step]) -> float | None:
    """Of steps one after the other. One that never ends decides, then one that is unknown."""
    durations = [step.seconds for step in steps]
    if math.inf in durations:
        return math.inf
    return None if None in durations else sum(s for s in durations if s is not None)


def _longest(durations: Iterable[float | None]) -> float | None:
    found = list(durations)
    if math.inf in found:
        return math.inf
    return None if None in found else max((s for s in found if s is not None), default=None)


def _step(name: StepName, records: float | None, flow: Flow, egress_bytes: float | None) -> Step:
    return Step(name, records, duration_s(records, flow), _needs(records, flow, egress_bytes), flow.origin)


def _needs(records: float | None, flow: Flow, egress_bytes: float | None) -> Needs | None:
    """Without a record nothing is needed, whatever its size would be."""
    if records == 0:
        return {}
    if records is None or egress_bytes is None or math.isinf(records):
        return None
    per_record: Mapping[str, float] = {**flow.needs, EGRESS: egress_bytes}
    return {meter: amount * records for meter, amount in per_record.items()}


def _catch_up(copy: Step, source: SourceFigures, follow: Flow, egress_bytes: float | None) -> Step:
    """What waits and what has changed while copying is worked off at what can be followed beyond the changes that go
    on: (waiting + copy_s · changes) / (follow less changes), and the source's margin. Never, where it can do no more.
    """
    seconds = _catch_up_s(copy.seconds, source, follow.most_per_s)
    seconds = None if seconds is None else seconds + source.margin_s
    passed_s = None if seconds is None or copy.seconds is None else seconds + copy.seconds
    records = None
    if passed_s is not None and source.changes is not None and source.waiting is not None:
        records = source.waiting + source.changes.mean_per_s * passed_s
    idle = _idle(source, passed_s)
    needs = added([_needs(records, follow, egress_bytes), idle])
    rate_origin = source.changes.origin if source.changes else follow.origin
    return Step(StepName.CATCH_UP, records, seconds, needs, max(follow.origin, rate_origin, key=ORIGINS.index))


def _catch_up_s(copy_s: float | None, source: SourceFigures, follow_per_s: float | None) -> float | None:
    if copy_s is None or source.changes is None or source.waiting is None or follow_per_s is None:
        return None
    per_s = source.changes.mean_per_s
    if per_s >= follow_per_s or math.isinf(copy_s):
        return math.inf
    return (source.waiting + copy_s * per_s) / (follow_per_s - per_s)


def _idle(source: SourceFigures, seconds: float | None) -> Needs | None:
    if seconds is None or math.isinf(seconds):
        return None
    return {meter: amount * seconds for meter, amount in source.idle_needs_per_s.items()}


def _drain(source: SourceFigures, follow: Flow, egress_bytes: float | None) -> Step:
    """What waits, where it was not followed before, and the source's margin.

    One that was followed has kept up, if it can: unknown where that is, never where it cannot.
    """
    step = _step(StepName.DRAIN, 0 if source.follows else source.waiting, follow, egress_bytes)
    seconds = None if step.seconds is None else step.seconds + source.margin_s
    if source.follows:
        lag_s = _catch_up_s(0.0, source, follow.most_per_s)
        seconds = lag_s if lag_s is None or math.isinf(lag_s) else seconds
    needs = added([step.needs, _idle(source, seconds)])
    return Step(step.name, step.records, seconds, needs, step.origin)


def _rate_notes(source: SourceFigures, follow: Flow) -> tuple[str, ...]:
    if not source.follows or source.changes is None or follow.most_per_s is None:
        return ()
    if source.changes.mean_per_s < follow.most_per_s <= source.changes.peak_per_s:
        text = (
            f"at its busiest the source changes {source.changes.peak_per_s:,.0f} times a second, which is more than "
            f"the {follow.most_per_s:,.0f} that can be followed: the lag grows then, so switch at another time"
        )
        return (text,)
    return ()

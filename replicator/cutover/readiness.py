"""Whether a migration is ready, by the statuses of its pipelines. Pure.

Ready promises: at the time of the answer every change that was committed before `replicated_through`, as far as can be
known, is at the target, and the source's clock is at most the pipeline's limit of lag past that. It is not a drain.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from replicator.cutover.checks import CHECKS, Evidence, Finding
from replicator.cutover.estimating import estimate, longest
from replicator.cutover.phases import least_phase
from replicator.cutover.report import Check, Cutover, Outcome, PipelineCutover
from replicator.cutover.whole import WHOLE_CHECKS, Whole

E = TypeVar("E")

STARTING = "starting, nothing is known yet"


def judge(
    migration: str,
    pipelines: Mapping[str, Evidence | None],
    *,
    seen_at: datetime | None,
    judged_at: datetime,
    whole: Whole | None = None,
) -> Cutover:
    """All of it. A pipeline without evidence makes it not ready. The instants are of the daemon's wall clock, for
    people: when the statuses were taken, and now.
    """
    checks = [] if whole is None else _checks(WHOLE_CHECKS, whole, whole.waived, judged_at)
    judged = {name: judge_pipeline(e, seen_at) for name, e in pipelines.items() if e is not None}
    reasons = [f"{name}: {STARTING}" for name, e in pipelines.items() if e is None]
    reasons += [reason for name, pipeline in judged.items() for reason in _reasons(name, pipeline.checks)]
    reasons += _reasons(migration, checks)
    is_whole = bool(judged) and len(judged) == len(pipelines) and all(p.ready for p in judged.values())
    return Cutover(
        migration=migration,
        phase=least_phase(e.status.phase for e in pipelines.values() if e is not None),
        ready=is_whole and all(check.counts_as_passed for check in checks),
        judged_at=judged_at,
        drain_s=longest([judged[name].drain.seconds if name in judged else None for name in pipelines]),
        comparison_s=longest([judged[name].drain.comparison_s if name in judged else None for name in pipelines]),
        reasons=reasons,
        pipelines=judged,
        checks=checks,
    )


def judge_pipeline(e: Evidence, seen_at: datetime | None) -> PipelineCutover:
    """One pipeline."""
    checks = _checks(CHECKS, e, e.demands.waived, seen_at)
    return PipelineCutover(
        ready=all(check.counts_as_passed for check in checks),
        held=e.held,
        replicated_through=e.status.replicated_through,
        lag_s=e.lag_s,
        drain=estimate(e),
        checks=checks,
    )


def _checks(
    rules: Mapping[str, Callable[[E], Finding | None]], e: E, waived: Mapping[str, str], seen_at: datetime | None
) -> list[Check]:
    found = {name: rule(e) for name, rule in rules.items()}
    return [_check(name, f, waived.get(name, ""), seen_at) for name, f in found.items() if f is not None]


def _check(name: str, finding: Finding, waived: str, seen_at: datetime | None) -> Check:
    outcome = Outcome.UNKNOWN if finding.fine is None else Outcome.PASS if finding.fine else Outcome.FAIL
    return Check(
        name=name,
        outcome=outcome,
        measured=finding.measured,
        limit=finding.limit,
        unit=finding.unit,
        measured_at=finding.at or seen_at,
        todo="" if outcome is Outcome.PASS else finding.todo,
        waived=waived,
    )


def _reasons(name: str, checks: Sequence[Check]) -> list[str]:
    return [
        f"{name}: {check.name} {'is unknown' if check.outcome is Outcome.UNKNOWN else 'fails'}: {check.todo}"
        for check in checks
        if not check.counts_as_passed
    ]

"""Whether a migration is ready, by the statuses of its pipelines. Pure.

Ready promises: at the time of the answer every change that was committed before `replicated_through`, as far as can be
known, is at the target, and the source's clock is at most the pipeline's limit of lag past that. It is not a drain.
"""

from collections.abc import Mapping
from datetime import datetime

from replicator.cutover.checks import CHECKS, Evidence, Finding
from replicator.cutover.estimating import estimate, longest
from replicator.cutover.phases import least_phase
from replicator.cutover.report import Check, Cutover, Outcome, PipelineCutover

STARTING = "starting, nothing is known yet"


def judge(
    migration: str,
    pipelines: Mapping[str, Evidence | None],
    *,
    seen_at: datetime | None,
    judged_at: datetime,
) -> Cutover:
    """The whole. A pipeline without evidence makes it not ready. The instants are of the daemon's wall clock, for
    people: when the statuses were taken, and now.
    """
    judged = {name: judge_pipeline(e, seen_at) for name, e in pipelines.items() if e is not None}
    reasons = [f"{name}: {STARTING}" for name, e in pipelines.items() if e is None]
    reasons += [reason for name, pipeline in judged.items() for reason in _reasons(name, pipeline)]
    is_ready = bool(judged) and len(judged) == len(pipelines) and all(p.ready for p in judged.values())
    return Cutover(
        migration=migration,
        phase=least_phase(e.status.phase for e in pipelines.values() if e is not None),
        ready=is_ready,
        judged_at=judged_at,
        drain_s=longest([p.drain for p in judged.values()]) if len(judged) == len(pipelines) else None,
        reasons=reasons,
        pipelines=judged,
    )


def judge_pipeline(e: Evidence, seen_at: datetime | None) -> PipelineCutover:
    """One pipeline."""
    found = {name: rule(e) for name, rule in CHECKS.items()}
    checks = [_check(name, finding, e, seen_at) for name, finding in found.items() if finding is not None]
    return PipelineCutover(
        ready=all(check.counts_as_passed for check in checks),
        held=e.held,
        replicated_through=e.status.replicated_through,
        lag_s=e.lag_s,
        drain=estimate(e),
        checks=checks,
    )


def _check(name: str, finding: Finding, e: Evidence, seen_at: datetime | None) -> Check:
    outcome = Outcome.UNKNOWN if finding.fine is None else Outcome.PASS if finding.fine else Outcome.FAIL
    return Check(
        name=name,
        outcome=outcome,
        measured=finding.measured,
        limit=finding.limit,
        unit=finding.unit,
        measured_at=finding.at or seen_at,
        todo="" if outcome is Outcome.PASS else finding.todo,
        waived=e.demands.waived.get(name, ""),
    )


def _reasons(name: str, pipeline: PipelineCutover) -> list[str]:
    return [
        f"{name}: {check.name} {'is unknown' if check.outcome is Outcome.UNKNOWN else 'fails'}: {check.todo}"
        for check in pipeline.checks
        if not check.counts_as_passed
    ]

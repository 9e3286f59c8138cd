"""How long a drain would take now, from measured rates. Pure.

    seconds = backlog / rate + settling

`backlog`: of a source that is a queue, or has one of notifications, the messages in it, those that are held included;
of any other the lag times the rate at which changes are read, unless reading stands still. `rate`: the highest at which
changes were applied over some seconds within the last hour, which the target can take; it is not needed where there is
no backlog. `settling`: how long after its last change the source takes to prove that there was no other. Then both
sides are compared, which takes as long as it did when it was last done at full speed, if it ever was; longer by as much
as there are more records by now. It is an estimate: whoever goes on writing, or a target that takes less than it did,
makes it longer.
"""

from collections.abc import Sequence

from replicator.cutover.checks import Evidence
from replicator.cutover.demands import DEPTH_MAX_AGE_S
from replicator.cutover.report import DrainEstimate
from replicator.status import PipelineStatus


def estimate(e: Evidence) -> DrainEstimate:
    """Of one pipeline."""
    backlog, settling_s = _backlog(e), e.status.settling_s
    per_s = e.steady.best_per_s or None
    work_s = 0.0 if backlog == 0 else None if backlog is None or per_s is None else backlog / per_s
    seconds = None if work_s is None or settling_s is None else work_s + settling_s
    return DrainEstimate(
        seconds=seconds, backlog=backlog, per_s=per_s, settling_s=settling_s, comparison_s=_comparison_s(e.status)
    )


def longest(times: Sequence[float | None]) -> float | None:
    """Pipelines are drained side by side. None when any cannot be told, or there is none."""
    known = [seconds for seconds in times if seconds is not None]
    return max(known) if known and len(known) == len(times) else None


def _comparison_s(status: PipelineStatus) -> float | None:
    known = status.verification
    if known is None or known.fast_s is None:
        return None
    grown = (known.total or 0) / known.fast_compared if known.fast_compared else 1.0
    return known.fast_s * max(1.0, grown)


def _backlog(e: Evidence) -> float | None:
    queue = e.status.queue
    if queue is not None:
        return queue.messages if e.depth_age_s is not None and e.depth_age_s <= DEPTH_MAX_AGE_S else None
    if e.lag_s is None or e.status.read_per_s is None or _stands_still(e.status):
        return None
    return e.lag_s * e.status.read_per_s


def _stands_still(status: PipelineStatus) -> bool:
    """Whether less is read than the source changes, so that the rate of reading says nothing of what waits."""
    return status.paused or bool(status.degraded) or status.partitions.get("stopped", 0) > 0

"""Since when all has been well, without a gap in the observation. Pure.

Moments are of the clock that counts suspension (`replicator.clocks.elapsed_s`). Between two snapshots nothing is known;
what lies between them may be no longer than the limit, or everything begins anew. So does it with a restart, since
nothing of this is kept.
"""

from dataclasses import dataclass
from datetime import datetime

from replicator.cutover.demands import Demands
from replicator.status import PipelineStatus

RATE_KEPT_S = 3600.0
"""A rate that was measured is believed for so long."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What the snapshots of one pipeline have shown up to `seen_at`, when the latest of them was begun.

    `in_lag_since` is since when the lag has been under its limit, None where it is not; `unthrottled_since` and
    `punctual_since` since when the target has refused nothing as too many, and no record was late: no earlier than
    `watched_since`. `best_per_s` is the highest rate at which changes were applied, at `best_at`.
    """

    seen_at: float
    watched_since: float
    in_lag_since: float | None
    unthrottled_since: float
    punctual_since: float
    throttled_at: datetime | None
    late: int
    best_per_s: float
    best_at: float


def watch(before: Steady | None, status: PipelineStatus, at: float, demands: Demands) -> Steady:
    """What is known after a snapshot that was begun at `at`."""
    is_gap = before is None or not 0 <= at - before.seen_at <= demands.max_gap_s
    if before is None or is_gap:
        return Steady(
            seen_at=at,
            watched_since=at,
            in_lag_since=at if is_in_lag(status, demands) else None,
            unthrottled_since=at,
            punctual_since=at,
            throttled_at=status.throttled_at,
            late=status.late,
            best_per_s=status.applied_per_s,
            best_at=at,
        )
    is_better = status.applied_per_s >= before.best_per_s or at - before.best_at > RATE_KEPT_S
    return Steady(
        seen_at=at,
        watched_since=before.watched_since,
        in_lag_since=_since(before.in_lag_since, at) if is_in_lag(status, demands) else None,
        unthrottled_since=before.unthrottled_since if status.throttled_at == before.throttled_at else at,
        punctual_since=before.punctual_since if status.late == before.late else at,
        throttled_at=status.throttled_at,
        late=status.late,
        best_per_s=status.applied_per_s if is_better else before.best_per_s,
        best_at=at if is_better else before.best_at,
    )


def is_in_lag(status: PipelineStatus, demands: Demands) -> bool:
    """Whether the lag is known and within its limit."""
    return status.lag_s is not None and status.lag_s <= demands.max_lag_s


def _since(before: float | None, at: float) -> float:
    return at if before is None else before

"""What a pipeline that is ready is judged by."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fakes.statuses import FINE, but
from replicator.config.models import RehearsalConfig
from replicator.cutover.checks import Evidence
from replicator.cutover.demands import Demands
from replicator.cutover.steady import Steady, watch
from replicator.status import ForeignStatus, PipelineStatus, QueueDepth, SyncStatus, VerificationStatus

UNREHEARSED = RehearsalConfig(is_rehearsal=True)
"""Of configs of which none is demanded."""

NOW = 1_000_000.0
"""By the clock of the process."""

SOURCE_TIME = datetime(2026, 11, 23, 12, tzinfo=UTC)

DEMANDS = Demands(
    max_lag_s=30, steady_s=60, max_gap_s=5, verification_max_age_s=3600, foreign_max_age_s=600,
    min_retention_headroom_s=7200,
)  # fmt: skip

CLEAN = VerificationStatus(
    running=False, compared=5, total=5, eta_s=None, began_at=SOURCE_TIME - timedelta(seconds=900),
    ended_at=SOURCE_TIME - timedelta(seconds=800), differences=0, unsettled=0,
)  # fmt: skip

READY = but(
    FINE,
    replicated_through=SOURCE_TIME - timedelta(seconds=2),
    source_time=SOURCE_TIME,
    lag_s=2.0,
    stream_lag_s=2.0,
    retention_headroom_s=86_000.0,
    settling_s=3.0,
    read_per_s=10.0,
    unread=0,
    lease_left_s=20.0,
    verification=CLEAN,
    foreign=ForeignStatus(scanned_at=SOURCE_TIME - timedelta(seconds=300), found=0),
)
"""A table that has caught up."""

HELD = but(
    READY,
    replicated_through=None,
    lag_s=None,
    stream_lag_s=None,
    queue=QueueDepth(visible=7, in_flight=0, delayed=1, oldest_age_s=60, held=True, age_s=3),
)
"""A queue that is only watched."""

IN_SYNC = SyncStatus(state="in_sync", since=SOURCE_TIME - timedelta(seconds=100), reason="")


def steady(status: PipelineStatus = READY, for_s: float = 100.0, demands: Demands = DEMANDS) -> Steady:
    """What is known after this status was seen every second for so long, up to now."""
    seen: Steady | None = None
    for number in range(int(for_s) + 1):
        seen = watch(seen, status, NOW - int(for_s) + number, demands)
    assert seen is not None
    return seen


def evidence(status: PipelineStatus = READY, *, age_s: float = 0.0, demands: Demands = DEMANDS) -> Evidence:
    """The status as it was seen for long enough, asked about so much later."""
    return Evidence(status, steady(status, demands=demands), NOW + age_s, demands)


def demanding(**changes: object) -> Demands:
    """The demands with some changed."""
    return replace(DEMANDS, **changes)  # type: ignore[arg-type]  # members of the dataclass

"""What a pipeline looks like from outside: one snapshot, for the HTTP interface, the command line and the gauges."""

import math
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from replicator.clocks import elapsed_s
from replicator.engine.pipeline import Pipeline
from replicator.model import Checkpoint, CopyStage, DeadLetterSummary, Phase, R, Size
from replicator.telemetry import Metrics
from replicator.wording import counted

RATE_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """All times are the source's. None is unknown, and never to be read as good.

    `replicated_through` and `lag_s` are unknown while copying and are held back by open dead letters; `stream_lag_s` is
    that of the followed partitions alone. `begins_in_s` is how long a repair still waits for the last requests of
    whoever wrote the target before. `retention_headroom_s` is how long until something unread may be trimmed.
    """

    name: str
    phase: str
    copy_stage: str
    repairing: bool
    begins_in_s: float
    epoch: int
    failure: str
    copied: int
    copy_total: int | None
    copied_per_s: float
    copy_eta_s: float | None
    read: int
    applied: int
    coalesced: int
    rejected: int
    late: int
    applied_per_s: float
    replicated_through: datetime | None
    lag_s: float | None
    stream_lag_s: float | None
    retention_headroom_s: float | None
    partitions: dict[str, int]
    dead_letters: int
    suspect_keys: int
    concurrency: int
    degraded: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Why this pipeline needs somebody's attention; empty when it does not."""
        problems = [f"{side} is failing: {reason}" for side, reason in self.degraded.items()]
        if self.phase == Phase.FAILED:
            problems.append(f"failed: {self.failure}")
        if self.dead_letters:
            problems.append(counted(self.dead_letters, "dead letter is open", "dead letters are open"))
        return problems

    def as_json(self) -> dict[str, Any]:
        """For JSON: instants in ISO 8601, problems spelled out."""
        through = self.replicated_through
        return {
            **asdict(self),
            "replicated_through": through.isoformat() if through else None,
            "problems": self.problems,
        }


class Rate:
    """How fast a count grows, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def per_s(self, count: int) -> float:
        """Takes in the present count."""
        now = elapsed_s()
        self._samples.append((now, count))
        while now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()
        since, before = self._samples[0]
        return (count - before) / (now - since) if now > since else 0.0


class Observer:
    """Takes snapshots of one pipeline and sets its gauges."""

    def __init__(self, pipeline: Pipeline[R], metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._copied = Rate()
        self._applied = Rate()

    def observe(self, dead_letters: DeadLetterSummary, size: Size) -> PipelineStatus:
        """The pipeline as it is now."""
        pipeline = self._pipeline
        state, totals = pipeline.state, pipeline.telemetry.totals
        now = pipeline.source.clock.latest()
        stream_through = pipeline.replicated_through
        through = None
        if state.phase is Phase.FOLLOWING:
            through = held_back(stream_through, dead_letters)
        copied = pipeline.copying.records
        total = None if size.records is None else max(size.records, copied)
        copied_per_s = self._copied.per_s(copied)
        status = PipelineStatus(
            name=pipeline.name,
            phase=state.phase.value,
            copy_stage=state.copy_stage.value,
            repairing=state.repairing,
            begins_in_s=max(0.0, pipeline.begins_at - elapsed_s()),
            epoch=state.epoch,
            failure=state.failure,
            copied=copied,
            copy_total=total,
            copied_per_s=copied_per_s,
            copy_eta_s=_eta_s(state.copy_stage, copied, total, copied_per_s),
            read=totals.read,
            applied=totals.applied,
            coalesced=totals.coalesced,
            rejected=totals.rejected,
            late=totals.late,
            applied_per_s=self._applied.per_s(totals.applied),
            replicated_through=through,
            lag_s=_lag_s(now, through),
            stream_lag_s=_lag_s(now, stream_through),
            retention_headroom_s=self._headroom_s(now),
            partitions=count_partitions(pipeline.partitions),
            dead_letters=dead_letters.count,
            suspect_keys=len(pipeline.delivery.suspects),
            concurrency=pipeline.delivery.concurrency,
            degraded={name: side.message for name, side in pipeline.telemetry.sides.items() if side.degraded},
        )
        self._publish(status)
        return status

    def _headroom_s(self, now: datetime) -> float | None:
        """Counted from the oldest claim of any partition that is not finished."""
        pipeline = self._pipeline
        retention = pipeline.source.retention
        if retention is None:
            return None
        floor = pipeline.state.copy_started_at
        claims = [pipeline.lineage.claim(c) or floor for c in pipeline.lineage.checkpoints.values() if not c.finished]
        known = [claim for claim in claims if claim is not None]
        return (min(known) + retention - now).total_seconds() if known else None

    def _publish(self, status: PipelineStatus) -> None:
        metrics, name = self._metrics, status.name
        through = status.replicated_through
        metrics.replicated_through.labels(name).set(through.timestamp() if through else math.nan)
        metrics.lag.labels(name).set(_or_nan(status.lag_s))
        metrics.retention_headroom.labels(name).set(_or_nan(status.retention_headroom_s))
        metrics.copied.labels(name).set(status.copied)
        metrics.copy_total.labels(name).set(_or_nan(status.copy_total))
        metrics.dead_letters.labels(name).set(status.dead_letters)
        metrics.suspect_keys.labels(name).set(status.suspect_keys)
        metrics.target_concurrency.labels(name).set(status.concurrency)
        for phase in Phase:
            metrics.phase.labels(name, phase.value).set(phase.value == status.phase)
        for state, count in status.partitions.items():
            metrics.partitions.labels(name, state).set(count)


def held_back(watermark: datetime | None, dead_letters: DeadLetterSummary) -> datetime | None:
    """The watermark no later than the oldest change that is missing. Pure.

    A copied row has no commit time of its own but was committed before it was read; nothing is known then.
    """
    if watermark is None or dead_letters.copied_row:
        return None
    missing = dead_letters.oldest_commit
    return watermark if missing is None else min(watermark, missing)


def count_partitions(checkpoints: list[Checkpoint]) -> dict[str, int]:
    """Partitions by state: `waiting` have not been read yet, `reading` have, `finished` are durable to their end."""
    counts = Counter({"waiting": 0, "reading": 0, "finished": 0})
    for checkpoint in checkpoints:
        if checkpoint.finished:
            counts["finished"] += 1
        elif checkpoint.position is None and checkpoint.replicated_through is None:
            counts["waiting"] += 1
        else:
            counts["reading"] += 1
    return dict(counts)


def _lag_s(now: datetime, through: datetime | None) -> float | None:
    return None if through is None else max(timedelta(0), now - through).total_seconds()


def _eta_s(stage: CopyStage, copied: int, total: int | None, per_s: float) -> float | None:
    if stage is not CopyStage.RUNNING:
        return 0.0
    if total is None or per_s <= 0:
        return None
    return (total - copied) / per_s


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value

"""Takes the status of a pipeline, for the HTTP interface and the command line, and sets its gauges by it."""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from replicator.clocks import elapsed_s
from replicator.engine.pipeline import Pipeline
from replicator.model import Checkpoint, CopyStage, DeadLetterSummary, Depth, Phase, PipelineState, R, Size
from replicator.status import Health, PipelineStatus, Progress, QueueDepth, Stage, Times
from replicator.telemetry import Metrics
from replicator.wording import counted

RATE_WINDOW_S = 10.0


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


@dataclass(frozen=True, slots=True)
class Measured:
    """What the source says of itself, asked now and then."""

    size: Size = Size()  # noqa: RUF009 — frozen
    depth: Depth | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of something is done, and how fast. No total is below what is done already."""

    done: int
    known_total: int | None
    per_s: float

    @property
    def total(self) -> int | None:
        return None if self.known_total is None else max(self.known_total, self.done)

    @property
    def left_s(self) -> float | None:
        return None if self.total is None or self.per_s <= 0 else (self.total - self.done) / self.per_s


class Observer:
    """Takes snapshots of one pipeline and sets its gauges."""

    def __init__(self, pipeline: Pipeline[R], metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._copied = Rate()
        self._copied_bytes = Rate()
        self._applied = Rate()

    def observe(self, dead_letters: DeadLetterSummary, measured: Measured) -> PipelineStatus:
        """The pipeline as it is now."""
        state = self._pipeline.state
        status = PipelineStatus.of(
            self._stage(state),
            self._progress(state, measured.size),
            self._times(state, dead_letters, measured.depth),
            self._health(state, dead_letters, measured.depth),
        )
        self._publish(status)
        return status

    def _stage(self, state: PipelineState) -> Stage:
        pipeline = self._pipeline
        return Stage(
            name=pipeline.name,
            phase=state.phase.value,
            copy_stage=state.copy_stage.value,
            repairing=state.repairing,
            begins_in_s=max(0.0, pipeline.begins_at - elapsed_s()),
            epoch=state.epoch,
            failure=state.failure,
            paused=state.paused,
        )

    def _progress(self, state: PipelineState, size: Size) -> Progress:
        totals, copying = self._pipeline.telemetry.totals, self._pipeline.copying
        records = Portion(copying.records, size.records, self._copied.per_s(copying.records))
        bytes_ = Portion(copying.bytes, size.bytes if copying.bytes else None, self._copied_bytes.per_s(copying.bytes))
        return Progress(
            copied=records.done,
            copy_total=records.total,
            copied_per_s=records.per_s,
            copy_eta_s=_eta_s(state.copy_stage, records, bytes_),
            copied_bytes=copying.bytes or None,
            copy_total_bytes=bytes_.total,
            relisted=self._pipeline.relisted,
            read=totals.read,
            applied=totals.applied,
            coalesced=totals.coalesced,
            rejected=totals.rejected,
            late=totals.late,
            applied_per_s=self._applied.per_s(totals.applied),
        )

    def _times(self, state: PipelineState, dead_letters: DeadLetterSummary, depth: Depth | None) -> Times:
        now = self._pipeline.source.clock.latest()
        stream_through = self._pipeline.replicated_through
        through = held_back(stream_through, dead_letters) if state.phase is Phase.FOLLOWING else None
        return Times(
            replicated_through=through,
            lag_s=_lag_s(now, through),
            stream_lag_s=_lag_s(now, stream_through),
            retention_headroom_s=self._headroom_s(state, now, depth),
            proven_through=state.proven_through,
        )

    def _health(self, state: PipelineState, dead_letters: DeadLetterSummary, depth: Depth | None) -> Health:
        pipeline = self._pipeline
        degraded = {name: side.message for name, side in pipeline.telemetry.sides.items() if side.degraded}
        return Health(
            partitions=count_partitions(pipeline.partitions),
            dead_letters=dead_letters.count,
            suspect_keys=len(pipeline.delivery.suspects),
            concurrency=pipeline.delivery.concurrency,
            degraded=degraded,
            problems=problems(state, degraded, dead_letters.count),
            queue=None if depth is None else QueueDepth(**asdict(depth)),
        )

    def _headroom_s(self, state: PipelineState, now: datetime, depth: Depth | None) -> float | None:
        """Counted from the oldest claim of any partition that is not finished, or the oldest message that waits."""
        pipeline = self._pipeline
        retention = pipeline.source.retention
        if retention is None:
            return None
        if depth is not None and depth.oldest_age_s is not None:
            return retention.total_seconds() - depth.oldest_age_s
        floor = state.copy_started_at
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
        metrics.copied_bytes.labels(name).set(_or_nan(status.copied_bytes))
        metrics.copy_total_bytes.labels(name).set(_or_nan(status.copy_total_bytes))
        proven = status.proven_through
        metrics.proven_through.labels(name).set(proven.timestamp() if proven else math.nan)
        if status.queue is not None:
            self._publish_queue(name, status.queue)
        metrics.dead_letters.labels(name).set(status.dead_letters)
        metrics.suspect_keys.labels(name).set(status.suspect_keys)
        metrics.target_concurrency.labels(name).set(status.concurrency)
        metrics.paused.labels(name).set(status.paused)
        for phase in Phase:
            metrics.phase.labels(name, phase.value).set(phase.value == status.phase)
        for state, count in status.partitions.items():
            metrics.partitions.labels(name, state).set(count)

    def _publish_queue(self, name: str, queue: QueueDepth) -> None:
        metrics = self._metrics
        metrics.queue_messages.labels(name, "visible").set(queue.visible)
        metrics.queue_messages.labels(name, "in_flight").set(queue.in_flight)
        metrics.queue_messages.labels(name, "delayed").set(queue.delayed)
        metrics.queue_oldest_age.labels(name).set(_or_nan(queue.oldest_age_s))
        metrics.queue_held.labels(name).set(queue.held)


def held_back(watermark: datetime | None, dead_letters: DeadLetterSummary) -> datetime | None:
    """The watermark no later than the oldest change that is missing. Pure.

    A copied row has no commit time of its own but was committed before it was read; nothing is known then.
    """
    if watermark is None or dead_letters.copied_row:
        return None
    missing = dead_letters.oldest_commit
    return watermark if missing is None else min(watermark, missing)


def problems(state: PipelineState, degraded: Mapping[str, str], dead_letters: int) -> list[str]:
    """Why a pipeline needs somebody's attention; empty when it does not. Pure."""
    found = [f"{side} is failing: {reason}" for side, reason in degraded.items()]
    if state.phase is Phase.FAILED:
        found.append(f"failed: {state.failure}")
    if dead_letters:
        found.append(counted(dead_letters, "dead letter is open", "dead letters are open"))
    return found


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


def _eta_s(stage: CopyStage, *portions: Portion) -> float | None:
    """The longest of those that can be told."""
    if stage is not CopyStage.RUNNING:
        return 0.0
    return max((p.left_s for p in portions if p.left_s is not None), default=None)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value

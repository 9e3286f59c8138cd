"""Takes the status of a pipeline, for the HTTP interface and the command line, and sets its gauges by it."""

import math
from collections import Counter, deque
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from replicator.clocks import elapsed_s
from replicator.engine.drained import settling_s
from replicator.engine.pipeline import Pipeline
from replicator.engine.watermark import held_back
from replicator.model import Checkpoint, CopyStage, DeadLetterSummary, Depth, Phase, PipelineState, R, Size
from replicator.status import (
    ForeignStatus,
    Health,
    PipelineStatus,
    Progress,
    QueueDepth,
    Stage,
    SyncStatus,
    Times,
    VerificationStatus,
)
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
    """What the source says of itself, asked now and then. `depth_at` is when, by `elapsed_s`."""

    size: Size = Size()  # noqa: RUF009 — frozen
    depth: Depth | None = None
    depth_at: float = float("-inf")


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
        self._read = Rate()
        self._compared = Rate()

    @property
    def watermark(self) -> datetime | None:
        """To be taken before the dead letters: a change that is refused in between is missing, and would pass it."""
        return self._pipeline.replicated_through

    def observe(
        self, watermark: datetime | None, dead_letters: DeadLetterSummary, measured: Measured, lease_left_s: float
    ) -> PipelineStatus:
        """The pipeline as it is now, but for the watermark, which was taken before the dead letters."""
        state = self._pipeline.state
        status = PipelineStatus.of(
            self._stage(state),
            self._progress(state, measured.size),
            self._times(state, held_back(watermark, dead_letters), watermark, measured.depth),
            self._health(state, dead_letters, measured, lease_left_s),
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
            read_per_s=self._read.per_s(totals.read),
        )

    def _times(
        self, state: PipelineState, through: datetime | None, stream_through: datetime | None, depth: Depth | None
    ) -> Times:
        source = self._pipeline.source
        now = source.clock.latest()
        through = through if state.phase.follows else None
        return Times(
            replicated_through=through,
            lag_s=_lag_s(now, through),
            stream_lag_s=_lag_s(now, stream_through),
            retention_headroom_s=self._headroom_s(state, now, depth),
            proven_through=state.proven_through,
            source_time=now,
            settling_s=settling_s(source),
            kept_for_ever=source.retention is None,
        )

    def _health(
        self, state: PipelineState, dead_letters: DeadLetterSummary, measured: Measured, lease_left_s: float
    ) -> Health:
        pipeline, foreign, drain = self._pipeline, self._pipeline.watching.status, self._pipeline.draining.status
        degraded, elsewhere = pipeline.telemetry.degraded, pipeline.telemetry.elsewhere
        return Health(
            partitions=count_partitions(pipeline.partitions, pipeline.halts.by_partition),
            dead_letters=dead_letters.count,
            suspect_keys=len(pipeline.delivery.suspects) + elsewhere.suspects,
            concurrency=pipeline.delivery.concurrency + elsewhere.concurrency,
            degraded=degraded,
            problems=problems(
                state,
                degraded,
                dead_letters.count,
                foreign=foreign.found if foreign else 0,
                stopped=len(pipeline.halts.by_partition),
                late=drain.late if drain else 0,
            ),
            queue=_queue(measured),
            foreign=foreign,
            throttled_at=pipeline.telemetry.throttled_at,
            unread=sum(not _has_been_read(checkpoint) for checkpoint in pipeline.lineage.startable()),
            lease_left_s=lease_left_s,
            verification=self._verification(measured.size),
            sync=pipeline.syncing.status if pipeline.syncing else None,
            drain=drain,
        )

    def _verification(self, size: Size) -> VerificationStatus | None:
        """What a later round has found beyond the last complete one is told with that."""
        note = self._pipeline.verifying.note
        current, proof, running = note.round, note.proof, note.is_under_way
        done = 0 if current is None else current.compared + current.scanned
        both = Portion(done, None if size.records is None else 2 * size.records, self._compared.per_s(done))
        if current is None:
            return None
        return VerificationStatus(
            running=running,
            compared=current.compared,
            total=None if size.records is None else max(size.records, current.compared),
            eta_s=both.left_s if running else None,
            began_at=proof.began_at if proof else None,
            ended_at=proof.ended_at if proof else None,
            differences=max(proof.differences if proof else 0, current.differences),
            unsettled=max(proof.unsettled if proof else 0, current.unsettled),
            fast_s=note.fast_s,
            fast_compared=note.fast_compared,
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
        self._publish_foreign(name, status.foreign)
        self._publish_verification(name, status.verification)
        if self._pipeline.syncing is not None:
            self._publish_sync(name, status.sync)
        drain = status.drain
        metrics.drained.labels(name).set(math.nan if drain is None else drain.drained_at is not None)
        metrics.late_writes.labels(name).set(math.nan if drain is None else drain.late)
        metrics.dead_letters.labels(name).set(status.dead_letters)
        metrics.suspect_keys.labels(name).set(status.suspect_keys)
        metrics.target_concurrency.labels(name).set(status.concurrency)
        metrics.paused.labels(name).set(status.paused)
        for phase in Phase:
            metrics.phase.labels(name, phase.value).set(phase.value == status.phase)
        for state, count in status.partitions.items():
            metrics.partitions.labels(name, state).set(count)

    def _publish_foreign(self, name: str, foreign: ForeignStatus | None) -> None:
        self._metrics.foreign_records.labels(name).set(foreign.found if foreign else math.nan)
        at = foreign.scanned_at if foreign else None
        self._metrics.foreign_scanned.labels(name).set(at.timestamp() if at else math.nan)

    def _publish_verification(self, name: str, found: VerificationStatus | None) -> None:
        metrics, clean_since = self._metrics, self._pipeline.verifying.note.clean_since
        metrics.verification_differences.labels(name).set(_or_nan(found.differences if found else None))
        metrics.verification_unsettled.labels(name).set(_or_nan(found.unsettled if found else None))
        metrics.verification_clean.labels(name).set(clean_since.timestamp() if clean_since else math.nan)
        metrics.verification_running.labels(name).set(found is not None and found.running)
        metrics.verification_compared.labels(name).set(_or_nan(found.compared if found else None))

    def _publish_sync(self, name: str, sync: SyncStatus | None) -> None:
        in_sync = sync is not None and sync.state == "in_sync"
        self._metrics.in_sync.labels(name).set(math.nan if sync is None else in_sync)
        self._metrics.in_sync_since.labels(name).set(sync.since.timestamp() if sync and in_sync else math.nan)

    def _publish_queue(self, name: str, queue: QueueDepth) -> None:
        metrics = self._metrics
        metrics.queue_messages.labels(name, "visible").set(queue.visible)
        metrics.queue_messages.labels(name, "in_flight").set(queue.in_flight)
        metrics.queue_messages.labels(name, "delayed").set(queue.delayed)
        metrics.queue_oldest_age.labels(name).set(_or_nan(queue.oldest_age_s))
        metrics.queue_held.labels(name).set(queue.held)


def problems(
    state: PipelineState,
    degraded: Mapping[str, str],
    dead_letters: int,
    *,
    foreign: int = 0,
    stopped: int = 0,
    late: int = 0,
) -> list[str]:
    """Why a pipeline needs somebody's attention; empty when it does not. Pure."""
    found = [f"{side} is failing: {reason}" for side, reason in degraded.items()]
    if state.phase is Phase.FAILED:
        found.append(f"failed: {state.failure}")
    if dead_letters:
        found.append(counted(dead_letters, "dead letter is open", "dead letters are open"))
    if foreign:
        found.append(counted(foreign, "record at the target is not ours", "records at the target are not ours"))
    if stopped:
        found.append(counted(stopped, "partition has", "partitions have") + " stopped until dead letters are resolved")
    if late and state.phase is Phase.SEALED:
        found.append(counted(late, "write was", "writes were") + " made at the source after the seal")
    return found


def count_partitions(checkpoints: list[Checkpoint], stopped: Container[str] = ()) -> dict[str, int]:
    """Partitions by state: `waiting` have not been read yet, `reading` have, `stopped` wait until a refused change is
    resolved, `finished` are durable to their end.
    """
    counts = Counter({"waiting": 0, "reading": 0, "stopped": 0, "finished": 0})
    for checkpoint in checkpoints:
        if checkpoint.finished:
            counts["finished"] += 1
        elif checkpoint.partition.id in stopped:
            counts["stopped"] += 1
        else:
            counts["reading" if _has_been_read(checkpoint) else "waiting"] += 1
    return dict(counts)


def _has_been_read(checkpoint: Checkpoint) -> bool:
    return checkpoint.position is not None or checkpoint.replicated_through is not None


def _queue(measured: Measured) -> QueueDepth | None:
    if measured.depth is None:
        return None
    told = asdict(measured.depth)
    del told["parked"]  # dead letters are counted elsewhere
    return QueueDepth(**told, age_s=elapsed_s() - measured.depth_at)


def _lag_s(now: datetime, through: datetime | None) -> float | None:
    return None if through is None else max(timedelta(0), now - through).total_seconds()


def _eta_s(stage: CopyStage, *portions: Portion) -> float | None:
    """The longest of those that can be told."""
    if stage is not CopyStage.RUNNING:
        return 0.0
    return max((p.left_s for p in portions if p.left_s is not None), default=None)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value

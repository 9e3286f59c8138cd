"""What one pipeline tells about itself: counters for Prometheus, a line in the log for each event that matters."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from replicator.clocks import utc_now
from replicator.errors import ThrottledError, TransientError
from replicator.telemetry.elsewhere import Elsewhere, Report
from replicator.telemetry.metrics import Metrics

SOURCE = "source"
TARGET = "target"

REPORT_AFTER_FAILURES = 3
"""A side is called degraded after so many failures in a row; single ones are ordinary."""


@dataclass(slots=True)
class Side:
    """How calls to the source or to the target are going."""

    failures: int = 0
    since: datetime | None = None
    message: str = ""

    @property
    def degraded(self) -> bool:
        return self.failures >= REPORT_AFTER_FAILURES


@dataclass(slots=True)
class Totals:
    """What this process has done so far, for status; Prometheus has its own counters."""

    read: int = 0
    applied: int = 0
    coalesced: int = 0
    rejected: int = 0
    late: int = 0


class PipelineTelemetry:
    """Given to everything that works for one pipeline. Never receives bodies or secrets."""

    def __init__(self, metrics: Metrics, pipeline: str) -> None:
        self.pipeline = pipeline
        self.log = structlog.get_logger().bind(pipeline=pipeline)
        self.sides = {SOURCE: Side(), TARGET: Side()}
        self.totals = Totals()
        self.elsewhere = Elsewhere()
        self._throttled_at: datetime | None = None
        self._metrics = metrics
        self._latency = metrics.apply_latency.labels(pipeline)
        self._concurrency = metrics.target_concurrency.labels(pipeline)
        self._charge = metrics.request_charge.labels(pipeline)
        self._units = metrics.source_units.labels(pipeline)
        self._duplicates = metrics.possible_duplicates.labels(pipeline)
        # There from the start, since an increase from nothing is not seen.
        self._late = metrics.late_records.labels(pipeline)
        self._rejected = metrics.changes_rejected.labels(pipeline)
        self._target_throttles = metrics.target_throttles.labels(pipeline)
        self._source_throttles = metrics.source_throttles.labels(pipeline)
        for name in self.sides:
            metrics.degraded.labels(pipeline, name).set(0)

    @property
    def throttled_at(self) -> datetime | None:
        """When the target last refused a request as one too many, of this replica or another."""
        return max((at for at in (self._throttled_at, self.elsewhere.throttled_at) if at), default=None)

    @property
    def degraded(self) -> dict[str, str]:
        """Why calls to a side keep failing, here or at another replica."""
        here = {name: side.message for name, side in self.sides.items() if side.degraded}
        return {**self.elsewhere.degraded, **here}

    def take(self, session: object, report: Report) -> None:
        """Another replica has done this, and counts it in metrics of its own."""
        new = self.elsewhere.take(session, report)
        self.totals.read += new.read
        self.totals.applied += new.applied
        self.totals.coalesced += new.coalesced
        self.totals.rejected += new.rejected
        self.totals.late += new.late

    def forget(self, session: object) -> None:
        """Another replica has left."""
        self.elsewhere.forget(session)

    def rest(self) -> None:
        """Nothing is called any more for now, so nobody knows whether what failed still does."""
        for name in self.sides:
            self.sides[name] = Side()
            self._metrics.degraded.labels(self.pipeline, name).set(0)

    def target_failed(self, error: TransientError) -> None:
        """A request to the target failed and will be repeated."""
        self._metrics.target_retries.labels(self.pipeline, type(error).__name__).inc()
        if isinstance(error, ThrottledError):
            self._throttled_at = utc_now()
            self._target_throttles.inc()
        self._failed(TARGET, error)

    def request_done(self, duration_s: float, concurrency: int) -> None:
        """A request to the target succeeded."""
        self._latency.observe(duration_s)
        self._concurrency.set(concurrency)
        self._succeeded(TARGET)

    def request_charged(self, units: float) -> None:
        """The target charged so many of its units."""
        self._charge.inc(units)

    def possibly_duplicated(self, messages: int) -> None:
        """So many messages may have been sent before, and the target cannot tell."""
        self._duplicates.inc(messages)

    def source_failed(self, error: TransientError) -> None:
        """A call to the source failed and will be repeated."""
        self._metrics.source_retries.labels(self.pipeline, type(error).__name__).inc()
        if isinstance(error, ThrottledError):
            self._source_throttles.inc()
        self._failed(SOURCE, error)

    def source_answered(self, units: float) -> None:
        """A call to the source succeeded and consumed so many of its read units."""
        self._units.inc(units)
        self._succeeded(SOURCE)

    def batch_read(self, kind: str, records: int, late: int) -> None:
        """A batch was read from a partition of this kind."""
        self.totals.read += records
        self.totals.late += late
        self._metrics.changes_read.labels(self.pipeline, kind).inc(records)
        if late:
            self._late.inc(late)
            self.log.warning("records older than the watermark were found", records=late)

    def batch_applied(self, kind: str, read: int, written: int, rejected: int) -> None:
        """A batch is durable: `read` changes were folded into `written`, of which `rejected` were refused."""
        self.totals.applied += written - rejected
        self.totals.coalesced += read - written
        self.totals.rejected += rejected
        self._metrics.batch_size.labels(self.pipeline).observe(read)
        self._metrics.changes_applied.labels(self.pipeline, kind).inc(written - rejected)
        self._metrics.changes_coalesced.labels(self.pipeline).inc(read - written)
        self._rejected.inc(rejected)

    def _failed(self, name: str, error: TransientError) -> None:
        side = self.sides[name]
        side.failures += 1
        side.since = side.since or utc_now()
        side.message = f"{type(error).__name__}: {error}"
        if side.failures == REPORT_AFTER_FAILURES:
            self.log.warning("calls keep failing and are being repeated", side=name, reason=side.message)
            self._metrics.degraded.labels(self.pipeline, name).set(1)

    def _succeeded(self, name: str) -> None:
        side = self.sides[name]
        if not side.failures:
            return
        if side.degraded:
            self.log.info("calls succeed again", side=name, failures=side.failures)
            self._metrics.degraded.labels(self.pipeline, name).set(0)
        self.sides[name] = Side()

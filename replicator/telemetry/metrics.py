"""Every metric replicator exports: names, meanings and units, in one place. docs/metrics.md lists the same."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

PIPELINE = ("pipeline",)
LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BATCH_BUCKETS = (1, 3, 10, 30, 100, 300, 1000, 3000)


class Metrics:
    """The metrics of one daemon, in a registry of its own. Labels are names from the config, never keys."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._sourceside()
        self._targetside()
        self._progress()
        self._cutover()
        self._verification()

    def _sourceside(self) -> None:
        self.changes_read = self._counter(
            "replicator_changes_read_total", "Records taken from the source, by the kind of partition.", "kind"
        )
        self.changes_coalesced = self._counter(
            "replicator_changes_coalesced_total", "Changes not written because a later one of the same key was."
        )
        self.late_records = self._counter(
            "replicator_late_records_total", "Records found older than what replicated_through had claimed."
        )
        self.source_retries = self._counter(
            "replicator_source_retries_total", "Calls to the source repeated after a transient failure.", "reason"
        )
        self.source_throttles = self._counter(
            "replicator_source_throttles_total", "Calls the source refused, wholly or in part, as too many."
        )
        self.source_units = self._counter(
            "replicator_source_read_units_total", "Read capacity consumed at the source, in its own units."
        )
        self.retention_headroom = self._gauge(
            "replicator_retention_headroom_seconds", "How long until the oldest unread change may be trimmed."
        )

    def _targetside(self) -> None:
        self.changes_applied = self._counter(
            "replicator_changes_applied_total", "Changes durable at the target, by the kind of partition.", "kind"
        )
        self.changes_rejected = self._counter(
            "replicator_changes_rejected_total", "Changes the target refused for good; each is a dead letter."
        )
        self.apply_latency = self._histogram(
            "replicator_apply_latency_seconds", "Duration of a single request to the target.", LATENCY_BUCKETS_S
        )
        self.batch_size = self._histogram("replicator_batch_changes", "Changes in a batch as applied.", BATCH_BUCKETS)
        self.target_retries = self._counter(
            "replicator_target_retries_total", "Requests to the target repeated after a transient failure.", "reason"
        )
        self.target_throttles = self._counter(
            "replicator_target_throttles_total", "Requests the target refused as too many."
        )
        self.possible_duplicates = self._counter(
            "replicator_possible_duplicates_total", "Messages that may have been sent before, unnoticed by the target."
        )
        self.request_charge = self._counter(
            "replicator_request_charge_total", "What the target charged for requests, in its own units."
        )
        self.target_concurrency = self._gauge(
            "replicator_target_concurrency", "Requests that may be under way at the target at once."
        )
        self.suspect_keys = self._gauge(
            "replicator_suspect_keys", "Keys with an earlier request of unknown outcome that may still take effect."
        )

    def _progress(self) -> None:
        self.replicated_through = self._gauge(
            "replicator_replicated_through_timestamp_seconds",
            "Unix time, by the source's clock, before which every change is at the target as far as can be known.",
        )
        self.lag = self._gauge(
            "replicator_lag_seconds", "The source's time now less replicated_through. NaN while it is not known."
        )
        self.copied = self._gauge("replicator_copied_records", "Rows copied so far, those of earlier runs included.")
        self.copy_total = self._gauge(
            "replicator_copy_total_records", "Records to copy as far as the source knows. NaN if it does not."
        )
        self.copied_bytes = self._gauge(
            "replicator_copied_bytes", "What the rows copied so far hold. NaN where the source does not say."
        )
        self.copy_total_bytes = self._gauge(
            "replicator_copy_total_bytes", "Bytes to copy as far as the source knows. NaN if it does not."
        )
        self.proven_through = self._gauge(
            "replicator_proven_through_timestamp_seconds",
            "Unix time, by the source's clock, at which the last complete comparison of all listings began.",
        )
        self.queue_messages = self._gauge(
            "replicator_queue_messages", "Messages at a source that is a queue: visible, in_flight or delayed.", "state"
        )
        self.queue_oldest_age = self._gauge(
            "replicator_queue_oldest_age_seconds", "How long the oldest message there has waited. NaN if not known."
        )
        self.queue_held = self._gauge(
            "replicator_queue_held", "1 while a queue is only watched, so that its messages count to no lag."
        )
        self.drained = self._gauge(
            "replicator_drained",
            "1 while a drain is proven to be through, 0 while one is under way. NaN without a fence.",
        )
        self.late_writes = self._gauge(
            "replicator_late_writes", "Writes at the source after the fence, or after the seal. NaN without a fence."
        )
        self.in_sync = self._gauge("replicator_in_sync", "1 while a pipeline in mode sync is in sync, 0 while not.")
        self.in_sync_since = self._gauge(
            "replicator_in_sync_since_timestamp_seconds",
            "Unix time, by the source's clock, since which it has been in sync. NaN while it is not.",
        )
        self.phase = self._gauge("replicator_phase", "1 for the phase the pipeline is in, 0 for the others.", "phase")
        self.paused = self._gauge("replicator_paused", "1 while an operator has paused the pipeline: nothing is read.")
        self.partitions = self._gauge("replicator_partitions", "Partitions of the source by state.", "state")
        self.foreign_records = self._gauge(
            "replicator_foreign_records",
            "Records at the target that replicator did not write. NaN before the first scan.",
        )
        self.foreign_scanned = self._gauge(
            "replicator_foreign_scanned_timestamp_seconds", "Unix time at which the last complete scan for them began."
        )
        self.dead_letters = self._gauge("replicator_dead_letters", "Dead letters that are open.")
        self.degraded = self._gauge(
            "replicator_degraded", "1 while a call to this side keeps failing and is being repeated.", "side"
        )

    def _cutover(self) -> None:
        """Of the migration as a whole, and of each check."""
        self.migration_phase = Gauge(
            "replicator_migration_phase",
            "1 for the phase the migration is in, the least of its pipelines', 0 for the others.",
            ("phase",),
            registry=self.registry,
        )
        self.replicas = Gauge(
            "replicator_replicas",
            "Replicas that work together, told by the one that leads. NaN by the others, and where there is one only.",
            registry=self.registry,
        )
        self.cutover_ready = Gauge(
            "replicator_cutover_ready",
            "1 while every check of every pipeline passes or is waived.",
            registry=self.registry,
        )
        self.cutover_drain = Gauge(
            "replicator_cutover_drain_seconds",
            "How long a drain would take now, as estimated. NaN if it cannot be told.",
            registry=self.registry,
        )
        for told_by_the_leader in (self.replicas, self.cutover_ready, self.cutover_drain):
            told_by_the_leader.set(math.nan)
        self.cutover_check = self._gauge(
            "replicator_cutover_check",
            "1 while the check passes or is waived, 0 while it fails or is unknown.",
            "check",
        )

    def _verification(self) -> None:
        self.verification_differences = self._gauge(
            "replicator_verification_differences",
            "Records that differ, by the last complete round or a later one that found more. NaN before the first.",
        )
        self.verification_unsettled = self._gauge(
            "replicator_verification_unsettled", "Records of which nothing can be said, likewise."
        )
        self.verification_clean = self._gauge(
            "replicator_verification_clean_timestamp_seconds",
            "Unix time, by the source's clock, at which the last complete round without either began. NaN if none has.",
        )
        self.verification_running = self._gauge("replicator_verification_running", "1 while a round is under way.")
        self.verification_compared = self._gauge(
            "replicator_verification_compared_records", "Records of the source compared in the latest round."
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, (*PIPELINE, *labels), registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, (*PIPELINE, *labels), registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, meaning, PIPELINE, buckets=buckets, registry=self.registry)

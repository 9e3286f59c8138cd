"""Tells readiness to those who do not ask for it: by gauges, and by a line in the log whenever it changes."""

import math

import structlog

from replicator.cutover.checks import CHECKS
from replicator.cutover.report import Cutover
from replicator.model import Phase
from replicator.telemetry import Metrics

WHOLE = ""
"""What stands for the migration itself where a pipeline is named."""


class Announcer:
    """Remembers what was told last."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._phase = ""
        self._ready = False

    def tell(self, cutover: Cutover) -> None:
        """Sets the gauges, and logs what has changed since the last time."""
        self._log(cutover)
        metrics = self._metrics
        metrics.cutover_ready.set(cutover.ready)
        metrics.cutover_drain.set(math.nan if cutover.drain_s is None else cutover.drain_s)
        for phase in Phase:
            metrics.migration_phase.labels(phase.value).set(phase.value == cutover.phase)
        for name, pipeline in cutover.pipelines.items():
            told = {check.name: check.counts_as_passed for check in pipeline.checks}
            for check in CHECKS:
                if check in told:
                    metrics.cutover_check.labels(name, check).set(told[check])
        for own in cutover.checks:
            metrics.cutover_check.labels(WHOLE, own.name).set(own.counts_as_passed)

    def _log(self, cutover: Cutover) -> None:
        log = structlog.get_logger().bind(migration=cutover.migration)
        if cutover.phase != self._phase:
            log.info("migration phase changed", phase=cutover.phase, before=self._phase)
        if cutover.ready and not self._ready:
            log.info("ready for the cutover")
        elif self._ready and not cutover.ready:
            log.warning("not ready for the cutover any more", reasons=cutover.reasons)
        self._phase, self._ready = cutover.phase, cutover.ready

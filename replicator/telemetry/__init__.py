"""What operators see: metrics and logs."""

from replicator.telemetry.elsewhere import Report
from replicator.telemetry.logs import configure_logging
from replicator.telemetry.metrics import Metrics
from replicator.telemetry.pipeline import SOURCE, TARGET, PipelineTelemetry, Side

__all__ = ["SOURCE", "TARGET", "Metrics", "PipelineTelemetry", "Report", "Side", "configure_logging"]

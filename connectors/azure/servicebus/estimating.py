"""What a queue tells for an estimate: nothing. Whatever were sent to it, its consumers would take."""

from replicator.estimate.figures import UNBOUNDED, Flow, Origin, TargetFigures

OPERATION = "servicebus.operation"

OPERATION_BYTES = 64 * 1024
"""A larger message counts as several."""

SENT_PER_S = 500.0
"""Assumed: a namespace of the standard tier allows 1,000 operations a second, of which its consumers need some."""

NO_PROBE = "a probe of a queue would reach its consumers, so how fast it takes messages is assumed"


def queue_figures(record_bytes: float | None) -> TargetFigures:
    """Pure."""
    operations = 1.0 if record_bytes is None else max(1.0, record_bytes / OPERATION_BYTES)
    flow = Flow(SENT_PER_S, Origin.ASSUMED, {OPERATION: operations})
    verify = Flow(UNBOUNDED, Origin.ASSUMED)
    return TargetFigures(copy=flow, follow=flow, verify=verify, notes=(NO_PROBE,))

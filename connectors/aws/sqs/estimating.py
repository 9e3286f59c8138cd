"""What a queue tells for an estimate."""

from datetime import datetime

from connectors.aws.calls import Caller
from connectors.aws.metrics import MetricsClient, MetricsUnknownError, Readings, last_day
from connectors.aws.sqs.config import SqsSourceConfig
from replicator.estimate.figures import ChangeRate, Flow, Origin, SourceFigures
from replicator.model import Mode

UNKNOWN_BYTES = 4096.0
"""Assumed for a message where CloudWatch has seen none: to look at one is to take it."""

REQUEST = "sqs.request"

MOST_AT_ONCE = 10
"""Messages that one receive gives, or one delete takes."""

RECEIVE_S = 0.1
"""Assumed for a receive and a delete, one after the other."""


def queue_figures(
    config: SqsSourceConfig,
    mode: Mode,
    messages: int,
    *,
    sent: Readings | None,
    message_bytes: float | None,
) -> SourceFigures:
    """Pure. What waits is copied in mode copy, and drained otherwise; a held queue is not followed before that."""
    copies = mode is Mode.COPY
    receive = Flow(config.receivers * MOST_AT_ONCE / RECEIVE_S, Origin.ASSUMED, {REQUEST: 2 / MOST_AT_ONCE})
    follows = not copies and config.consume != "hold"
    return SourceFigures(
        records=messages if copies else 0,
        record_bytes=UNKNOWN_BYTES if message_bytes is None else message_bytes,
        notes=() if message_bytes is not None else ("how large its messages are is unknown: 4 KB each are assumed",),
        waiting=0 if copies else messages,
        changes=ChangeRate(sent.mean_per_s, sent.peak_per_s) if sent else None,
        margin_s=config.idle_margin_s + 2 * config.counts_lag_s,
        copy=receive,
        follow=receive,
        verify=receive,
        idle_needs_per_s={REQUEST: config.receivers / config.wait_s},
        follows=follows,
        drains=not copies,
    )


async def sent_messages(caller: Caller, client: MetricsClient, now: datetime, queue: str) -> Readings:
    """How many came in the last day. Raises MetricsUnknownError."""
    return await last_day(
        caller, client.get_metric_statistics, now, "AWS/SQS", "NumberOfMessagesSent", {"QueueName": queue}
    )


async def average_bytes(caller: Caller, client: MetricsClient, now: datetime, queue: str) -> float | None:
    """Of the messages of the last day; None where that is unknown, since to look at one is to take it."""
    try:
        sizes = await last_day(
            caller, client.get_metric_statistics, now, "AWS/SQS", "SentMessageSize", {"QueueName": queue}
        )
    except MetricsUnknownError:
        return None
    return sizes.average or None

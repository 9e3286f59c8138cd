"""What a bucket tells for an estimate."""

from collections.abc import Sequence
from datetime import datetime

from connectors.aws.calls import Caller
from connectors.aws.metrics import MetricsUnknownError, last_day, open_metrics
from connectors.aws.s3.bucket import MOST_KEYS
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.following import Following
from replicator.errors import ConfigurationError
from replicator.estimate.figures import UNBOUNDED, ChangeRate, Flow, Origin, SourceFigures
from replicator.model import Change, Depth, Size
from replicator.objects import StoredObject

GET = "s3.get_request"
LIST = "s3.list_request"
RECEIVE = "sqs.request"

REQUESTS = 3
"""For each object that is copied: HEAD, GET, and once more HEAD; with tags one for these beside."""

MOST_AT_ONCE = 10
"""Messages that one receive gives, or one delete takes."""

LISTED_PER_S = 2000.0
"""Assumed for each range that is listed: two pages a second."""

ENOUGH_TURNS = 12
"""How often the count is asked to go on, about five seconds each."""


def bucket_figures(
    config: S3SourceConfig, size: Size, sample: Sequence[Change[StoredObject]], depth: Depth | None, *, follows: bool
) -> SourceFigures:
    """Pure. The rate is what the budget of requests allows; `changes` are filled in by whoever asks CloudWatch."""
    requests = REQUESTS + config.tags
    budget = config.max_requests_per_s
    read = Flow(budget / requests, Origin.CONFIGURED, {GET: requests})
    listed = min(budget * MOST_KEYS, config.partitions * LISTED_PER_S)
    waits = follows and depth is not None
    return SourceFigures(
        records=size.records,
        record_bytes=_average_bytes(size, sample),
        waiting=depth.messages if depth is not None else 0,
        margin_s=config.idle_margin_s if waits else 0.0,
        copy=read,
        follow=Flow(read.most_per_s, read.origin, {GET: requests, RECEIVE: 2 / MOST_AT_ONCE}),
        verify=Flow(listed or UNBOUNDED, Origin.ASSUMED, {LIST: 2 / MOST_KEYS}),
        idle_needs_per_s={RECEIVE: config.receivers / config.wait_s} if waits else {},
        follows=follows,
        drains=follows,
        lists=True,
    )


def _average_bytes(size: Size, sample: Sequence[Change[StoredObject]]) -> float | None:
    if size.records and size.bytes is not None:
        return size.bytes / size.records
    known = [change.record.size for change in sample if change.record.size is not None]
    return sum(known) / len(known) if known else (0.0 if size.records == 0 else None)


async def change_rate(
    caller: Caller, config: S3SourceConfig, where: str, now: datetime, following: Following | None
) -> ChangeRate:
    """By the messages that came to the queue of notifications. Raises MetricsUnknownError."""
    if following is None:
        raise MetricsUnknownError("without a queue of notifications nothing counts the bucket's changes")
    of_queue = config.model_copy(update={"endpoint": config.queue_endpoint})
    try:
        async with open_metrics(of_queue, where, "sqs") as client:
            sent = await last_day(
                caller,
                client.get_metric_statistics,
                now,
                "AWS/SQS",
                "NumberOfMessagesSent",
                {"QueueName": following.queue.name},
            )
    except ConfigurationError as error:
        raise MetricsUnknownError(str(error)) from error
    return ChangeRate(sent.mean_per_s, sent.peak_per_s)

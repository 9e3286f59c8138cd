"""What a table tells for an estimate."""

import json
import math
from collections.abc import Sequence
from datetime import datetime

from connectors.aws.calls import Caller
from connectors.aws.dynamodb.attributes import write_item
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.metrics import MetricsUnknownError, last_day, open_metrics
from replicator.documents import Document
from replicator.errors import ConfigurationError
from replicator.estimate.figures import UNBOUNDED, ChangeRate, Flow, Origin, SourceFigures
from replicator.model import Change, Size

READ_UNIT = "dynamodb.read_unit"
STREAM_REQUEST = "dynamodb.stream_request"

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024

SHORTEST_POLL_S = 0.25


def table_figures(
    config: DynamoDbSourceConfig,
    size: Size,
    sample: Sequence[Change[Document]],
    *,
    read_units_per_s: float,
    shards: int,
    follows: bool,
) -> SourceFigures:
    """Pure; how often it changes is filled in by whoever asks CloudWatch.

    A table counts its items every six hours: what it calls empty although there are items is unknown.
    """
    records = None if size.records == 0 and sample else size.records
    notes = ("the table's own count is up to six hours old and still 0",) if records is None else ()
    record_bytes = _average_bytes(size, sample)
    read = _scan(config, record_bytes, read_units_per_s)
    return SourceFigures(
        records=records,
        record_bytes=record_bytes,
        waiting=0,
        margin_s=2 * config.idle_margin_s,
        copy=read,
        follow=Flow(UNBOUNDED, Origin.CONFIGURED),
        verify=read,
        idle_needs_per_s={STREAM_REQUEST: shards / max(config.poll_interval_s, SHORTEST_POLL_S)},
        follows=follows,
        drains=follows,
        notes=notes,
    )


def _scan(config: DynamoDbSourceConfig, record_bytes: float | None, read_units_per_s: float) -> Flow:
    """A page is charged by its bytes, not by its items; half a unit for 4 KB, a whole one if it is consistent."""
    if record_bytes is None:
        return Flow()
    units = record_bytes / READ_UNIT_BYTES * (1.0 if config.consistent_read else 0.5)
    return Flow(read_units_per_s / units, Origin.CONFIGURED, {READ_UNIT: units})


def _average_bytes(size: Size, sample: Sequence[Change[Document]]) -> float | None:
    if size.records and size.bytes:
        return size.bytes / size.records
    if sample:
        return sum(len(json.dumps(write_item(change.record), default=str)) for change in sample) / len(sample)
    return 1.0 if size.records == 0 else None


async def change_rate(
    caller: Caller, config: DynamoDbSourceConfig, where: str, now: datetime, record_bytes: float | None
) -> ChangeRate:
    """By the write units consumed: a write takes one for each KB. Raises MetricsUnknownError."""
    try:
        async with open_metrics(config, where, "dynamodb") as client:
            units = await last_day(
                caller,
                client.get_metric_statistics,
                now,
                "AWS/DynamoDB",
                "ConsumedWriteCapacityUnits",
                {"TableName": config.table},
            )
    except ConfigurationError as error:
        raise MetricsUnknownError(str(error)) from error
    each = max(1, math.ceil((record_bytes or 1.0) / WRITE_UNIT_BYTES))
    return ChangeRate(units.mean_per_s / each, units.peak_per_s / each)

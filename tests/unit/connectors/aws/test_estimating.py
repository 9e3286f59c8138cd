"""Promise: what sources tell for an estimate follows from their settings, and what they do not know stays unknown."""

from typing import Any

import pytest

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.estimating import READ_UNIT, STREAM_REQUEST, table_figures
from connectors.aws.metrics import Readings
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.estimating import GET, bucket_figures
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.estimating import queue_figures
from fakes.records import upsert
from replicator.estimate.figures import UNBOUNDED, SourceFigures
from replicator.model import Depth, Mode, Size


def table(size: Size, *, sampled: int = 0, **fields: Any) -> SourceFigures:
    config = DynamoDbSourceConfig(type="dynamodb", table="orders", **fields)
    sample = [upsert(str(number), number) for number in range(sampled)]
    return table_figures(config, size, sample, read_units_per_s=100.0, shards=8, follows=True)


def test_a_scan_is_charged_by_its_bytes_half_where_it_may_be_stale() -> None:
    figures = table(Size(1000, 1000 * 8192))
    assert figures.record_bytes == 8192
    assert figures.copy.needs == {READ_UNIT: 1.0}
    assert figures.copy.most_per_s == 100.0
    assert table(Size(1000, 1000 * 8192), consistent_read=True).copy.most_per_s == 50.0
    assert figures.follow.most_per_s == UNBOUNDED


def test_a_stream_is_polled_even_when_nothing_changes() -> None:
    assert table(Size(1, 1), poll_interval_s=2.0).idle_needs_per_s == {STREAM_REQUEST: 4.0}


def test_a_table_that_counts_itself_empty_although_it_is_not_is_of_unknown_size() -> None:
    figures = table(Size(0, 0), sampled=3)
    assert figures.records is None
    assert "six hours" in figures.notes[0]
    assert figures.record_bytes
    assert table(Size(0, 0)).records == 0


def test_a_bucket_whose_objects_were_not_counted_is_of_unknown_size() -> None:
    config = S3SourceConfig(type="s3", bucket="media", notifications="q", max_requests_per_s=100)
    figures = bucket_figures(config, Size(), [], Depth(5, 2, 0), follows=True)
    assert (figures.records, figures.record_bytes, figures.waiting) == (None, None, 7)
    assert figures.copy.needs == {GET: 4}
    assert figures.copy.most_per_s == 25.0
    assert figures.margin_s == config.idle_margin_s
    bare = S3SourceConfig(type="s3", bucket="media", tags=False)
    counted = bucket_figures(bare, Size(10, 0), [], None, follows=False)
    assert (counted.record_bytes, counted.copy.needs, counted.drains) == (0.0, {GET: 3}, False)


@pytest.mark.parametrize(
    ("consume", "mode", "records", "waiting", "follows", "drains"),
    [
        ("hold", Mode.ASYNC, 0, 9, False, True),
        ("forward", Mode.ASYNC, 0, 9, True, True),
        ("hold", Mode.COPY, 9, 0, False, False),
    ],
)
def test_what_waits_in_a_queue_is_drained_or_copied(
    consume: Any, mode: Mode, records: int, waiting: int, follows: bool, drains: bool
) -> None:
    config = SqsSourceConfig(type="sqs", queue="q", consume=consume)
    figures = queue_figures(config, mode, 9, sent=Readings(1.0, 2.0, 0.0), message_bytes=None)
    assert (figures.records, figures.waiting) == (records, waiting)
    assert (figures.follows, figures.drains) == (follows, drains)
    assert figures.changes is not None
    assert "4 KB" in figures.notes[0]
    told = queue_figures(config, mode, 9, sent=None, message_bytes=70.0)
    assert (told.changes, told.record_bytes, told.notes) == (None, 70.0, ())

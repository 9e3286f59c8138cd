"""The source as a whole: what it refuses at the start, and what it says of itself."""

from datetime import timedelta
from typing import Any, cast

import anyio
import pytest
from pydantic import ValidationError

from connectors.aws.s3 import sdk
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.following import Following
from connectors.aws.s3.source import COUNTING_S, S3Source
from fakes.buckets import NAME, BucketClient, s3_error
from fakes.follower import telemetry
from fakes.queues import QueueClient, StoredQueue
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.model import Mode, Size
from replicator.registry import SourceContext

WHERE = "pipelines.media.source"


def config(**settings: Any) -> S3SourceConfig:
    return S3SourceConfig(type="s3", bucket=NAME, **settings)


def source_of(client: BucketClient, mode: Mode = Mode.ASYNC, **settings: Any) -> S3Source:
    return S3Source(config(**settings), SourceContext(WHERE, telemetry(), mode), cast(sdk.BucketClient, client))


@in_virtual_time
async def test_a_listing_out_of_order_is_refused_at_the_start() -> None:
    client = BucketClient()
    client.put("a")
    client.put("b")
    real = client.list_objects_v2

    async def reversed_(**options: Any) -> Any:
        answer = await real(**options)
        return {**answer, "Contents": answer["Contents"][::-1]}

    client.list_objects_v2 = reversed_  # type: ignore[method-assign, assignment]
    with pytest.raises(ConfigurationError, match="order of UTF-8"):
        await source_of(client).connect()


@pytest.mark.parametrize(("code", "status"), [("NoSuchBucket", 404), ("AccessDenied", 403), ("InternalError", 500)])
def test_a_bucket_that_cannot_be_listed_is_refused_at_the_start(code: str, status: int) -> None:
    @in_virtual_time
    async def run() -> None:
        client = BucketClient()
        client.fault = lambda operation: s3_error(operation, code, status)
        with pytest.raises(ConfigurationError, match=WHERE.replace(".", r"\.")):
            await source_of(client).connect()

    run()


@in_virtual_time
async def test_what_it_says_of_itself() -> None:
    client = BucketClient()
    client.put("a", b"12")
    source = source_of(client)
    await source.connect()
    assert source.clock.known
    assert source.relist_interval == timedelta(hours=1)
    assert source_of(client, relist_interval_s=None).relist_interval is None
    assert not source.stale_rows
    assert not await source.redeliver(["a"])
    assert (source.key_names, source.retention, await source.depth()) == ((), None, None)
    assert await source.follow_partitions() == ()
    assert await source.size() == Size(1, 2)


@in_virtual_time
async def test_asking_for_the_size_ends_though_nothing_answers() -> None:
    client = BucketClient()
    source = source_of(client)
    client.fault = lambda operation: s3_error(operation, "InternalError", 500)
    began = elapsed_s()
    assert await source.size() == Size()
    assert elapsed_s() - began < COUNTING_S + 1
    client.gone, client.fault = True, lambda _: None
    assert await source.size() == Size()


@pytest.mark.parametrize("region", ["", "eu-west-1"])
def test_a_queue_has_one_pipeline(region: str) -> None:
    """Two that take from one queue would each delete what the other one needs."""

    @in_virtual_time
    async def run() -> None:
        siblings = frozenset({("sqs", region, "", "media-events"), ("sqs", "eu-west-1", "", "other"), ()})
        context = SourceContext(WHERE, telemetry(), siblings=siblings)
        async with anyio.create_task_group() as tasks:
            settings = config(notifications="media-events", region="eu-west-1")
            following = Following(settings, "media-events", context, QueueClient(StoredQueue()), tasks)
            with pytest.raises(ConfigurationError, match="another pipeline"):
                await following.begin()

    run()


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, None),
        ({"endpoint": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566"),
        ({"endpoint": "https://bucket.vpce-0a.s3.eu-west-1.vpce.amazonaws.com"}, None),
        ({"endpoint": "https://s3.internal", "sqs_endpoint": "https://sqs.internal"}, "https://sqs.internal"),
    ],
)
def test_the_queue_is_looked_for_where_it_is(settings: dict[str, str], endpoint: str | None) -> None:
    assert config(**settings).queue_endpoint == endpoint


def test_an_endpoint_of_sqs_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no URL"):
        config(sqs_endpoint="sqs.internal:443")

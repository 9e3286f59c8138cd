"""Following as it is configured: what is claimed of an idle bucket."""

import math
from contextlib import aclosing

import anyio
import pytest

from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.following import Following
from fakes.follower import telemetry
from fakes.queues import NAME, QueueClient, StoredQueue
from fakes.streams import AHEAD_S
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.model import Mode, Resume
from replicator.registry import SourceContext


@pytest.mark.parametrize(
    ("settings", "least_s"),
    [
        ({}, 300 + 10 + 2 * 60),
        ({"counts_lag_s": 5}, 300 + 10 + 2 * 5),
        ({"counts_lag_s": 200}, 300 + 10 + 2 * 200),
        ({"idle_margin_s": 4, "counts_lag_s": 0}, 4 + 4),
    ],
)
def test_an_idle_bucket_is_claimed_no_earlier_than_all_that_may_hide_an_event(
    settings: dict[str, float], least_s: float
) -> None:
    """S3 itself, the queue, and counts that are old, one after the other; and hardly later."""

    @in_virtual_time
    async def run() -> None:
        config = S3SourceConfig(type="s3", bucket="media", notifications=NAME, **settings)
        context = SourceContext("pipelines.media.source", telemetry(), Mode.ASYNC)
        async with anyio.create_task_group() as tasks:
            following = Following(config, NAME, context, QueueClient(StoredQueue()), tasks)
            await following.begin()
            behind_s = await _least_behind_s(following)
            assert least_s <= behind_s <= least_s + 16
            assert following.settling.total_seconds() == least_s, "a drain waits for so long"
            tasks.cancel_scope.cancel()

    run()


async def _least_behind_s(following: Following) -> float:
    """In an idle hour."""
    least_s = math.inf
    with anyio.move_on_after(3600):
        async with aclosing(following.notifications.read(following.partitions()[0], Resume())) as batches:
            async for batch in batches:
                if batch.replicated_through is not None:
                    least_s = min(least_s, elapsed_s() + AHEAD_S - batch.replicated_through.timestamp())
    return least_s

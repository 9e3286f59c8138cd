"""Promises against SIGKILL at random moments, under load, from the copy on: ten times for each kind of source.

What is promised of each is said, and judged, in `under_load`.
"""

import random
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from scenarios.bucket_world import bucket_world
from scenarios.migration import Daemon, running
from scenarios.queue_world import queue_world
from scenarios.under_load import KILLS, BucketUnderLoad, Part, QueuesUnderLoad, TableUnderLoad
from scenarios.world import world

pytestmark = pytest.mark.timeout(600)


async def test_killed_ten_times_nothing_of_a_table_is_lost_and_nothing_goes_backwards(
    aws: AwsServer, tmp_path: Path
) -> None:
    """Hot keys, deletions and re-creations while the daemon dies during the copy and afterwards."""
    async with world(aws, tmp_path) as w:
        await _survives(w.daemon(), TableUnderLoad(w))


async def test_killed_ten_times_the_bucket_is_equal(aws: AwsServer, tmp_path: Path) -> None:
    """Objects overwritten, deleted, tagged and labelled anew, some of several MB; no listing mends what events tell."""
    async with bucket_world(aws, tmp_path, target=BucketUnderLoad.TARGET) as w, w.watching():
        await _survives(w.daemon(), BucketUnderLoad(w))


async def test_killed_ten_times_every_message_arrives_once_and_groups_keep_their_order(
    aws: AwsServer, tmp_path: Path
) -> None:
    """A standard and a FIFO queue at once; what was sent and not deleted before a crash is dropped as a duplicate."""
    async with queue_world(aws, tmp_path, *QueuesUnderLoad.NAMES) as w:
        await _survives(w.daemon(), QueuesUnderLoad(w))


async def _survives(daemon: Daemon, part: Part) -> None:
    await part.fill()
    async with anyio.create_task_group() as tasks, running(daemon):
        await part.write(tasks)
        await _kill_often(daemon, part)
        part.stop()
        await part.arrived(daemon)
    await part.judge()


async def _kill_often(daemon: Daemon, part: Part) -> None:
    moments = random.Random(7)
    for kill in range(KILLS):
        await part.ready(daemon, kill)
        await anyio.sleep(moments.uniform(0.0, 0.4))
        async with part.moment(kill):
            await daemon.kill()
        await daemon.start()

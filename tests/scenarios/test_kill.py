"""Promises 1 to 4 against SIGKILL at random moments, under load, from the copy on."""

import random
import time
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Stall
from sandbox.workload import Writer, seed
from scenarios.migration import Daemon, running
from scenarios.world import World, world

KILLS, KILLS_WHILE_COPYING = 10, 4
HOT_KEYS, RARE_KEYS = 60, 5000
"""Hot keys show what goes backwards; what is lost of a key hardly ever written stays lost."""


@pytest.mark.timeout(240)
async def test_killed_ten_times_nothing_is_lost_and_nothing_goes_backwards(aws: AwsServer, tmp_path: Path) -> None:
    """Hot keys, deletions and re-creations while the daemon dies during the copy and afterwards."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 3000)
        w.shrink_pages(7, probability=0.5)
        writers = [
            Writer(w.dynamodb, w.table, space=f"w{keys}", keys=keys, rate_per_s=60) for keys in (HOT_KEYS, RARE_KEYS)
        ]
        async with anyio.create_task_group() as tasks, running(w.daemon()) as daemon:
            for writer in writers:
                tasks.start_soon(writer.run)
            await _kill_often(daemon, w)
            for writer in writers:
                writer.stop()
            stopped = time.time()
            await daemon.caught_up(stopped)
        found = await w.assert_equal()
        assert found.equal > 3000
        assert w.observer.seen > 100, "the observer must have watched the target being written"


async def _kill_often(daemon: Daemon, w: World) -> None:
    """The first kills fall into the copy, the others come soon after something was applied while following.

    Every other one comes while a write is under way, which then never reaches the target.
    """
    moments = random.Random(7)
    for kill in range(KILLS):
        if kill < KILLS_WHILE_COPYING:
            await daemon.until(lambda s: s["read"] > 0)
        else:
            await daemon.until(lambda s: s["phase"] == "following" and s["applied"] > 0)
            w.watch()
            w.observer.begin()
        await anyio.sleep(moments.uniform(0.0, 0.4))
        if kill % 2:
            with w.target_proxy.inject(Stall(), method="POST", path="/docs") as under_way:
                await under_way.wait_for_hits()
                await daemon.kill()
        else:
            await daemon.kill()
        await daemon.start()
    await daemon.until(lambda s: s["phase"] == "following" and s["applied"] > 0)
    await anyio.sleep(3)

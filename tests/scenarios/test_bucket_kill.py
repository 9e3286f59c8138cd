"""Promises 1, 3 and 4 for a bucket, against SIGKILL at random moments under load: nothing that was staged and not
committed is ever seen, and nothing that was received and not applied is lost.
"""

import random
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Stall
from scenarios.bucket_world import BucketWorld, bucket_world
from scenarios.migration import Daemon, running

KILLS, KILLS_WHILE_COPYING = 10, 3
HOT_KEYS, RARE_KEYS = 20, 3000
"""Hot keys show what goes backwards; what is lost of a key hardly ever written stays lost."""

LARGE_BYTES = 3_000_000
BLOCK = r"comp=block(&|$)"
COMMIT_OR_SMALL = r"comp=blocklist|^[^?]*$"


@pytest.mark.timeout(240)
async def test_killed_ten_times_the_bucket_is_equal(aws: AwsServer, tmp_path: Path) -> None:
    """Objects overwritten, deleted, tagged and labelled anew, some of several MB; no listing mends what events tell."""
    async with bucket_world(aws, tmp_path, target={"block_bytes": 1024 * 1024}) as w, w.watching():
        writers = [
            w.writer(f"w{keys}", keys=keys, rate_per_s=rate, parts_share=0.05)
            for keys, rate in ((HOT_KEYS, 1.5), (RARE_KEYS, 2.5))
        ]
        for writer in writers:
            await writer.run(operations=30)
        async with anyio.create_task_group() as tasks, running(w.daemon()) as daemon:
            for writer in writers:
                tasks.start_soon(writer.run)
            await _kill_often(daemon, w)
            for writer in writers:
                writer.stop()
            await w.settled(daemon)
        for writer in writers:
            assert writer.counts.retag + writer.counts.relabel + writer.counts.delete > 5, writer.counts
        await w.assert_equal()
        assert w.observer.seen > 100, "the observer must have watched the target being written"


async def _kill_often(daemon: Daemon, w: BucketWorld) -> None:
    """At any moment, while blocks are being staged, and while something is being committed, by turns."""
    moments = random.Random(7)
    for kill in range(KILLS):
        await daemon.until(lambda s: s["read"] > 0)
        if kill >= KILLS_WHILE_COPYING:
            await daemon.until(lambda s: s["copy_stage"] == "swept" and s["applied"] > 0)
        await anyio.sleep(moments.uniform(0.0, 0.4))
        match kill % 3:
            case 0:
                await daemon.kill()
            case 1:
                await _kill_while_staging(daemon, w, f"large/{kill}")
            case 2:
                with w.target_proxy.inject(Stall(), method="PUT", path=COMMIT_OR_SMALL) as under_way:
                    await under_way.wait_for_hits()
                    await daemon.kill()
        await daemon.start()


async def _kill_while_staging(daemon: Daemon, w: BucketWorld, key: str) -> None:
    """Two blocks of three have come through: what is left of them must not become part of any blob."""
    with w.target_proxy.inject(Stall(), method="PUT", path=f"{key}.*{BLOCK}", skip=2) as under_way:
        await w.put(key, random.Random(key).randbytes(LARGE_BYTES))
        await under_way.wait_for_hits()
        await daemon.kill()
    left = [blob.name async for blob in w.container.list_blobs(include=["uncommittedblobs"])]
    assert key in left
    assert await w.blob(key) is None

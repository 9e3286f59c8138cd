"""Promise 5 for a bucket: an object of any size goes through little memory, is never seen in part, and is finished by
the next run where this one was stopped.
"""

import hashlib
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Delay, Stall
from scenarios.bucket_world import POLL_S, BucketWorld, bucket_world, held_blob
from scenarios.migration import Daemon, running

MB, MIB = 1_000_000, 1024 * 1024
PART_BYTES = 50 * MB
MOST_BYTES = {200 * MB: 200 * MB, 2000 * MB: 300 * MB}
"""Most memory resident, by the size of the object: a bare daemon has some 80 MB."""

KEY = "large.bin"


def parts(size: int) -> Iterator[bytes]:
    """The same bytes in each but for its number."""
    filling = random.Random(size).randbytes(PART_BYTES - 4)
    for number in range(size // PART_BYTES):
        yield number.to_bytes(4) + filling


async def upload(w: BucketWorld, size: int) -> None:
    """Without the whole of it in memory here."""
    where = {"Bucket": w.bucket, "Key": KEY}
    upload = {**where, "UploadId": (await w.s3.create_multipart_upload(**where))["UploadId"]}
    sent = []
    for number, part in enumerate(parts(size), start=1):
        answer = await w.s3.upload_part(**upload, PartNumber=number, Body=part)
        sent.append({"PartNumber": number, "ETag": answer["ETag"]})
    await w.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})


def bypass(w: BucketWorld) -> None:
    """The proxies share our event loop, and so much is slow through them."""
    w.pipeline["source"] |= {"endpoint": w.aws.endpoint, "sqs_endpoint": w.aws.endpoint}
    w.pipeline["target"]["endpoint"] = w.azurite.endpoint
    w.config["limits"] = {}
    w.write_config()


async def copied(daemon: Daemon, w: BucketWorld, size: int) -> None:
    """Until the blob is there; it is never there with another size."""
    sizes: set[int] = set()
    while size not in sizes:
        sizes.update([blob.size async for blob in w.container.list_blobs() if blob.name == KEY])
        assert sizes <= {size}
        assert daemon.program.exit_code is None, daemon.program.tail()
        await anyio.sleep(POLL_S)
    await w.settled(daemon)


async def copy_one(aws: AwsServer, folder: Path, size: int) -> int:
    """The most memory that a daemon had resident while it copied an object of this size."""
    async with bucket_world(aws, folder) as w:
        bypass(w)
        await upload(w, size)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "copying")
            await copied(daemon, w, size)
            peak = daemon.program.peak_resident_bytes()
        held = await held_blob(w.container, KEY)
        digest = hashlib.md5(usedforsecurity=False)
        for part in parts(size):
            digest.update(part)
        assert held is not None
        assert (held.size, held.md5) == (size, digest.hexdigest())
        return peak


async def test_a_large_object_in_little_memory(aws: AwsServer, tmp_path: Path) -> None:
    """200 MB, with the daemon itself, in less than that."""
    peak = await copy_one(aws, tmp_path, 200 * MB)
    assert peak < MOST_BYTES[200 * MB], f"{peak:,} bytes"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_very_large_object_in_little_memory(aws: AwsServer, tmp_path: Path) -> None:
    """2 GB in less than 300 MB."""
    peak = await copy_one(aws, tmp_path, 2000 * MB)
    assert peak < MOST_BYTES[2000 * MB], f"{peak:,} bytes"


async def test_a_stop_in_the_middle_of_an_object_finishes_it(aws: AwsServer, tmp_path: Path) -> None:
    """Within the deadline, however much is still to be moved."""
    data = random.Random(1).randbytes(12 * MIB)
    async with bucket_world(aws, tmp_path, target={"block_bytes": MIB}) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            slow = w.target_proxy.inject(Delay(seconds=0.3), method="PUT", path="comp=block")
            await w.put(KEY, data)
            await slow.wait_for_hits()
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait() == 0
        assert await w.blob(KEY) == data
        assert await w.waiting() == 0
        w.assert_nothing_wrong_seen()


async def test_a_stop_that_cannot_finish_an_object_gives_up_and_the_next_run_does_it(
    aws: AwsServer, tmp_path: Path
) -> None:
    """At the deadline, whatever the target does. In the copy and while following."""
    async with bucket_world(aws, tmp_path, limits={"drain_deadline_s": 1}, target={"block_bytes": MIB}) as w:
        daemon = w.daemon()
        for number in range(2):
            key, data = f"{KEY}-{number}", random.Random(number).randbytes(3 * MIB)
            stalled = w.target_proxy.inject(Stall(), method="PUT", path=f"{key}.*comp=block(&|$)", skip=1)
            await w.put(key, data)
            await daemon.start()
            async with w.watching():
                await stalled.wait_for_hits()
                begun = time.monotonic()
                daemon.program.send(signal.SIGTERM)
                assert await daemon.program.wait() == 1
                assert time.monotonic() - begun < 30, "the target would hold it for ever"
                assert await w.blob(key) is None
                stalled.lift()
                async with running(daemon):
                    await w.until_blob(key, data)
                    await w.settled(daemon)
        await w.assert_equal()

"""Promises 3 and 4 for an object that changes while it is copied: the newest wins, what was deleted stays deleted,
and nobody ever sees a mixture. Where an event is taken away, only what the copier itself looks at can save the day.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio

from sandbox.aws import AwsServer
from sandbox.faults import CutAfter, Delay, HoldDelivery, Rule, Stall
from scenarios.bucket_world import EVENTS, PATIENT, BucketWorld, bucket_world
from scenarios.migration import running

MIB = 1024 * 1024
SMALL, LARGE = 1000, 3 * MIB
PART_BYTES = 5 * MIB
KEY = "folder/object"


def some(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def slow_read(w: BucketWorld, key: str) -> Rule:
    """The last ranges of the content do not come yet."""
    return w.s3_proxy.inject(Stall(), method="GET", path=key, headers={"Range": "bytes=[1-9]"})


def slow_block(w: BucketWorld, key: str) -> Rule:
    """A block does not arrive yet."""
    return w.target_proxy.inject(Stall(), method="PUT", path=f"{key}.*comp=block(&|$)", skip=1)


def slow_commit(w: BucketWorld, key: str) -> Rule:
    """All blocks have, and nothing says yet that they are a blob."""
    return w.target_proxy.inject(Stall(), method="PUT", path=f"{key}.*comp=blocklist")


def slow_write(w: BucketWorld, key: str) -> Rule:
    """A small blob goes in one request, which does not arrive yet."""
    return w.target_proxy.inject(Stall(), method="PUT", path=f"{key}$")


Slow = Callable[[BucketWorld, str], Rule]
Change = Callable[[], Awaitable[None]]

SLOWNESS: list[tuple[str, Slow, int]] = [
    ("read", slow_read, LARGE),
    ("block", slow_block, LARGE),
    ("commit", slow_commit, LARGE),
    ("write", slow_write, SMALL),
]
"""Keys, what is slow about their copying, and their sizes."""


async def caught_in_the_act(w: BucketWorld, stalled: Rule, write: Awaitable[None], change: Change) -> None:
    """The object is written and, while it is being copied, changed; the copier goes on when that is done."""
    with stalled:
        await write
        await stalled.wait_for_hits()
        await change()


def unnoticed(w: BucketWorld, change: Change) -> Change:
    """The change has no event."""

    async def silently() -> None:
        await w.notify()
        await change()
        await w.notify(*EVENTS)

    return silently


async def test_overwritten_while_it_is_copied(aws: AwsServer, tmp_path: Path) -> None:
    """Without an event for the second write: the copier itself must notice. Then again, onto what is there now."""
    async with bucket_world(aws, tmp_path, limits=PATIENT, target={"block_bytes": MIB}) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            for key, slow, size in SLOWNESS:
                versions = [some(size, n) for n in range(4)]
                overwrite = unnoticed(w, partial(w.put, key, versions[1]))
                await caught_in_the_act(w, slow(w, key), w.put(key, versions[0]), overwrite)
                await w.until_blob(key, versions[1])
                again = partial(w.put, key, versions[3])
                await caught_in_the_act(w, slow(w, key), w.put(key, versions[2]), again)
                await w.until_blob(key, versions[3])
            await w.settled(daemon)
        await w.assert_equal()


async def test_written_and_deleted_while_it_is_copied(aws: AwsServer, tmp_path: Path) -> None:
    """The event of the deletion is lost."""
    async with bucket_world(aws, tmp_path, limits=PATIENT, target={"block_bytes": MIB}) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            for key, slow, size in SLOWNESS:
                delete = unnoticed(w, partial(w.delete, key))
                await caught_in_the_act(w, slow(w, key), w.put(key, some(size, 1)), delete)
            await w.settled(daemon)
        assert [key for key, _, _ in SLOWNESS if await w.blob(key) is not None] == []
        await w.assert_equal()


async def test_the_copy_races_the_events(aws: AwsServer, tmp_path: Path) -> None:
    """Listed, then changed and deleted again and again while the copier holds an old answer, and receivers go ahead."""
    async with bucket_world(aws, tmp_path) as w, w.watching():
        writer = w.writer("w", keys=25, rate_per_s=20, parts_share=0)
        await writer.run(operations=60)
        w.s3_proxy.inject(Delay(seconds=0.3), method="GET", probability=0.3)
        w.s3_proxy.inject(Delay(seconds=0.3), method="HEAD", probability=0.2)
        w.target_proxy.inject(Delay(seconds=0.3), method="PUT", probability=0.3)
        async with running(w.daemon()) as daemon:
            await writer.run(operations=120)
            w.s3_proxy.lift_all()
            w.target_proxy.lift_all()
            await w.settled(daemon)
        await w.assert_equal()
        assert w.observer.seen > 20


async def test_a_write_that_lands_late_undoes_nothing(aws: AwsServer, tmp_path: Path) -> None:
    """Its connection broke, the object was written anew meanwhile; and so for a deletion."""
    async with bucket_world(aws, tmp_path) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            await w.put(KEY, b"first")
            await w.until_blob(KEY, b"first")
            await _late(w, "PUT", w.put(KEY, b"second"))
            await _late(w, "DELETE", w.delete(KEY))
            await w.put(KEY, b"fourth")
            await w.until_blob(KEY, b"fourth")
            w.target_proxy.release()
            await w.target_proxy.settled()
            assert await w.blob(KEY) == b"fourth"
            await w.settled(daemon)
        await w.assert_equal()


async def _late(w: BucketWorld, method: str, change: Awaitable[None]) -> None:
    """A request is held, the daemon does without it, and the object is written once more."""
    with w.target_proxy.inject(HoldDelivery(), method=method, path=KEY, count=1) as held:
        await change
        await held.wait_for_hits()
    await w.put(KEY, b"third")
    await w.until_blob(KEY, b"third")


async def test_a_read_of_two_versions_is_never_put_together(aws: AwsServer, tmp_path: Path) -> None:
    """An object in parts has no checksum of the whole: only its ETag tells that the second half is another's."""
    first, second = some(PART_BYTES + MIB, 1), some(PART_BYTES + MIB, 2)
    async with bucket_world(aws, tmp_path, limits=PATIENT, target={"block_bytes": MIB}) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            write = w.put_in_parts(KEY, first, PART_BYTES)
            await caught_in_the_act(w, slow_read(w, KEY), write, partial(w.put_in_parts, KEY, second, PART_BYTES))
            await w.until_blob(KEY, second)
            await w.settled(daemon)
        await w.assert_equal()


async def test_a_connection_that_breaks_in_the_middle_of_an_object(aws: AwsServer, tmp_path: Path) -> None:
    """On the way from S3, on the way to the blob, and after the commit whose answer nobody hears."""
    data = some(8 * MIB, 1)
    async with bucket_world(aws, tmp_path, target={"block_bytes": MIB}) as w, w.watching():
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copy_stage"] == "swept")
            w.target_proxy.inject(CutAfter(), method="PUT", path="comp=blocklist", count=1)
            await w.put(KEY, data)
            for proxy in (w.s3_proxy, w.target_proxy, w.s3_proxy, w.target_proxy):
                with proxy.inject(Delay(seconds=0.2), path=KEY, method="GET" if proxy is w.s3_proxy else "PUT") as slow:
                    with anyio.move_on_after(5):
                        await slow.wait_for_hits(2)
                    proxy.cut()
            await w.until_blob(KEY, data)
            await w.settled(daemon)
        await w.assert_equal()

"""Promise 6 for a bucket: each awkward key or label arrives exactly or is a dead letter that names its key and why."""

import random
from pathlib import Path
from typing import Any

import anyio

from sandbox.aws import AwsServer
from sandbox.workload import METADATA, TAGS, object_keys, read_bucket
from scenarios.bucket_world import BucketWorld, bucket_world, held_blobs
from scenarios.migration import Daemon, running

AT_ONCE = 8

TYPE = {"ContentType": "text/plain"}


KEYS = [key for _, key in object_keys()]


async def write_all(w: BucketWorld) -> None:
    """Each object with a content of its own, so that whatever is written in another's place shows."""
    slots = anyio.CapacityLimiter(AT_ONCE)

    async def write(key: str, options: dict[str, Any]) -> None:
        async with slots:
            await w.put(key, f"the object {key!r}".encode(), **TYPE, **options)

    async def write_tagged(key: str, tags: dict[str, str]) -> None:
        await write(key, {})
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        await w.s3.put_object_tagging(Bucket=w.bucket, Key=key, Tagging={"TagSet": tag_set})

    async with anyio.create_task_group() as tasks:
        for key in KEYS:
            tasks.start_soon(write, key, {})
        for label, metadata in METADATA.items():
            tasks.start_soon(write, f"labels/metadata/{label}", {"Metadata": metadata})
        for label, tags in TAGS.items():
            tasks.start_soon(write_tagged, f"labels/tags/{label}", tags)


async def assert_exact_or_refused(w: BucketWorld, daemon: Daemon) -> dict[str, str]:
    """Returns what was refused."""
    refused = await daemon.dead_letters()
    wanted = {key: held async for key, held in read_bucket(w.s3, w.bucket)}
    found = await held_blobs(w.container)
    assert {key for key in found if found[key] != wanted.get(key)} == set(), "each blob is its object, exactly"
    assert wanted.keys() - found.keys() == refused.keys(), "what has not arrived is a dead letter, and nothing else"
    assert all(reason for reason in refused.values())
    return refused


async def test_awkward_keys_and_labels_arrive_exactly_or_are_refused_by_name(aws: AwsServer, tmp_path: Path) -> None:
    """Deleting an object resolves its dead letter."""
    async with bucket_world(aws, tmp_path) as w:
        await write_all(w)
        written = len(KEYS) + len(METADATA) + len(TAGS)
        assert written >= 150
        async with running(w.daemon()) as daemon:
            await w.settled(daemon)
            refused = await assert_exact_or_refused(w, daemon)
            assert len(refused) < written / 2
            assert "ends with a dot" in refused["a/../b"]
            assert "backslash" in refused["a\\b"]
            gone = random.Random(1).sample(KEYS, 40)
            async with anyio.create_task_group() as tasks:
                for key in gone:
                    tasks.start_soon(w.delete, key)
            await w.settled(daemon)
            assert await assert_exact_or_refused(w, daemon) == {k: v for k, v in refused.items() if k not in gone}

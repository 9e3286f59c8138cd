"""A bucket that is written while it is copied and followed: what the source hands out is enough for a target to become
equal, through the engine's own guarded procedure.
"""

from __future__ import annotations

import itertools
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from integration.test_s3_following import following, notified_queue

from fakes.records import PLAINLY
from replicator.delivery import Suspects
from replicator.engine.reconciling import Reconciler
from replicator.model import ABSENT, Change, GuardedResult, Observed, Operation, Partition, Resume, Rule
from replicator.objects import ContentChangedError, StoredObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.aws.s3.source import S3Source
    from sandbox.aws import AwsServer

KEYS = [f"{folder}/{name}" for folder in ("a b", "ü", "c+d") for name in ("1", "2", "3", "%41")]
WRITES = 240
PIECE = 1000
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@dataclass(frozen=True)
class Copied:
    """What a target holds of an object."""

    guard: str
    record: StoredObject
    content: bytes


class Shelf:
    """As much of a target as the guarded procedure uses, in memory and slow."""

    def __init__(self, rng: random.Random) -> None:
        self.held: dict[str, Copied] = {}
        self.torn = 0
        self._rng = rng
        self._guards = itertools.count()

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        await self._pause()
        return {key: self._observed(key) for key in keys}

    async def replace(
        self, changes: Mapping[str, Change[StoredObject]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        conflicts = [key for key, change in changes.items() if not await self._replaced(change, observed[key])]
        return GuardedResult(conflicts=tuple(conflicts))

    async def _replaced(self, change: Change[StoredObject], observed: Observed) -> bool:
        content = b""
        if change.operation is Operation.UPSERT:
            try:
                content = await read(change.record)
            except ContentChangedError:
                self.torn += 1
                return False
        await self._pause()
        if self._observed(change.key).guard != observed.guard:
            return False
        if change.operation is Operation.DELETE:
            self.held.pop(change.key, None)
        else:
            self.held[change.key] = Copied(str(next(self._guards)), change.record, content)
        return True

    def _observed(self, key: str) -> Observed:
        copied = self.held.get(key)
        return Observed(copied.guard, "", copied.record.version) if copied else ABSENT

    async def _pause(self) -> None:
        await anyio.sleep(self._rng.uniform(0, 0.02))


async def read(record: StoredObject) -> bytes:
    """All of an object in small ranges."""
    assert record.content is not None
    assert record.size is not None
    found = b""
    for start in range(0, record.size, PIECE):
        async with aclosing(record.content.read(start, min(PIECE, record.size - start))) as pieces:
            found += b"".join([piece async for piece in pieces])
    return found


async def write(s3: Any, bucket: str, rng: random.Random) -> None:
    """Overwrites, deletes and makes again, some by metadata alone."""
    for number in range(WRITES):
        key = rng.choice(KEYS)
        if rng.random() < 0.3:
            await s3.delete_object(Bucket=bucket, Key=key)
            continue
        body = bytes([number % 256]) * rng.choice([0, 1, 2500, 5000])
        more = {"Metadata": {"number": str(number)}, "Tagging": f"number={number}"}
        await s3.put_object(Bucket=bucket, Key=key, Body=body, **more)


class Pipeline:
    """The source and a shelf, with the engine's procedure between them."""

    def __init__(self, source: S3Source, shelf: Shelf) -> None:
        self._source = source
        self._reconciler = Reconciler(source, shelf, Suspects(), PLAINLY)  # type: ignore[arg-type,misc]  # uses no more

    async def copy(self) -> None:
        for partition in await self._source.copy_partitions():
            await self._take(partition)

    async def follow(self) -> None:
        async with anyio.create_task_group() as tasks:
            for partition in await self._source.follow_partitions():
                tasks.start_soon(self._take, partition)

    async def _take(self, partition: Partition) -> None:
        async with aclosing(self._source.read(partition, Resume())) as batches:
            async for batch in batches:
                keys = [change.key for change in batch.changes]
                assert not await self._reconciler.reconcile(keys, Rule.FOLLOW, lambda *_: None)
                if batch.receipts:
                    await self._source.settle(batch, ())


async def present(s3: Any, bucket: str) -> dict[str, tuple[bytes, dict[str, str], list[dict[str, str]]]]:
    """Everything in the bucket as any client reads it."""
    found = {}
    for entry in (await s3.list_objects_v2(Bucket=bucket)).get("Contents", []):
        answer = await s3.get_object(Bucket=bucket, Key=entry["Key"])
        tags = await s3.get_object_tagging(Bucket=bucket, Key=entry["Key"])
        found[entry["Key"]] = (await answer["Body"].read(), answer["Metadata"], tags["TagSet"])
    return found


def shelved(shelf: Shelf) -> dict[str, tuple[bytes, dict[str, str], list[dict[str, str]]]]:
    return {
        key: (
            copied.content,
            dict(copied.record.metadata or {}),
            [{"Key": name, "Value": value} for name, value in (copied.record.tags or {}).items()],
        )
        for key, copied in shelf.held.items()
    }


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_bucket_at_work_arrives(s3: Any, sqs: Any, aws: AwsServer, bucket: str, seed: int) -> None:
    """Objects overwritten and deleted amid their copy too: whatever is written last is what is there."""
    url = await notified_queue(s3, sqs, bucket)
    rng = random.Random(seed)
    shelf = Shelf(rng)
    async with following(aws, bucket, url, receivers=3) as source:
        pipeline = Pipeline(source, shelf)
        await write(s3, bucket, rng)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pipeline.follow)
                async with anyio.create_task_group() as writing:
                    writing.start_soon(write, s3, bucket, rng)
                    writing.start_soon(pipeline.copy)
                wanted = await present(s3, bucket)
                while shelved(shelf) != wanted:  # noqa: ASYNC110 -- the queue has no event for it
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
        assert wanted
        assert await source.missing(list(shelf.held)) == set()


async def test_lost_notifications_heal_by_listing_both_sides(s3: Any, aws: AwsServer, bucket: str, sqs: Any) -> None:
    url = await notified_queue(s3, sqs, bucket)
    rng = random.Random(3)
    shelf = Shelf(rng)
    async with following(aws, bucket, url) as source:
        pipeline = Pipeline(source, shelf)
        await write(s3, bucket, rng)
        await pipeline.copy()
        await write(s3, bucket, rng)
        await s3.delete_object(Bucket=bucket, Key=next(iter(shelf.held)))
        await sqs.purge_queue(QueueUrl=url)
        await pipeline.copy()
        for key in await source.missing(list(shelf.held)):
            del shelf.held[key]
        assert shelved(shelf) == await present(s3, bucket)

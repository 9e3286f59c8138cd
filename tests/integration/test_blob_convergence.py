"""Promise: whatever workers, faults and order, once every change was looked at, the container equals the bucket."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import anyio
import pytest

from connectors.azure.blob.label import label_of
from connectors.azure.blob.metadata import decode_tags
from connectors.azure.blob.writing import ONE_REQUEST_BYTES
from fakes.blobs import Bench, bench, ready
from fakes.objects import Bytes, stored
from replicator.model import Change, Operation, Rule
from replicator.objects import ContentChangedError, StoredObject
from sandbox.faults import FaultProxy
from sandbox.faults.rules import CutAfter, CutBefore, Delay, HoldDelivery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandbox.azurite import Azurite

KEYS = ["a", "b/ü"]
ROUNDS = 10
CHANGES = 5
FAULTS = (
    (CutBefore(), 0.03),
    (CutAfter(), 0.03),
    (HoldDelivery(seconds=0.2), 0.03),
    (Delay(seconds=0.15), 0.3),
)
"""A write that is held up lands after later ones of other workers, unless its condition keeps it from that."""


class Bucket:
    """Objects that somebody changes; a content is refused once its object is another one."""

    def __init__(self, chance: random.Random) -> None:
        self.objects: dict[str, tuple[StoredObject, bytes]] = {}
        self._chance = chance
        self._number = 0

    def change(self, key: str) -> None:
        """Written, written over, labelled anew or removed."""
        self._number += 1
        if key in self.objects and self._chance.random() < 0.2:
            del self.objects[key]
            return
        held = self.objects.get(key)
        tags = {"n": str(self._number)}
        if held is not None and self._chance.random() < 0.3:
            self.objects[key] = (stored(key, held[1], held[0].version, tags=tags), held[1])
            return
        size = self._chance.choice([0, 10, 5000, ONE_REQUEST_BYTES + 70_000])
        data = self._chance.randbytes(size)
        self.objects[key] = (stored(key, data, f"v{self._number}", tags=tags), data)

    async def lookup(self, key: str) -> Change[StoredObject]:
        await anyio.sleep(self._chance.random() * 0.01)
        if key not in self.objects:
            return Change(key, Operation.DELETE, StoredObject(key))
        record, data = self.objects[key]
        content = Watched(self, key, record.version, data)
        checksums = {"md5": hashlib.md5(data, usedforsecurity=False).digest()}
        whole = stored(key, data, record.version, tags=record.tags, content=content, checksums=checksums)
        return Change(key, Operation.UPSERT, whole, record.version)


class Watched(Bytes):
    """The bytes of one version, as long as it is the present one."""

    def __init__(self, bucket: Bucket, key: str, version: str, data: bytes) -> None:
        super().__init__(data)
        self._bucket = bucket
        self._key = key
        self._version = version

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        await anyio.sleep(self._bucket._chance.random() * 0.03)
        if self._key not in self._bucket.objects or self._bucket.objects[self._key][0].version != self._version:
            raise ContentChangedError
        async for piece in super().read(start, length):
            yield piece


async def reconcile(worker: Bench, bucket: Bucket, key: str) -> None:
    """The engine's guarded procedure, for one key."""
    while True:
        observed = await worker.target.observe([key])
        wanted = await bucket.lookup(key)
        result = await worker.target.replace({key: wanted}, observed, Rule.FOLLOW)
        assert result.rejections == ()
        if result.conflicts:
            continue
        created = observed[key].guard is None and wanted.operation is Operation.UPSERT
        if not created or (await bucket.lookup(key)) == wanted:
            return


@pytest.mark.parametrize("seed", range(3))
async def test_the_container_equals_the_bucket(azurite: Azurite, seed: int) -> None:
    chance = random.Random(seed)
    bucket = Bucket(chance)
    async with FaultProxy("127.0.0.1", azurite.port, seed=seed) as proxy:
        to = f"{proxy.endpoint}/{azurite.account_name}"
        times = {"lifetime_s": 0.5, "timeout_s": 5.0, "block_bytes": 100_000}
        async with ready(azurite, to=to, **times) as first:
            there = {"container": first.config.container, "marker_container": first.config.marker_container}
            async with (
                bench(azurite, to=to, **there, **times) as second,
                bench(azurite, to=to, **there, **times) as third,
            ):
                workers = [first, second, third]
                for worker in workers[1:]:
                    await worker.target.connect(())
                for fault, probability in FAULTS:
                    for method in ("PUT", "DELETE"):
                        proxy.inject(fault, method=method, probability=probability)
                for _ in range(ROUNDS):
                    async with anyio.create_task_group() as tasks:
                        for _ in range(CHANGES):
                            key = chance.choice(KEYS)
                            bucket.change(key)
                            tasks.start_soon(reconcile, chance.choice(workers), bucket, key)
                            await anyio.sleep(chance.random() * 0.06)
                    await equal(first, bucket)


async def equal(worker: Bench, bucket: Bucket) -> None:
    """Names, bytes and tags; and the target says so itself."""
    assert await worker.held() == {key: data for key, (_, data) in bucket.objects.items()}
    for key, (record, data) in bucket.objects.items():
        tags = await worker.container.get_blob_client(key).get_blob_tags()
        assert decode_tags(tags) == record.tags
        checksums = {"md5": hashlib.md5(data, usedforsecurity=False).digest()}
        whole = stored(key, data, record.version, tags=record.tags, checksums=checksums)
        assert (await worker.observe(key)).digest == label_of(whole, worker.target._rules).digest()

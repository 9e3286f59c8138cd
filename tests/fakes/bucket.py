"""A scripted bucket: its events say only that a record may have changed, come late, twice, out of order, or never."""

import itertools
import random
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio

from fakes.records import key_of
from fakes.rig import Rig
from fakes.scripted import ScriptedSource, ScriptedTable
from replicator.clocks import elapsed_s
from replicator.documents import Document
from replicator.model import Barriers, Batch, Change, Operation, Partition, Resume

VISIBILITY_S = 10.0
"""A message that was received and not settled comes again after this."""

LATE_S = 2.0
"""An event comes at most so late, unless it is lost."""

POLL_S = 0.5


@dataclass
class Message:
    """An event in the queue. `received` counts its deliveries."""

    id: int
    name: str
    at: float
    visible_at: float
    received: int = 0


class ScriptedBucket(ScriptedTable):
    """Keeps no log, but a queue of events, each sent once more or not at all with these probabilities."""

    def __init__(
        self, rng: random.Random, *, lost: float = 0.0, twice: float = 0.0, late_s: float = LATE_S,
        visibility_s: float = VISIBILITY_S,
    ) -> None:  # fmt: skip
        super().__init__(rng)
        self.lost = lost
        self.twice = twice
        self.late_s = late_s
        self.visibility_s = visibility_s
        self.queue: dict[int, Message] = {}
        self._ids = itertools.count()

    def send(self, name: str, late_s: float | None = None) -> None:
        """An event about this record, whether or not anything has happened."""
        late_s = self.rng.uniform(0, self.late_s) if late_s is None else late_s
        message = Message(next(self._ids), name, self.now(), self.now() + late_s)
        self.queue[message.id] = message

    def receive(self) -> list[Message]:
        """A few that are visible, in any order; invisible from now on."""
        visible = [m for m in self.queue.values() if m.visible_at <= self.now()]
        self.rng.shuffle(visible)
        for message in visible[:3]:
            message.visible_at = self.now() + self.visibility_s
            message.received += 1
        return visible[:3]

    def in_flight(self) -> bool:
        """Whether anybody holds a message."""
        return any(m.received and m.visible_at > self.now() for m in self.queue.values())

    def _record(self, name: str, number: int | None, *, logged: bool = True) -> None:
        self.history.setdefault(name, []).append((self.now(), number))
        if not logged or self.rng.random() < self.lost:
            return
        for _ in range(1 + (self.rng.random() < self.twice)):
            self.send(name)


class LookingSource(ScriptedSource):
    """Hands out what may have changed, and settles what was delivered."""

    def __init__(
        self, bucket: ScriptedBucket, *, receivers: int = 2, relist_s: float | None = None, page: int = 6,
        latency_s: float = 0.05, pause_s: float = POLL_S,
    ) -> None:  # fmt: skip
        super().__init__(bucket, page=page, latency_s=latency_s, pause_s=pause_s)
        self.barriers = Barriers.KEYS
        self.stale_rows = False
        self.relist_interval = None if relist_s is None else timedelta(seconds=relist_s)
        if not receivers:
            self.retention = None
        self.looked_up: list[str] = []
        self._bucket = bucket
        self._receivers = receivers

    async def follow_partitions(self) -> tuple[Partition, ...]:
        await self._call()
        return tuple(Partition(f"receiver-{i}", bounded=False) for i in range(self._receivers))

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[Document]]:
        self.looked_up += keys
        found = await super().lookup(keys)
        return {key: replace(change, version=_version(change)) for key, change in found.items()}

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        await self._call()
        made = {name: int(self._bucket.history[name][-1][0]) for name in self._bucket.rows}
        there = {key_of(name) for name, at in made.items() if since is None or at < int(since.timestamp())}
        return set(keys) - there

    def can_move(self, partition: Partition) -> bool:
        """As of a real one."""
        return partition.bounded

    async def settle(self, batch: Batch[Document], rejected: Collection[str]) -> None:
        await self._call()
        for receipt in batch.receipts:
            assert isinstance(receipt, int)
            self._bucket.queue.pop(receipt, None)

    async def _scan(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        async for batch in super()._scan(partition, resume):
            rows = [replace(c, operation=Operation.LOOK, version=_version(c)) for c in batch.changes]
            yield replace(batch, changes=tuple(rows), bytes=len(rows))

    async def _follow(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        idle_since, late_s = None, self._bucket.late_s
        while True:
            asked = elapsed_s()
            await self._call()
            if messages := self._bucket.receive():
                idle_since = None
                looks = tuple(_look(message) for message in messages)
                yield Batch(looks, read=len(looks), receipts=tuple(message.id for message in messages))
                continue
            idle_since = idle_since or asked
            proven = None
            if elapsed_s() - idle_since > late_s and not self._bucket.in_flight():
                proven, idle_since = self.clock.earliest(idle_since) - timedelta(seconds=late_s), asked
            yield Batch((), None, proven, pause_s=self._pause_s)


def _version(change: Change[Document]) -> str:
    return str(change.record.get("number", ""))


def _look(message: Message) -> Change[Document]:
    record: Document = {"id": message.name}
    committed = datetime.fromtimestamp(int(message.at), UTC)
    return Change(key_of(message.name), Operation.LOOK, record, committed_at=committed, written_at=committed)


class BucketRig(Rig):
    """A pipeline from a bucket; `source` is that of the latest process."""

    def __init__(
        self, seed: int = 0, *, lost: float = 0.0, twice: float = 0.0, relist_s: float | None = None, receivers: int = 2
    ) -> None:
        self.bucket = ScriptedBucket(random.Random(seed), lost=lost, twice=twice)
        self._relist_s = relist_s
        self._receivers = receivers
        self.source = LookingSource(self.bucket)
        super().__init__(seed)
        self.watermark_is_proof = lost == 0
        self.table = self.bucket

    def _source(self) -> LookingSource:
        self.source = LookingSource(self.bucket, receivers=self._receivers, relist_s=self._relist_s)
        return self.source


async def events_are_over(rig: BucketRig) -> None:
    """Returns when nothing is in the queue."""
    with anyio.fail_after(120):
        while rig.bucket.queue:  # noqa: ASYNC110 — the fake tells nobody
            await anyio.sleep(0.1)

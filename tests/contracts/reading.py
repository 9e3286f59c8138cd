"""How the source suites read: as the engine does, one partition or all of them side by side."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, Generic, TypeAlias

import anyio
from contracts.worlds.sides import SourceWorld

from replicator.model import Batch, Change, Operation, Partition, R, Resume
from replicator.ports import Source

NAMES = [f"n{i}" for i in range(7)]
BEGINNING = Resume()
ROUNDING = timedelta(seconds=1)
"""A commit time may be rounded down by so much."""


async def put_all(world: SourceWorld[Any]) -> list[str]:
    """A record or message of each name, its number the place of that; their keys."""
    for number, name in enumerate(NAMES):
        await world.put(name, number)
    return [world.key(name) for name in NAMES]


async def read_until(
    world: SourceWorld[R],
    source: Source[R],
    partition: Partition,
    enough: Callable[[list[Batch[R]]], bool],
    resume: Resume = BEGINNING,
) -> list[Batch[R]]:
    """Reads one partition until there is enough or it ends."""
    batches: list[Batch[R]] = []
    with anyio.fail_after(world.patience_s):
        async with aclosing(source.read(partition, resume)) as read:
            async for batch in read:
                batches.append(batch)
                if enough(batches):
                    break
                await anyio.sleep(batch.pause_s)
    return batches


async def copy(world: SourceWorld[R], source: Source[R]) -> list[Batch[R]]:
    """All bounded partitions, one after the other."""
    return [b for p in await source.copy_partitions() for b in await read_until(world, source, p, forever)]


Rejects: TypeAlias = Callable[[Change[R]], bool]


class Reading(Generic[R]):
    """What all followed partitions have handed out so far, in the order in which it came."""

    def __init__(self, source: Source[R], patience_s: float) -> None:
        self.batches: list[tuple[Partition, Batch[R]]] = []
        self._source = source
        self._patience_s = patience_s
        self._news = anyio.Event()

    @property
    def changes(self) -> list[Change[R]]:
        return changes([batch for _, batch in self.batches])

    @property
    def by_partition(self) -> dict[Partition, list[Batch[R]]]:
        return {p: [b for q, b in self.batches if q == p] for p in dict.fromkeys(p for p, _ in self.batches)}

    async def until(self, enough: Callable[[], bool]) -> None:
        """Returns once something holds that may have changed with a batch. Fails when patience is over."""
        with anyio.fail_after(self._patience_s):
            while not enough():
                await self._news.wait()

    async def until_changes(self, count: int) -> None:
        """Returns once so many have come, those that came again included."""
        await self.until(lambda: len(self.changes) >= count)

    async def until_keys(self, keys: Collection[str]) -> None:
        """Returns once each of these has come."""
        await self.until(lambda: {change.key for change in self.changes} >= set(keys))

    async def settle(self, *batches: Batch[R], rejected: Collection[str] = ()) -> None:
        """These, or all there are."""
        for batch in batches or [batch for _, batch in self.batches]:
            if batch.receipts:
                await self._source.settle(batch, rejected)

    async def read(
        self, partition: Partition, batches: AsyncGenerator[Batch[R], None], rejects: Rejects[R] | None
    ) -> None:
        """Hands on one partition; settles nothing where nobody says what is rejected."""
        async with aclosing(batches):
            async for batch in batches:
                if rejects is not None and batch.receipts:
                    await self._source.settle(batch, {c.key for c in batch.changes if rejects(c)})
                self.batches.append((partition, batch))
                self._news.set()
                self._news = anyio.Event()
                await anyio.sleep(batch.pause_s)


@asynccontextmanager
async def following(
    world: SourceWorld[R],
    source: Source[R],
    resume: Resume = BEGINNING,
    *,
    settling: bool = False,
    rejects: Rejects[R] = lambda _: False,
) -> AsyncIterator[Reading[R]]:
    """All followed partitions are read until this is left; with `settling` each batch is settled as soon as it comes,
    as if the target had refused what is rejected.
    """
    reading = Reading(source, world.patience_s)
    async with anyio.create_task_group() as tasks:
        for partition in await source.follow_partitions():
            tasks.start_soon(reading.read, partition, source.read(partition, resume), rejects if settling else None)
        yield reading
        tasks.cancel_scope.cancel()


async def read_changes(world: SourceWorld[R], source: Source[R], count: int) -> dict[Partition, list[Batch[R]]]:
    """What all followed partitions hand out until these are so many changes together."""
    async with following(world, source) as reading:
        await reading.until_changes(count)
    return reading.by_partition


def changes(batches: Sequence[Batch[R]]) -> list[Change[R]]:
    """All of them."""
    return [change for batch in batches for change in batch.changes]


async def whole(source: Source[Any], of: Sequence[Change[Any]]) -> list[Change[Any]]:
    """The same changes, with the records of those that only say where to look."""
    looks = [change.key for change in of if change.operation is Operation.LOOK]
    found = await source.lookup(looks) if looks else {}
    return [found.get(change.key, change) for change in of]


async def states(world: SourceWorld[R], of: Sequence[Change[R]]) -> dict[str, list[int | None]]:
    """The states that the changes of each key bring it to, one after the other."""
    found: dict[str, list[int | None]] = {}
    for change in of:
        found.setdefault(change.key, []).append(await world.state(change))
    return found


def holds(count: int) -> Callable[[list[Batch[Any]]], bool]:
    """Enough once so many changes have come."""
    return lambda batches: len(changes(batches)) >= count


def forever(_: list[Batch[Any]]) -> bool:
    """Never enough."""
    return False


def contradicted(batches: Sequence[tuple[Partition, Batch[Any]]], partitions: Collection[Partition]) -> list[str]:
    """The keys of changes older than what all of these partitions had claimed, in batches that do not own up to it."""
    claims: dict[Partition, Any] = {}
    found: list[str] = []
    for partition, batch in batches:
        claimed = min(claims.values()) if claims.keys() >= set(partitions) else None
        for change in batch.changes:
            committed = change.committed_at
            late = claimed is not None and committed is not None and committed + ROUNDING <= claimed
            found += [change.key] if late and not batch.late else []
        if batch.replicated_through is not None and partition in partitions:
            claims[partition] = max(claims.get(partition, batch.replicated_through), batch.replicated_through)
    return found

"""One round of verification: every record of the source and everything the target holds, then what is in doubt.

Several partitions of the source are read at once, beside the target: a switch waits for a round, and so do clients.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from math import ceil
from typing import Generic

import anyio

from replicator.clocks import elapsed_s
from replicator.delivery import RateBudget
from replicator.engine.comparing import CHUNK, Sides
from replicator.engine.doubting import Doubting
from replicator.engine.gate import Gate
from replicator.engine.rounds import ABSENT, UNREADABLE, Difference, Leg, Round
from replicator.model import Barriers, Batch, Listed, Partition, R, Resume
from replicator.ports import Source, Target

SAVE_INTERVAL_S = 5.0

AT_ONCE = 4
"""Partitions of the source that are read at once, each with a page in memory. The rate is bounded by the budgets."""

LOOK_INTERVAL_S = 0.5
"""How often doubts are looked at while nothing else is to be done."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before all of them are looked at early, at first and at last: each time costs a read of either side for each."""


class Surveying(Generic[R]):
    """Goes through one round, from wherever it has come to. `save` makes it durable; `is_wanted` says whether it still
    is the round to go through.
    """

    def __init__(
        self,
        *,
        round_: Round,
        source: Source[R],
        target: Target[R],
        sides: Sides[R],
        doubting: Doubting[R],
        budget: RateBudget,
        save: Callable[[], Awaitable[None]],
        is_wanted: Callable[[], bool],
        remove_foreign: bool,
        gate: Gate,
    ) -> None:
        self._round = round_
        self._source = source
        self._target = target
        self._sides = sides
        self._doubting = doubting
        self._budget = budget
        self._save = save
        self._is_wanted = is_wanted
        self._remove_foreign = remove_foreign
        self._gate = gate
        self._saved_at = elapsed_s()

    async def run(self) -> bool:
        """True when the round is through, False when it is not wanted any more."""
        if self._round.legs is None:
            self._round.legs = [Leg(partition.id) for partition in await self._partitions()]
        room = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for leg in self._round.legs:
                tasks.start_soon(self._read, leg, room)
            tasks.start_soon(self._scan)
        if self._round.through_at is None and self._is_wanted():
            self._round.through_at = self._source.clock.latest()
        await self._settle_all()
        return self._is_wanted()

    async def _settle_all(self) -> None:
        """Nothing else is to be done. What is not due is looked at early too, more and more seldom."""
        looked_s, pause_s = elapsed_s(), FIRST_PAUSE_S
        while self._round.doubts and self._is_wanted():
            await self._gate.passed()
            await self._doubting.settle()
            if elapsed_s() - looked_s >= pause_s:
                await self._doubting.look_early()
                looked_s, pause_s = elapsed_s(), min(2 * pause_s, LONGEST_PAUSE_S)
            await self._save_if_due()
            await anyio.sleep(LOOK_INTERVAL_S)

    async def _partitions(self) -> Sequence[Partition]:
        """None where to read is to take."""
        return () if self._source.barriers is Barriers.NOTHING else await self._source.copy_partitions()

    async def _read(self, leg: Leg, room: anyio.CapacityLimiter) -> None:
        async with room:
            if leg.done or not self._is_wanted():
                return
            partition = Partition(leg.partition, bounded=True)
            async with aclosing(self._source.read(partition, Resume(leg.position))) as batches:
                async for batch in batches:
                    if not await self._compare(leg, batch):
                        return
                    await self._save_if_due()
                    if self._left(leg) == 0:
                        break
                    await anyio.sleep(batch.pause_s)
            leg.done = True

    async def _compare(self, leg: Leg, batch: Batch[R]) -> bool:
        """Whether it is still wanted.

        What a batch holds is counted as its position is taken, all of it or none: another partition may have the round
        saved meanwhile.
        """
        read, compared = 0, 0
        for start in range(0, len(batch.changes), CHUNK):
            rows = batch.changes[start : start + CHUNK][: self._left(leg, read)]
            if rows:
                await self._turn(len(rows))
                pairs = await self._sides.of_rows(rows)
                read, compared = read + len(rows), compared + len(pairs)
                await self._doubting.doubt([pair.key for pair in pairs if not pair.is_equal])
            if not self._is_wanted():
                return False
        leg.records += read
        self._round.compared += compared
        leg.position = leg.position if batch.position is None else batch.position
        return True

    async def _scan(self) -> None:
        if self._round.scan_done or not self._is_wanted():
            return
        async with aclosing(self._target.scan(self._round.position)) as pages:
            async for listed in pages:
                await self._at_source(listed)
                if not self._is_wanted():
                    return
                self._round.scanned += len(listed.keys)
                self._round.position = listed.position
                await self._save_if_due()
                if self._round.ask.sample is not None and self._round.scanned >= self._round.ask.sample:
                    break
        self._round.scan_done = True

    async def _at_source(self, listed: Listed) -> None:
        for start in range(0, len(listed.keys), CHUNK):
            keys = listed.keys[start : start + CHUNK]
            await self._turn(len(keys))
            await self._doubting.doubt(sorted(await self._source.missing(keys)))
        await self._entries(listed)

    async def _entries(self, listed: Listed) -> None:
        """What stands for no record of ours. It is never only late, and what is not ours is removed only if that was
        asked for by the config.
        """
        await self._gate.passed()
        removable = [handle for handle in listed.leftovers if self._round.differs(_entry(handle, "misplaced"))]
        for handle in listed.foreign:
            self._round.is_foreign(_entry(handle, "foreign"))
        if not self._round.ask.repair:
            return
        await self._target.remove_foreign(removable)
        for handle in removable:
            self._round.is_repaired(handle)
        if self._remove_foreign:
            await self._target.remove_foreign(listed.foreign)
            for handle in listed.foreign:
                self._round.is_removed(handle)

    async def _turn(self, records: int) -> None:
        """Returns when so many more may be compared; what is doubted comes first."""
        await self._gate.passed()
        await self._doubting.settle()
        while not self._doubting.has_room(AT_ONCE + 1) and self._is_wanted():
            await anyio.sleep(LOOK_INTERVAL_S)
            await self._gate.passed()
            await self._doubting.settle()
        async with self._budget.held():
            self._budget.charge(records)

    def _left(self, leg: Leg, read: int = 0) -> int | None:
        """How many records of this partition are still to be compared, beside those just read; None for all."""
        sample, legs = self._round.ask.sample, self._round.legs or ()
        return None if sample is None else max(0, ceil(sample / len(legs)) - leg.records - read)

    async def _save_if_due(self) -> None:
        if elapsed_s() - self._saved_at >= SAVE_INTERVAL_S:
            self._saved_at = elapsed_s()
            await self._save()


def _entry(handle: str, kind: str) -> Difference:
    return Difference(handle, kind, ABSENT, UNREADABLE)

"""One round of verification: every record of the source, then everything the target holds, then what is in doubt."""

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
from replicator.model import Barriers, Change, Listed, Partition, R, Resume
from replicator.ports import Source, Target

SAVE_INTERVAL_S = 5.0

LOOK_INTERVAL_S = 0.5
"""How often doubts are looked at while nothing else is to be done."""


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
        for leg in self._round.legs:
            if not leg.done and self._is_wanted():
                await self._read(leg)
        if not self._round.scan_done and self._is_wanted():
            await self._scan()
        while self._round.doubts and self._is_wanted():
            await self._gate.passed()
            await self._doubting.settle()
            await self._save_if_due()
            await anyio.sleep(LOOK_INTERVAL_S)
        return self._is_wanted()

    async def _partitions(self) -> Sequence[Partition]:
        """None where to read is to take."""
        return () if self._source.barriers is Barriers.NOTHING else await self._source.copy_partitions()

    async def _read(self, leg: Leg) -> None:
        """Saved only between batches: what is counted in one stands for what lies behind the position before it."""
        partition = Partition(leg.partition, bounded=True)
        async with aclosing(self._source.read(partition, Resume(leg.position))) as batches:
            async for batch in batches:
                for start in range(0, len(batch.changes), CHUNK):
                    await self._compare(leg, batch.changes[start : start + CHUNK])
                    if not self._is_wanted():
                        return
                leg.position = leg.position if batch.position is None else batch.position
                await self._save_if_due()
                if self._left(leg) == 0:
                    break
                await anyio.sleep(batch.pause_s)
        leg.done = True

    async def _compare(self, leg: Leg, rows: Sequence[Change[R]]) -> None:
        rows = rows[: self._left(leg)]
        if not rows:
            return
        await self._turn(len(rows))
        pairs = await self._sides.of_rows(rows)
        leg.records += len(rows)
        self._round.compared += len(pairs)
        await self._doubting.doubt([pair.key for pair in pairs if not pair.is_equal])

    async def _scan(self) -> None:
        async with aclosing(self._target.scan(self._round.position)) as pages:
            async for listed in pages:
                await self._at_source(listed)
                if not self._is_wanted():
                    return
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
        self._round.scanned += len(listed.keys)
        await self._entries(listed)

    async def _entries(self, listed: Listed) -> None:
        """What stands for no record of ours. It is never only late, and what is not ours is removed only if that was
        asked for by the config.
        """
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
        while not self._doubting.has_room and self._is_wanted():
            await anyio.sleep(LOOK_INTERVAL_S)
            await self._doubting.settle()
        async with self._budget.held():
            self._budget.charge(records)

    def _left(self, leg: Leg) -> int | None:
        """How many records of this partition are still to be compared; None for all."""
        sample, legs = self._round.ask.sample, self._round.legs or ()
        return None if sample is None else max(0, ceil(sample / len(legs)) - leg.records)

    async def _save_if_due(self) -> None:
        if elapsed_s() - self._saved_at >= SAVE_INTERVAL_S:
            await self._save()
            self._saved_at = elapsed_s()


def _entry(handle: str, kind: str) -> Difference:
    return Difference(handle, kind, ABSENT, UNREADABLE)

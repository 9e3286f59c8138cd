"""The copy beside the stream: one walk over the source, and what is undone once that is through."""

from typing import Generic

import anyio

from replicator.engine.applying import Applier
from replicator.engine.gate import Gate
from replicator.engine.placing import Placing
from replicator.engine.standing import Standing
from replicator.engine.walking import Walk
from replicator.model import CopyStage, R, Rule
from replicator.ports import Source, Target
from replicator.telemetry import PipelineTelemetry


class Copying(Generic[R]):
    """The copy of one pipeline. `lifetime_s` is how late a request may take effect."""

    def __init__(
        self,
        *,
        source: Source[R],
        target: Target[R],
        walk: Walk[R],
        applier: Applier[R],
        standing: Standing,
        lifetime_s: float,
        telemetry: PipelineTelemetry,
        gate: Gate,
        placing: Placing,
    ) -> None:
        self._source = source
        self._target = target
        self._walk = walk
        self._applier = applier
        self._standing = standing
        self._lifetime_s = lifetime_s
        self._telemetry = telemetry
        self._gate = gate
        self._placing = placing

    @property
    def records(self) -> int:
        """How many records have been copied, in this run and those before."""
        return self._standing.state.copied_records if self._is_over else self._walk.records

    @property
    def bytes(self) -> int:
        """What they hold, where that is known."""
        return self._standing.state.copied_bytes if self._is_over else self._walk.bytes

    async def run(self) -> None:
        """Goes on from the stage that was reached until what the copy held off is undone."""
        if self._standing.state.copy_stage is CopyStage.RUNNING:
            await self._copy()
        if self._standing.state.copy_stage is CopyStage.FINISHED:
            await self._finish()
            await self._standing.update(copy_stage=CopyStage.SWEPT)

    async def again(self) -> None:
        """Once it is over: reads the source to its end once more, and counts that to the copy."""
        records, bytes_ = self.records, self.bytes
        await self._walk.begin()
        await self._walk.run(both_ways=False)
        await self._standing.update(copied_records=records + self._walk.records, copied_bytes=bytes_ + self._walk.bytes)

    @property
    def _is_over(self) -> bool:
        return self._standing.state.copy_stage is not CopyStage.RUNNING

    async def _copy(self) -> None:
        if not self._walk.rows:
            await self._walk.begin()
        begun = None if self._source.stale_rows else self._standing.state.copy_started_at
        await self._walk.run(both_ways=self._standing.state.repairing, since=begun)
        if self._placing.has_lost and not self._source.stale_rows:
            await self._walk.run(both_ways=True, since=begun)  # its last write may be of what is gone by now
        await self._standing.update(
            copy_stage=CopyStage.FINISHED,
            copy_finished_at=self._source.clock.latest(),
            copied_records=self._walk.records,
            copied_bytes=self._walk.bytes,
            proven_through=begun if self._walk.rows else None,
        )
        self._telemetry.log.info("copy finished", records=self.records)

    async def _finish(self) -> None:
        """Ends the OVERLAP rule, then undoes what it held off.

        The pauses are as long as a request can live: a late copied row must still find the tombstone, and no tombstone
        may be written once they are being purged.
        """
        if self._applier.rule is Rule.OVERLAP:
            await anyio.sleep(self._lifetime_s)
            async with self._placing.whole():
                self._applier.rule = Rule.FOLLOW
                await self._applier.inflight.drained()
            await anyio.sleep(self._lifetime_s)
        await self._gate.passed()
        await self._target.sweep(lambda count: self._telemetry.log.info("finishing the copy", records=count))

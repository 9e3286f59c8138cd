"""The copy beside the stream: its bounded partitions, and what is undone once all of them are through."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Generic

import anyio

from replicator.engine.applying import Applier
from replicator.model import Checkpoint, Partition, R, Rule
from replicator.ports import Source, StateStore, Target
from replicator.telemetry import PipelineTelemetry

TARGET_SCAN = Partition(id="target-scan", bounded=True)
"""The partition of a repair that removes what the source lacks; its position is the target's."""


class Copying(Generic[R]):
    """The copy of one pipeline. `start` runs a partition's loop in the background."""

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        target: Target[R],
        store: StateStore,
        applier: Applier[R],
        start: Callable[[Checkpoint], None],
        lifetime_s: float,
        telemetry: PipelineTelemetry,
        remove_foreign: bool = False,
    ) -> None:
        self.checkpoints: dict[str, Checkpoint] = {}
        self._pipeline = pipeline
        self._source = source
        self._target = target
        self._store = store
        self._applier = applier
        self._start = start
        self._lifetime_s = lifetime_s
        self._telemetry = telemetry
        self._remove_foreign = remove_foreign
        self._finished = anyio.Event()

    @property
    def records(self) -> int:
        """How many records have been read, in this run and those before."""
        return sum(c.records for id_, c in self.checkpoints.items() if id_ != TARGET_SCAN.id)

    async def run(self) -> None:
        """Returns when every row has been copied (durably), and a repair has looked at what else the target holds."""
        if not self._rows():
            partitions = await self._source.copy_partitions()
            self.checkpoints.update((p.id, Checkpoint(p)) for p in partitions)
            await self._store.save_checkpoints(self._pipeline, list(self.checkpoints.values()))
        for checkpoint in self._rows():
            if not checkpoint.finished:
                self._start(checkpoint)
        self._check_finished()
        await self._finished.wait()
        if self._applier.repairing:
            await self._remove_what_the_source_lacks()

    async def finish(self) -> None:
        """Ends the OVERLAP rule, then undoes what it held off.

        The pauses are as long as a request can live: a late copied row must still find the tombstone, and no tombstone
        may be written once they are being purged.
        """
        if self._applier.rule is Rule.OVERLAP:
            await anyio.sleep(self._lifetime_s)
            self._applier.rule = Rule.FOLLOW
            await self._applier.inflight.drained()
            await anyio.sleep(self._lifetime_s)
        await self._target.sweep(lambda count: self._telemetry.log.info("finishing the copy", records=count))

    def advanced(self, checkpoint: Checkpoint) -> None:
        """Told by a partition's loop of what is durable."""
        self.checkpoints[checkpoint.partition.id] = checkpoint
        self._check_finished()

    def _rows(self) -> list[Checkpoint]:
        return [c for c in self.checkpoints.values() if c.partition.id != TARGET_SCAN.id]

    def _check_finished(self) -> None:
        rows = self._rows()
        if all(c.finished for c in rows):
            self._finished.set()

    async def _remove_what_the_source_lacks(self) -> None:
        """Reconciles every key the target holds, and removes leftovers; what is not ours only if that was asked for."""
        checkpoint = self.checkpoints.get(TARGET_SCAN.id, Checkpoint(TARGET_SCAN))
        if checkpoint.finished:
            return
        foreign = leftovers = 0
        async with aclosing(self._target.scan(checkpoint.position)) as pages:
            async for listed in pages:
                await self._applier.reconcile(TARGET_SCAN.id, dict.fromkeys(listed.keys))
                await self._target.remove_foreign(listed.leftovers)
                if self._remove_foreign:
                    await self._target.remove_foreign(listed.foreign)
                foreign += len(listed.foreign)
                leftovers += len(listed.leftovers)
                checkpoint = Checkpoint(TARGET_SCAN, listed.position, records=checkpoint.records + len(listed.keys))
                await self._save_scan(checkpoint)
        if leftovers:
            self._telemetry.log.info("what another config had left in other places was removed", count=leftovers)
        if foreign and not self._remove_foreign:
            self._telemetry.log.warning("the target holds records that are not ours; they were kept", count=foreign)
        await self._save_scan(Checkpoint(TARGET_SCAN, checkpoint.position, finished=True, records=checkpoint.records))

    async def _save_scan(self, checkpoint: Checkpoint) -> None:
        await self._store.save_checkpoints(self._pipeline, [checkpoint])
        self.checkpoints[TARGET_SCAN.id] = checkpoint

"""Everything once: each bounded partition of the source and then, where it is asked for, each key at the target."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Generic

import anyio

from replicator.engine.applying import Applier
from replicator.engine.gate import Gate
from replicator.model import Checkpoint, Partition, R
from replicator.ports import Source, StateStore, Target
from replicator.telemetry import PipelineTelemetry

TARGET_SCAN = Partition(id="target-scan", bounded=True)
"""The partition that looks for what the source lacks; its position is the target's."""


class Walk(Generic[R]):
    """One walk after the other over one pipeline. One that was cut off goes on where its checkpoints say.

    `start` runs a partition's loop in the background.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        target: Target[R],
        store: StateStore,
        applier: Applier[R],
        start: Callable[[Checkpoint], None],
        telemetry: PipelineTelemetry,
        gate: Gate,
        remove_foreign: bool = False,
    ) -> None:
        self.checkpoints: dict[str, Checkpoint] = {}
        self._pipeline = pipeline
        self._source = source
        self._target = target
        self._store = store
        self._applier = applier
        self._start = start
        self._telemetry = telemetry
        self._gate = gate
        self._remove_foreign = remove_foreign
        self._finished = anyio.Event()

    @property
    def rows(self) -> list[Checkpoint]:
        """The partitions of the source."""
        return [c for id_, c in self.checkpoints.items() if id_ != TARGET_SCAN.id]

    @property
    def records(self) -> int:
        """How many of the source's records this walk has read, in this run and those before."""
        return sum(c.records for c in self.rows)

    @property
    def bytes(self) -> int:
        """What they hold, where that is known."""
        return sum(c.bytes for c in self.rows)

    async def begin(self) -> None:
        """A new walk: lists the source's partitions, and forgets those of the walk before.

        These are kept until the new ones are saved: a pipeline without any would be taken, after a crash in between,
        for one that had nothing to copy.
        """
        await self._gate.passed()
        begun = {p.id: Checkpoint(p) for p in await self._source.copy_partitions()}
        await self._store.save_checkpoints(self._pipeline, list(begun.values()))
        over = [id_ for id_ in self.checkpoints if id_ not in begun]
        self.checkpoints = begun
        await self._store.forget_partitions(self._pipeline, over)

    async def run(self, *, both_ways: bool, since: datetime | None = None) -> None:
        """Returns when every record of the source is durable at the target and, both ways, what the source lacks is
        gone from there.

        `since` is when the walk began: what was not surely there then is looked at as well, since it may have been gone
        while the source was listed, and there again when it is held against the target's keys.
        """
        self._finished = anyio.Event()
        for checkpoint in self.rows:
            if not checkpoint.finished:
                self._start(checkpoint)
        self._check_finished()
        await self._finished.wait()
        if both_ways:
            await self._remove_what_the_source_lacks(since)

    def advanced(self, checkpoint: Checkpoint) -> None:
        """Told by a partition's loop of what is durable."""
        self.checkpoints[checkpoint.partition.id] = checkpoint
        self._check_finished()

    def _check_finished(self) -> None:
        if all(c.finished for c in self.rows):
            self._finished.set()

    async def _remove_what_the_source_lacks(self, since: datetime | None) -> None:
        """Removes leftovers too; what is not ours only if that was asked for."""
        checkpoint = self.checkpoints.get(TARGET_SCAN.id, Checkpoint(TARGET_SCAN))
        if checkpoint.finished:
            return
        foreign = leftovers = 0
        await self._gate.passed()
        async with aclosing(self._target.scan(checkpoint.position)) as pages:
            async for listed in pages:
                missing = await self._source.missing(listed.keys, since)
                await self._applier.reconcile(TARGET_SCAN.id, dict.fromkeys(missing))
                await self._target.remove_foreign(listed.leftovers)
                if self._remove_foreign:
                    await self._target.remove_foreign(listed.foreign)
                foreign += len(listed.foreign)
                leftovers += len(listed.leftovers)
                checkpoint = Checkpoint(TARGET_SCAN, listed.position, records=checkpoint.records + len(listed.keys))
                await self._save_scan(checkpoint)
                await self._gate.passed()
        if leftovers:
            self._telemetry.log.info("what another config had left in other places was removed", count=leftovers)
        if foreign and not self._remove_foreign:
            self._telemetry.log.warning("the target holds records that are not ours; they were kept", count=foreign)
        await self._save_scan(Checkpoint(TARGET_SCAN, checkpoint.position, finished=True, records=checkpoint.records))

    async def _save_scan(self, checkpoint: Checkpoint) -> None:
        await self._store.save_checkpoints(self._pipeline, [checkpoint])
        self.checkpoints[TARGET_SCAN.id] = checkpoint

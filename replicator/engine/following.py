"""Keeps the unbounded partitions of a source running: found by listing, started in the order of their lineage."""

from collections.abc import Callable
from typing import Generic

import anyio

from replicator.clocks import elapsed_s
from replicator.engine.lineage import Lineage
from replicator.model import Checkpoint, R
from replicator.ports import Source, StateStore
from replicator.telemetry import PipelineTelemetry

SETTLE_S = 5.0
"""A finished partition answers for time until a listing begun so much later has shown what continues it: a source may
list one of two children later than the other."""


class Following(Generic[R]):
    """Supervises the partitions of one pipeline. `start` runs a partition's loop in the background."""

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        store: StateStore,
        lineage: Lineage,
        start: Callable[[Checkpoint], None],
        interval_s: float,
        telemetry: PipelineTelemetry,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._store = store
        self._lineage = lineage
        self._start = start
        self._interval_s = interval_s
        self._settle_s = settle_s
        self._telemetry = telemetry
        self._started: set[str] = set()
        self._finished_at: dict[str, float] = {}
        self._wake = anyio.Event()

    async def discover(self) -> None:
        """Lists once and saves what is new; nothing is started, so a copy may begin after this and miss nothing."""
        begun = elapsed_s()
        listing = await self._source.follow_partitions()
        new = self._lineage.discover(listing)
        for checkpoint in new:
            self._telemetry.log.info("partition found", partition=checkpoint.partition.id)
        settled = self._lineage.settled(self._finished_before(begun - self._settle_s))
        await self._store.save_checkpoints(self._pipeline, [*new, *settled])
        forgotten = self._lineage.forgettable(listing)
        if forgotten:
            await self._store.forget_partitions(self._pipeline, forgotten)
            self._lineage.forget(forgotten)
            self._started.difference_update(forgotten)
        for checkpoint in settled:
            self._finished_at.pop(checkpoint.partition.id, None)

    async def run(self) -> None:
        """Starts what may be started and lists again: at intervals, and as soon as a partition has finished."""
        while True:
            wake = self._wake = anyio.Event()
            for checkpoint in self._lineage.startable():
                if checkpoint.partition.id not in self._started:
                    self._started.add(checkpoint.partition.id)
                    self._start(checkpoint)
            with anyio.move_on_after(self._pause_s()):
                await wake.wait()
            await self.discover()

    def advanced(self, checkpoint: Checkpoint) -> None:
        """Told by a partition's loop of what is durable."""
        self._lineage.update(checkpoint)
        if checkpoint.finished:
            self._telemetry.log.info("partition finished", partition=checkpoint.partition.id)
            self._finished_at[checkpoint.partition.id] = elapsed_s()
            self._wake.set()

    def _pause_s(self) -> float:
        """Shorter while a finished partition waits for what continues it."""
        return min(self._interval_s, self._settle_s) if self._awaited() else self._interval_s

    def _awaited(self) -> list[str]:
        return [c.partition.id for c in self._lineage.checkpoints.values() if c.finished and not c.succeeded]

    def _finished_before(self, moment: float) -> list[str]:
        awaited = self._awaited()
        for id_ in awaited:
            self._finished_at.setdefault(id_, elapsed_s())
        return [id_ for id_ in awaited if self._finished_at[id_] <= moment]

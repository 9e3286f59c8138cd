"""The main loop: one partition, read and applied from its checkpoint to its end.

    source.read ─► bounded stream ─► intent saved ─► apply ─► position saved with the next intent, or receipts settled

The reader may be cancelled at any moment; the writer then finishes what was read, and saves.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Generic

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replicator.clocks import elapsed_s
from replicator.engine.applying import COPY_KIND, FOLLOW_KIND, Applier
from replicator.engine.gate import Gate
from replicator.model import Batch, Checkpoint, R, Resume
from replicator.ports import Source, StateStore
from replicator.telemetry import PipelineTelemetry

IDLE_SAVE_INTERVAL_S = 15.0
"""An idle partition saves how far time has been proven at most so often."""


class PartitionLoop(Generic[R]):
    """Owns the checkpoint of one partition while it runs. `slots` bounds the batches in memory of a whole pipeline."""

    def __init__(
        self,
        *,
        pipeline: str,
        checkpoint: Checkpoint,
        skip_before: datetime | None,
        source: Source[R],
        applier: Applier[R],
        store: StateStore,
        slots: anyio.Semaphore,
        telemetry: PipelineTelemetry,
        advanced: Callable[[Checkpoint], None],
        gate: Gate,
    ) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._skip_before = skip_before
        self._source = source
        self._applier = applier
        self._store = store
        self._slots = slots
        self._telemetry = telemetry
        self._advanced = advanced
        self._gate = gate
        self._kind = COPY_KIND if checkpoint.partition.bounded else FOLLOW_KIND
        self._read_to_end = False
        self._saved = checkpoint
        self._saved_at = elapsed_s()

    async def read(self, batches: MemoryObjectSendStream[Batch[R]]) -> None:
        """Hands out batches until the partition ends, none while the gate is closed; closes the stream either way."""
        async with batches, aclosing(self._batches()) as read:
            async for batch in read:
                self._telemetry.batch_read(self._kind, batch.read, batch.late)
                try:
                    await batches.send(batch)
                except anyio.BrokenResourceError:  # the writer has failed, and its error says why
                    return
                if batch.pause_s:
                    await anyio.sleep(batch.pause_s)
            self._read_to_end = True

    async def write(self, batches: MemoryObjectReceiveStream[Batch[R]]) -> None:
        """Applies what was read, in order; when the stream ends, saves how far that came."""
        async with batches:
            async for batch in batches:
                if not batch.is_idle:
                    await self._apply(batch)
                    self._slots.release()
                await self._advance(batch)
        await self._save(replace(self._checkpoint, finished=self._read_to_end))
        self._advanced(self._checkpoint)

    async def _batches(self) -> AsyncGenerator[Batch[R], None]:
        """Batches to apply; each that holds changes comes with a slot, which the writer gives back."""
        position = self._checkpoint.position
        await self._gate.passed()
        if self._checkpoint.intent is not None:
            position = self._checkpoint.intent
            await self._slots.acquire()
            replayed = await self._replayed(self._checkpoint.intent)
            if replayed.is_idle:
                self._slots.release()
            yield replayed
            async for idle in self._paused():
                yield idle
        async with aclosing(self._source.read(self._checkpoint.partition, self._resume(position))) as source:
            while (batch := await self._next(source)) is not None:
                yield batch
                async for idle in self._paused():
                    yield idle

    async def _paused(self) -> AsyncGenerator[Batch[R], None]:
        """Before the next read: returns when the gate is open. An empty batch first, with which is saved how far it
        came.
        """
        if self._gate.is_closed:
            yield Batch(())
            await self._gate.passed()

    async def _next(self, source: AsyncGenerator[Batch[R], None]) -> Batch[R] | None:
        await self._slots.acquire()
        batch: Batch[R] | None = None
        try:
            batch = await anext(source, None)
        finally:
            if batch is None or batch.is_idle:
                self._slots.release()
        return batch

    async def _replayed(self, intent: str) -> Batch[R]:
        """What lies between the saved position and the intent: it may or may not be at the target already.

        It is applied as the one batch it was then, and so folded before anything of it is written.
        """
        batches: list[Batch[R]] = []
        resume = replace(self._resume(self._checkpoint.position), until=intent)
        async with aclosing(self._source.read(self._checkpoint.partition, resume)) as source:
            async for batch in source:
                batches.append(batch)
                if not batch.read:
                    await anyio.sleep(batch.pause_s)
        replayed = _merged(batches)
        self._telemetry.log.info(
            "replaying what was under way when the last run ended",
            partition=self._checkpoint.partition.id,
            changes=len(replayed.changes),
        )
        return replace(replayed, position=intent)

    def _resume(self, position: str | None) -> Resume:
        return Resume(position, self._checkpoint.replicated_through, self._skip_before)

    async def _apply(self, batch: Batch[R]) -> None:
        """Intent, then the target, then the source's receipts.

        What has no position is not replayed. A bounded partition needs no intent: its writes never overwrite anything.
        """
        partition = self._checkpoint.partition
        if not partition.bounded and batch.position is not None:
            await self._save(replace(self._checkpoint, intent=batch.position))
        rejected = await self._applier.apply(partition, batch)
        if batch.receipts:
            await self._source.settle(batch, rejected)

    async def _advance(self, batch: Batch[R]) -> None:
        """The batch is durable, or empty: moves on in memory, and in the store when that is due."""
        current = self._checkpoint
        self._checkpoint = replace(
            current,
            position=current.position if batch.position is None else batch.position,
            intent=None,
            replicated_through=_later(current.replicated_through, batch.replicated_through),
            records=current.records + batch.read,
            bytes=current.bytes + batch.bytes,
        )
        logged = bool(batch.changes) and batch.position is not None
        if current.partition.bounded or (not logged and self._is_save_due()):
            await self._save(self._checkpoint)
        self._advanced(self._checkpoint)

    def _is_save_due(self) -> bool:
        return self._saved.intent is not None or elapsed_s() - self._saved_at >= IDLE_SAVE_INTERVAL_S

    async def _save(self, checkpoint: Checkpoint) -> None:
        await self._store.save_checkpoints(self._pipeline, [checkpoint])
        self._checkpoint = self._saved = checkpoint
        self._saved_at = elapsed_s()


def _merged(batches: Sequence[Batch[R]]) -> Batch[R]:
    """One batch for a run of them; without any position of its own."""
    times = [b.replicated_through for b in batches if b.replicated_through is not None]
    return Batch(
        changes=tuple(change for batch in batches for change in batch.changes),
        replicated_through=max(times, default=None),
        read=sum(b.read for b in batches),
        bytes=sum(b.bytes for b in batches),
        late=sum(b.late for b in batches),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)

"""The main loop: one partition, read and applied from its checkpoint to its end.

    source.read ─► bounded stream ─► intent saved ─► apply ─► position saved with the next intent, or receipts settled

The reader may be cancelled at any moment; the writer then finishes what was read, and saves. Where a refused change
halts it, what was read is dropped instead, and replayed when the partition goes on.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Generic

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from replicator.clocks import elapsed_s
from replicator.engine.applying import COPY_KIND, FOLLOW_KIND, NONE_REFUSED, Applier
from replicator.engine.gate import Gate
from replicator.engine.halting import Refused
from replicator.engine.ledger import Ledger
from replicator.model import Batch, Change, Checkpoint, Operation, R, Resume
from replicator.ports import PartitionStore, Source
from replicator.telemetry import PipelineTelemetry

IDLE_SAVE_INTERVAL_S = 15.0
"""An idle partition saves how far time has been proven at most so often."""


class PartitionLoop(Generic[R]):
    """Owns the checkpoint of one partition while it runs. `slots` bounds the batches in memory of a whole pipeline.

    `halted` is told where it has stopped, and at which refused changes; `passed_over` names such changes that a replay
    is not to stop at again.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        checkpoint: Checkpoint,
        skip_before: datetime | None,
        source: Source[R],
        applier: Applier[R],
        store: PartitionStore,
        slots: anyio.Semaphore,
        ledger: Ledger,
        noticed: Callable[[Sequence[Change[R]]], Awaitable[bool]],
        telemetry: PipelineTelemetry,
        advanced: Callable[[Checkpoint], None],
        gate: Gate,
        halted: Callable[[Checkpoint, Sequence[Change[R]]], None],
        passed_over: Refused = NONE_REFUSED,
    ) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._skip_before = skip_before
        self._source = source
        self._applier = applier
        self._store = store
        self._slots = slots
        self._ledger = ledger
        self._noticed = noticed
        self._telemetry = telemetry
        self._advanced = advanced
        self._gate = gate
        self._halted = halted
        self._passed_over = passed_over
        self._reading = anyio.CancelScope()
        self._held = 0
        self._kind = COPY_KIND if checkpoint.partition.bounded else FOLLOW_KIND
        self._read_to_end = False
        self._saved = checkpoint
        self._saved_at = elapsed_s()

    @property
    def checkpoint(self) -> Checkpoint:
        """How far it has come."""
        return self._checkpoint

    def stop(self) -> None:
        """Nothing more is read; what was read is applied and saved, and then `write` returns."""
        self._reading.cancel()

    async def read(self, batches: MemoryObjectSendStream[Batch[R]]) -> None:
        """Hands out batches until the partition ends, none while the gate is closed; closes the stream either way."""
        with self._reading:
            async with batches, aclosing(self._batches()) as read:
                async for batch in read:
                    self._telemetry.batch_read(self._kind, batch.read, batch.late)
                    self._ledger.received(_messages(batch))
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
                    with self._applier.inflight.entered():  # from before it is asked whether it still is to be
                        refused = await self._apply(batch)
                    if refused:
                        await self._halt(refused, batches)
                        return
                    self._let_go()
                await self._advance(batch)
        await self._save(replace(self._checkpoint, finished=self._read_to_end))
        self._let_all_go()
        self._advanced(self._checkpoint)

    async def _batches(self) -> AsyncGenerator[Batch[R], None]:
        """Batches to apply; each that holds changes comes with a slot, which the writer gives back."""
        position = self._checkpoint.position
        await self._gate.passed()
        if self._checkpoint.intent is not None:
            position = self._checkpoint.intent
            await self._hold()
            replayed = await self._replayed(self._checkpoint.intent)
            if replayed.is_idle:
                self._let_go()
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
        await self._hold()
        batch: Batch[R] | None = None
        try:
            batch = await anext(source, None)
        finally:
            if batch is None or batch.is_idle:
                self._let_go()
        return batch

    async def _hold(self) -> None:
        await self._slots.acquire()
        self._held += 1

    def _let_go(self) -> None:
        self._held -= 1
        self._slots.release()

    def _let_all_go(self) -> None:
        """What was read and will not be written by this loop: another one reads it again."""
        while self._held:
            self._let_go()

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

    async def _apply(self, batch: Batch[R]) -> Sequence[Change[R]]:
        """Intent, then the target, then the source's receipts; what halts the partition, if anything.

        What has no position is not replayed. A bounded partition needs no intent: its writes never overwrite anything.
        Only what has an intent is halted: in a queue or a listing nothing follows from another's refusal. What is not
        to be applied any more is not settled as if it had been.
        """
        if not await self._noticed(batch.changes):
            if batch.receipts:
                await self._source.settle(batch, {change.key for change in batch.changes})
            return ()
        partition, replayed = self._checkpoint.partition, self._checkpoint.intent is not None
        logged = not partition.bounded and batch.position is not None
        if logged:
            await self._save(replace(self._checkpoint, intent=batch.position))
        passed_over = self._passed_over if replayed else NONE_REFUSED
        applied = await self._applier.apply(partition, batch, replayed=replayed, passed_over=passed_over)
        rejected = {change.key for change in applied.refused}
        self._ledger.answered(_messages(batch), rejected | applied.discarded)
        if batch.receipts:
            await self._source.settle(batch, rejected)
            self._ledger.settled(_messages(batch))
        return applied.refused if logged and self._applier.halting else ()

    async def _halt(self, refused: Sequence[Change[R]], batches: MemoryObjectReceiveStream[Batch[R]]) -> None:
        """Drops what was read, with what it holds; the saved intent says from where to where it is to be replayed."""
        self._reading.cancel()
        async for _ in batches:
            pass
        self._let_all_go()
        self._halted(self._checkpoint, refused)

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


def _messages(batch: Batch[R]) -> list[str]:
    """The ids of what is delivered and passed on; what is only looked at can be looked at again."""
    return [c.key for c in batch.changes if c.operation is not Operation.LOOK] if batch.receipts else []


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

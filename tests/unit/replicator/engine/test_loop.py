"""Promises of the main loop: nothing lost, nothing twice in the wrong order, everything given back."""

import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from fakes.memory import MemoryTarget
from fakes.records import PLAINLY, key_of, number_in, unnoticed, upsert
from fakes.rig import NAME, Rig
from fakes.scripted import ScriptedSource, ScriptedTable
from fakes.virtual import in_virtual_time
from replicator.delivery import Suspects
from replicator.documents import Document
from replicator.engine.applying import Applier
from replicator.engine.gate import Gate
from replicator.engine.guards import Guards
from replicator.engine.ledger import Ledger
from replicator.engine.loop import IDLE_SAVE_INTERVAL_S, PartitionLoop
from replicator.engine.reconciling import Reconciler
from replicator.errors import LeaseLostError, PositionLostError
from replicator.model import Batch, Change, Checkpoint, Partition, Rejection, Resume, Rule
from replicator.naming import Naming
from replicator.telemetry import Metrics, PipelineTelemetry

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SHARD = Partition("s0", bounded=False)
ROWS = Partition("scan-0", bounded=True)


def batch(position: int, *numbers: int, name: str = "k", **members: object) -> Batch[Document]:
    changes = tuple(upsert(name, number, T0 + timedelta(seconds=number)) for number in numbers)
    return replace(Batch(changes, str(position), read=len(numbers)), **members)  # type: ignore[arg-type]


class Tape(ScriptedSource):
    """Hands out given batches, each ending at its position; then ends, fails or stays silent."""

    def __init__(self, *batches: Batch[Document], then: Exception | None = None, silent: bool = False) -> None:
        super().__init__(ScriptedTable(random.Random(0)))
        self.batches, self.then, self.silent = batches, then, silent
        self.resumed: list[Resume] = []
        self.closed = 0

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        return self._play(resume)

    async def _play(self, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        self.resumed.append(resume)
        try:
            for one in self.batches:
                assert one.position is not None
                after = int(one.position) > int(resume.position or 0)
                if after and (resume.until is None or int(one.position) <= int(resume.until)):
                    await anyio.sleep(0.01)
                    yield one
            if resume.until is None and self.silent:
                await anyio.sleep_forever()
            if resume.until is None and self.then:
                raise self.then
        finally:
            self.closed += 1


class Recorder(Rig):
    """What the loop does, in order: saves, writes and advances."""

    def __init__(self, source: Tape, checkpoint: Checkpoint, slots: int = 2) -> None:
        super().__init__()
        self.events: list[str] = []
        self.advances: list[Checkpoint] = []
        self.slots = anyio.Semaphore(slots)
        self.target = _Target(self)
        telemetry = PipelineTelemetry(Metrics(), NAME)
        applier = Applier(
            pipeline=NAME,
            target=self.target,
            reconciler=Reconciler(source, self.target, Suspects(), PLAINLY),
            guards=Guards(),
            store=self.store,
            payloads=PLAINLY,
            naming=Naming(),
            telemetry=telemetry,
        )
        self.loop = PartitionLoop(
            pipeline=NAME,
            checkpoint=checkpoint,
            skip_before=T0,
            source=source,
            applier=applier,
            store=self.store,
            slots=self.slots,
            ledger=Ledger(),
            noticed=unnoticed,
            telemetry=telemetry,
            advanced=self.advances.append,
            gate=Gate(),
            halted=lambda *_: None,
        )

    async def play(self, stop_after_s: float | None = None) -> None:
        """Runs reader and writer as a pipeline does; drains after a while."""
        send, receive = anyio.create_memory_object_stream[Batch[Document]](1)
        reading = anyio.CancelScope()
        async with anyio.create_task_group() as writers:
            with reading:
                async with anyio.create_task_group() as readers:
                    writers.start_soon(self.loop.write, receive)
                    readers.start_soon(self.loop.read, send)
                    if stop_after_s is not None:
                        await anyio.sleep(stop_after_s)
                        reading.cancel()

    async def saved(self) -> Checkpoint:
        (checkpoint,) = await self.store.load_checkpoints(NAME)
        return checkpoint


class _Target(MemoryTarget):
    """Records what is written and what the store held just then."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.service, recorder.pipeline.delivery)
        self.recorder = recorder
        self.pause_s = 0.0
        self.fails: Exception | None = None
        self.written: list[tuple[list[int], Checkpoint | None]] = []

    async def apply(self, changes: Sequence[Change[Document]], rule: Rule) -> list[Rejection]:
        saved = await self.recorder.store.load_checkpoints(NAME)
        self.written.append(([number_in(c.record) for c in changes], saved[0] if saved else None))
        await anyio.sleep(self.pause_s)
        if self.fails:
            raise self.fails
        return await super().apply(changes, rule)


@in_virtual_time
async def test_a_batch_costs_one_write_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intent of each, which saves the position before it as well; and the end."""
    recorder = Recorder(Tape(*(batch(n, n) for n in range(1, 6))), Checkpoint(SHARD))
    writes: list[str] = []
    async with recorder.store:
        save = recorder.store._save

        async def counted(change: Any) -> Any:
            writes.append("write")
            return await save(change)

        monkeypatch.setattr(recorder.store, "_save", counted)
        await recorder.play()
    assert len(writes) == 5 + 1


@in_virtual_time
async def test_the_intent_is_durable_before_anything_is_written_and_the_position_after() -> None:
    recorder = Recorder(Tape(batch(1, 1), batch(2, 2)), Checkpoint(SHARD))
    async with recorder.store:
        await recorder.play()
        held = [(c.position, c.intent) for _, c in recorder.target.written if c is not None]
        assert held == [(None, "1"), ("1", "2")]
        assert await recorder.saved() == Checkpoint(SHARD, "2", finished=True, records=2)
        assert recorder.advances[-1].finished


@in_virtual_time
async def test_a_bounded_partition_needs_no_intent_and_saves_after_each_batch() -> None:
    recorder = Recorder(Tape(batch(1, 1), batch(2, 2, name="l")), Checkpoint(ROWS))
    async with recorder.store:
        await recorder.play()
        held = [None if c is None else (c.position, c.intent) for _, c in recorder.target.written]
        assert held == [None, ("1", None)]
        assert (await recorder.saved()).finished


@in_virtual_time
async def test_after_a_crash_what_was_under_way_is_read_to_the_intent_and_written_folded() -> None:
    tape = Tape(batch(1, 1), batch(2, 2), batch(3, 3), batch(4, 4))
    recorder = Recorder(tape, Checkpoint(SHARD, position="1", intent="3", records=1))
    async with recorder.store:
        await recorder.play()
        assert [numbers for numbers, _ in recorder.target.written] == [[3], [4]]
        assert [(r.position, r.until) for r in tape.resumed] == [("1", "3"), ("3", None)]
        assert (await recorder.saved()).records == 4
        assert recorder.service.log[key_of("k")] == [3, 4], "2 may be older than what is there"


@in_virtual_time
async def test_a_drain_before_the_replay_is_through_keeps_the_intent() -> None:
    recorder = Recorder(Tape(batch(2, 2), batch(3, 3)), Checkpoint(SHARD, position="1", intent="3"))
    async with recorder.store:
        await recorder.play(stop_after_s=0.015)
        saved = await recorder.saved()
        assert (saved.position, saved.intent, saved.finished) == ("1", "3", False)


@in_virtual_time
async def test_a_drain_finishes_what_was_read_and_saves() -> None:
    tape = Tape(*[batch(i, i) for i in range(1, 50)])
    recorder = Recorder(tape, Checkpoint(SHARD))
    recorder.target.pause_s = 1.0
    async with recorder.store:
        await recorder.play(stop_after_s=3.5)
        saved = await recorder.saved()
        written = [numbers for numbers, _ in recorder.target.written]
        assert saved.position == str(len(written))
        assert (saved.intent, saved.finished) == (None, False)
        assert len(written) >= 4
        assert tape.closed == 1


@in_virtual_time
async def test_an_empty_replay_gives_its_slot_back() -> None:
    """Or a few restarts of idle partitions would leave no slot for any batch."""
    recorder = Recorder(Tape(batch(4, 4)), Checkpoint(SHARD, position="1", intent="3"), slots=1)
    async with recorder.store:
        with anyio.fail_after(10):
            await recorder.play()
        assert recorder.slots.value == 1
        assert (await recorder.saved()).position == "4"


@in_virtual_time
async def test_every_slot_comes_back_whatever_the_batches_hold() -> None:
    empty: Batch[Document] = Batch((), "9")
    tape = Tape(batch(1, 1), batch(2), replace(empty, position="3"), batch(4, 4, 5), batch(5))
    recorder = Recorder(tape, Checkpoint(SHARD, intent="1"), slots=2)
    async with recorder.store:
        await recorder.play()
        assert recorder.slots.value == 2


@in_virtual_time
async def test_no_more_batches_are_read_than_there_are_slots() -> None:
    tape = Tape(*[batch(i, i) for i in range(1, 9)])
    recorder = Recorder(tape, Checkpoint(SHARD), slots=1)
    recorder.target.pause_s = 5.0
    async with recorder.store:
        reads = recorder.slots
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.play, 12.0)
            await anyio.sleep(11)
            assert reads.value == 0
        assert len(recorder.target.written) == 3


@in_virtual_time
async def test_time_never_goes_back_and_is_saved_now_and_then_while_idle() -> None:
    late, early = T0 + timedelta(seconds=9), T0
    idle = [
        batch(i, replicated_through=late if i == 1 else early, pause_s=IDLE_SAVE_INTERVAL_S / 3) for i in range(1, 9)
    ]
    recorder = Recorder(Tape(*idle, silent=True), Checkpoint(SHARD))
    saves: list[str] = []
    recorder.crash.step = lambda where: saves.append(where)  # type: ignore[method-assign]  # noqa: PLW0108
    async with recorder.store:
        await recorder.play(stop_after_s=IDLE_SAVE_INTERVAL_S * 3)
        assert {c.replicated_through for c in recorder.advances} == {late}
        assert saves.count("before the store") <= 6
        assert (await recorder.saved()).replicated_through == late


@in_virtual_time
async def test_the_source_is_told_where_and_since_when() -> None:
    tape = Tape()
    recorder = Recorder(tape, Checkpoint(SHARD, position="7", replicated_through=T0))
    async with recorder.store:
        await recorder.play()
    assert tape.resumed == [Resume("7", T0, skip_before=T0)]


@in_virtual_time
async def test_the_source_is_closed_at_once_when_reading_is_cancelled() -> None:
    """By the reader itself, not by the garbage collector in some other task."""
    tape = Tape(*[batch(i, i) for i in range(1, 50)])
    recorder = Recorder(tape, Checkpoint(SHARD), slots=9)
    recorder.target.pause_s = 100.0
    send, receive = anyio.create_memory_object_stream[Batch[Document]](1)
    async with recorder.store, anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.loop.write, receive)
        with anyio.move_on_after(5):
            await recorder.loop.read(send)
        assert tape.closed == 1
        tasks.cancel_scope.cancel()


@in_virtual_time
async def test_an_error_of_the_writer_is_the_only_one_that_comes_out() -> None:
    """The engine reacts to the class of an error: a follow-up of the reader would look like a bug."""
    recorder = Recorder(Tape(*[batch(i, i) for i in range(1, 50)]), Checkpoint(SHARD), slots=9)
    recorder.target.pause_s = 5.0
    recorder.target.fails = LeaseLostError("over")
    async with recorder.store:
        with pytest.raises(BaseExceptionGroup) as raised:
            await recorder.play()
    assert raised.value.split(LeaseLostError)[1] is None


@in_virtual_time
async def test_a_lost_position_is_never_taken_for_the_end() -> None:
    recorder = Recorder(Tape(batch(1, 1), then=PositionLostError("trimmed")), Checkpoint(SHARD))
    async with recorder.store:
        with pytest.raises(BaseExceptionGroup) as raised:
            await recorder.play()
        assert raised.group_contains(PositionLostError)
        assert not any(c.finished for c in await recorder.store.load_checkpoints(NAME))

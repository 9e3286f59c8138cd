"""Promises of mode sync: every change is applied, in order; a refused one stops its partition, visibly and safely."""

import random
from collections.abc import MutableSequence
from datetime import UTC, datetime

import anyio
import pytest

from fakes.memory import Fate, refused
from fakes.records import key_of, number_in, upsert
from fakes.rig import LIFETIME_S, NAME, Crash, Rig, faulty, load, retry, work
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.engine.status import count_partitions, problems
from replicator.errors import TransientError
from replicator.model import Batch, Change, Mode, Partition, Phase

KEY = key_of("n0")
POISON = 1_000_000
"""Records in a state from here on are refused."""


def sync_rig(seed: int = 0, **options: object) -> Rig:
    rig = Rig(seed, **options)  # type: ignore[arg-type]
    rig.mode = Mode.SYNC
    return rig


def poisonous(change: Change[Document]) -> str | None:
    return "poison" if "number" in change.record and number_in(change.record) >= POISON else None


def poison(rig: Rig, name: str, *, logged: bool = True) -> None:
    """Brings a record to a state that is refused; the next one is not."""
    number = rig.table._numbers
    rig.table.put(name, POISON + number, logged=logged)
    rig.table._numbers = number + 1


async def in_sync(rig: Rig) -> None:
    await rig.converged()
    await rig.until(rig.is_in_sync)


@in_virtual_time
async def test_in_sync_every_change_is_applied_in_order() -> None:
    """Many of one key in one page too; nothing is coalesced."""
    rig = sync_rig(page=50)
    async with rig.store, rig.running() as pipeline:
        load(rig)
        await in_sync(rig)
        before = len(rig.service.log[KEY])
        coalesced = pipeline.telemetry.totals.coalesced
        states: list[int | None] = []
        for _ in range(20):
            states.append(rig.table.put("n0"))
            rig.table.put("n1")
        rig.table.delete("n0")
        states += [None, rig.table.put("n0")]
        await rig.converged()
        assert rig.service.log[KEY][before:] == states
        assert pipeline.telemetry.totals.coalesced == coalesced
        assert rig.is_in_sync()


@in_virtual_time
async def test_mode_async_coalesces() -> None:
    """Or the test above would show nothing."""
    rig = Rig(page=50)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        for _ in range(20):
            rig.table.put("n0")
        await rig.converged()
        assert pipeline.telemetry.totals.coalesced > 5


@in_virtual_time
async def test_while_catching_up_changes_are_coalesced() -> None:
    rig = sync_rig(page=50)
    async with rig.store, rig.running() as pipeline:
        for _ in range(50):
            rig.table.put("n0")
        await in_sync(rig)
        assert pipeline.telemetry.totals.coalesced > 5


@in_virtual_time
async def test_it_is_no_longer_in_sync_when_the_target_falls_behind_and_is_again_when_it_has_caught_up() -> None:
    rig = sync_rig()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        assert pipeline.syncing is not None
        since = pipeline.syncing.state.since if pipeline.syncing.state else None
        rig.service.fate = lambda kind, _: Fate(answers_s=60) if kind == "write" else Fate()
        rig.table.put("n0")
        await anyio.sleep(rig.sync.max_lag_s + 1)
        assert not rig.is_in_sync()
        assert pipeline.syncing.status is not None
        assert "behind" in pipeline.syncing.status.reason
        rig.service.fate = lambda *_: Fate()
        await in_sync(rig)
        assert pipeline.syncing.state is not None
        assert since is not None
        assert pipeline.syncing.state.since > since


@in_virtual_time
async def test_it_is_no_longer_in_sync_when_the_target_takes_nothing_at_all() -> None:
    """The marker included, which is moved on while the state is looked at."""
    rig = sync_rig()
    async with rig.store, rig.running():
        await in_sync(rig)
        rig.service.fate = lambda *_: refused(TransientError("unavailable"))
        rig.table.put("n0")
        await anyio.sleep(rig.sync.max_lag_s + 10)
        assert not rig.is_in_sync()
        rig.service.fate = lambda *_: Fate()
        await in_sync(rig)


@in_virtual_time
async def test_a_pipeline_that_has_failed_is_not_in_sync() -> None:
    rig = sync_rig()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        await pipeline._fail("the position is lost")
        assert not rig.is_in_sync()
        assert pipeline.syncing is not None
        assert pipeline.syncing.status is not None
        assert pipeline.syncing.status.reason == "the pipeline has failed"


@in_virtual_time
async def test_a_process_begins_with_catching_up() -> None:
    rig = sync_rig()
    async with rig.store:
        async with rig.running():
            await in_sync(rig)
        async with rig.running():
            assert not rig.is_in_sync()
            await in_sync(rig)


@in_virtual_time
async def test_one_that_is_sealed_is_neither_in_sync_nor_catching_up() -> None:
    """Nothing comes to its target any more, so that nobody is told to wait for it. After a restart too."""
    rig = sync_rig()
    async with rig.store:
        async with rig.running() as pipeline:
            await in_sync(rig)
            await pipeline.draining.begin()
            await pipeline.seal(force=True)
            await rig.until(lambda: pipeline.syncing is not None and pipeline.syncing.status is None)
        async with rig.running() as pipeline:
            await anyio.sleep(600)
            assert pipeline.syncing is not None
            assert pipeline.syncing.status is None


@in_virtual_time
async def test_a_replay_is_folded_and_not_in_sync() -> None:
    """Changes that may have been applied before the crash are never shown again one by one."""
    rig = sync_rig(page=50)
    async with rig.store:
        rig.crash = Crash()
        with rig.crash.scope:
            async with rig.running():
                await in_sync(rig)
                rig.service.fate = lambda kind, _: Fate(answers_s=0.3) if kind == "write" else Fate()
                for _ in range(10):
                    rig.table.put("n0")
                await rig.until(lambda: len(rig.service.log.get(KEY, [])) > 3)
                rig.crash.scope.cancel()
        shown = len(rig.service.log[KEY])
        rig.service.fate = lambda *_: Fate()
        await anyio.sleep(LIFETIME_S)
        async with rig.running():
            await rig.until(lambda: len(rig.service.log[KEY]) > shown)
            assert not rig.is_in_sync()
            await in_sync(rig)
        rig.assert_never_backwards()


def test_the_mode_may_be_changed_to_sync_and_back() -> None:
    for first, then in ((Mode.ASYNC, Mode.SYNC), (Mode.SYNC, Mode.ASYNC)):

        @in_virtual_time
        async def run(first: Mode = first, then: Mode = then) -> None:
            rig = Rig()
            load(rig)
            async with rig.store:
                rig.mode = first
                async with rig.running() as pipeline:
                    await rig.converged()
                    epoch = pipeline.state.epoch
                rig.mode = then
                async with rig.running() as pipeline:
                    assert pipeline.state.epoch == epoch
                    assert pipeline.state.mode is then
                    assert pipeline.state.phase is Phase.FOLLOWING
                    rig.table.put("n0")
                    await rig.converged()
                stored = await rig.store.load_pipeline(NAME)
                assert stored is not None
                assert stored.mode is then

        run()


# --- a change that is refused -----------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_refused_change_stops_its_partition_and_no_other() -> None:
    """What comes after it is not applied, time does not pass it, and everybody is told."""
    rig = sync_rig(shards=2, page=50)
    rig.service.refuses = poisonous
    async with rig.store, rig.running() as pipeline:
        for n in range(10):
            rig.table.put(f"n{n}")
        await in_sync(rig)
        poisoned_at = rig.table.now()
        poison(rig, "n0")
        rig.excused = {KEY}
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        (stopped,) = pipeline.halts.by_partition
        assert not rig.is_in_sync()
        for n in range(1, 10):
            rig.table.put(f"n{n}", 500 + n)
        await anyio.sleep(60)
        assert pipeline.replicated_through is not None
        assert pipeline.replicated_through.timestamp() <= poisoned_at + 1
        arrived = {n for n in range(1, 10) if rig.number(f"n{n}") == 500 + n}
        mine = {n for n in range(1, 10) if _shard(rig, n) == stopped}
        assert mine
        assert arrived == set(range(1, 10)) - mine
        assert [letter.key for letter in await rig.store.dead_letters(NAME)] == [KEY]
        assert count_partitions(pipeline.partitions, pipeline.halts.by_partition)["stopped"] == 1
        assert "1 partition has stopped" in problems(pipeline.state, {}, 1, stopped=1)[1]
        await resolve_by_retry(rig)
        await in_sync(rig)


def _shard(rig: Rig, number: int) -> str:
    from zlib import crc32  # noqa: PLC0415 — how the fake spreads names, of no other interest here

    return next(s.id for s in rig.table.open_shards() if s.low <= crc32(f"n{number}".encode()) < s.high)


async def resolve_by_retry(rig: Rig) -> None:
    """The record is mended at the source first."""
    rig.table.put("n0", 7)
    rig.excused = set()
    retried = await rig.pipeline.retry([KEY])
    assert retried.resolved == 1


@in_virtual_time
async def test_other_partitions_go_on_however_many_batches_may_be_in_memory() -> None:
    """A partition that has stopped holds none."""
    rig = sync_rig(shards=4, page=2, most_batches=2)
    rig.service.refuses = poisonous
    names = {_shard(rig, n): f"n{n}" for n in range(30)}
    poisoned, *fine = names.values()
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        for _ in range(8):
            poison(rig, poisoned)
        rig.excused = {key_of(poisoned)}
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        for name in fine:
            for _ in range(4):
                rig.table.put(name)
        await rig.until(rig.service_equals_table)


@in_virtual_time
async def test_a_change_that_was_discarded_is_passed_over_and_the_next_ones_are_not() -> None:
    rig = sync_rig(page=50)
    rig.service.refuses = poisonous
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        poison(rig, "n0")
        rig.table.put("n1", 5)
        rig.excused = {KEY}
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        await rig.store.resolve_dead_letters(await rig.store.dead_letters(NAME))
        await rig.until(lambda: rig.number("n1") == 5)
        assert await rig.store.dead_letters(NAME) == []
        poison(rig, "n0")
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        await rig.until(lambda: rig.number("n1") == 5)
        assert len(await rig.store.dead_letters(NAME)) == 1


@in_virtual_time
async def test_a_restart_while_a_partition_has_stopped_stops_it_again() -> None:
    rig = sync_rig(page=50)
    rig.service.refuses = poisonous
    async with rig.store:
        async with rig.running() as pipeline:
            await in_sync(rig)
            poison(rig, "n0")
            rig.table.put("n1", 5)
            rig.excused = {KEY, key_of("n1")}
            await rig.until(lambda: bool(pipeline.halts.by_partition))
        (checkpoint,) = [c for c in await rig.store.load_checkpoints(NAME) if not c.partition.bounded]
        assert checkpoint.intent is not None
        assert not checkpoint.finished
        for _ in range(2):
            async with rig.running() as pipeline:
                await rig.until(lambda pipeline=pipeline: bool(pipeline.halts.by_partition))  # type: ignore[misc]
                await anyio.sleep(20)
                assert not rig.caught_up()
        async with rig.running():
            await resolve_by_retry(rig)
            await in_sync(rig)


@in_virtual_time
async def test_a_refused_change_of_a_copied_row_or_before_following_stops_nothing() -> None:
    """It is a dead letter as in mode async; nothing is promised to be in order yet."""
    rig = sync_rig()
    rig.service.refuses = poisonous
    poison(rig, "n0")
    poison(rig, "n1")
    rig.excused = {KEY, key_of("n1")}
    async with rig.store, rig.running() as pipeline:
        rig.table.put("n2")
        await rig.until(rig.is_following)
        await rig.until(rig.service_equals_table)
        assert not pipeline.halts.by_partition
        assert not rig.is_in_sync()


class WholePages(random.Random):
    """Chance that never cuts a page short."""

    def randint(self, a: int, b: int) -> int:
        return b

    def random(self) -> float:
        return 1.0

    def shuffle(self, x: MutableSequence[object]) -> None:
        """Leaves them as they are."""


def one_page() -> Rig:
    """What is written together is read together."""
    rig = sync_rig(page=50)
    rig.table.rng = WholePages(0)
    rig.table.visible_within_s = 0.0
    rig.service.refuses = poisonous
    return rig


@in_virtual_time
async def test_what_comes_after_a_refused_change_in_its_page_waits_too() -> None:
    rig = one_page()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        before = rig.table.put("n1")
        poison(rig, "n0")
        rig.table.put("n1")
        rig.excused = {KEY, key_of("n1")}
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        await anyio.sleep(20)
        assert rig.number("n1") == before
        await resolve_by_retry(rig)
        await in_sync(rig)


@in_virtual_time
async def test_to_discard_a_refused_change_discards_no_later_one_of_its_key() -> None:
    """What was stopped at is discarded; the next one may be another matter."""
    rig = one_page()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        poison(rig, "n0")
        poison(rig, "n0")
        rig.excused = {KEY}
        for _ in range(2):
            await rig.until(lambda: bool(pipeline.halts.by_partition))
            (letter,) = await rig.store.dead_letters(NAME)
            await rig.store.resolve_dead_letters([letter])
            await rig.until(lambda: not pipeline.halts.by_partition)
            await anyio.sleep(1)
        assert await rig.store.dead_letters(NAME) == []
        await rig.until(rig.caught_up)


LONGER_THAN_MARGINS_S = 5.0
"""What was committed before is surely contained in what is read then."""


@in_virtual_time
async def test_a_change_that_is_passed_over_stands_for_no_later_one_that_is_refused() -> None:
    """The record is mended and retried, and spoilt again before its partition goes on: that is another dead letter."""
    rig = one_page()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        poison(rig, "n0")
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        rig.table.put("n0")
        (letter,) = await rig.store.dead_letters(NAME)
        await pipeline.control.pause()
        assert (await pipeline.retry([letter.key])).resolved == 1
        poison(rig, "n0")
        rig.excused = {KEY}
        await anyio.sleep(LONGER_THAN_MARGINS_S)
        await pipeline.control.resume()
        await anyio.sleep(30)
        assert [letter.key for letter in await rig.store.dead_letters(NAME)] == [KEY]


@in_virtual_time
async def test_a_shard_that_ends_with_a_refused_change_has_not_been_finished() -> None:
    """What continues it must wait as well."""
    rig = one_page()
    async with rig.store, rig.running() as pipeline:
        await in_sync(rig)
        rig.service.fate = lambda kind, _: Fate(answers_s=0.4) if kind == "write" else Fate()
        rig.table.put("n2")  # while this is being written, the shard is read to its end
        poison(rig, "n0")
        rig.table.split("s0", listed_after_s=(0.0,))
        rig.excused = {KEY, key_of("n1")}
        rig.table.put("n1")
        await rig.until(lambda: bool(pipeline.halts.by_partition))
        await anyio.sleep(30)
        assert rig.number("n1") is None
        assert not pipeline.lineage.checkpoints["s0"].finished
        await resolve_by_retry(rig)
        await in_sync(rig)


@in_virtual_time
async def test_what_is_replayed_is_folded_even_in_sync() -> None:
    """Some of it may be at the target already; the promise that nothing goes backwards rests on it."""
    rig = sync_rig()
    async with rig.store, rig.running() as pipeline:
        pipeline._applier.in_order = True
        batch = Batch(tuple(upsert("n0", number, datetime.now(UTC)) for number in (1, 2, 3)), position="3")
        await pipeline._applier.apply(Partition("s0", bounded=False), batch, replayed=True)
        assert rig.service.log[KEY] == [3]


# --- whatever happens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_with_faults_crashes_poison_and_reshards_it_converges_and_never_goes_backwards(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = sync_rig(seed, shards=1 + seed % 3)
        load(rig)
        rig.service.fate = faulty(rig.rng, share=0.1)
        rig.service.refuses = poisonous
        async with rig.store:
            for _ in range(4):
                rig.crash = crash = Crash(rig.rng.randrange(50, 900))
                with crash.scope:
                    async with rig.running(), anyio.create_task_group() as tasks:
                        tasks.start_soon(_resolving, rig)
                        await rig.until(rig.is_following, 300)
                        for _ in range(8):
                            await work(rig, 5)
                            poison(rig, f"p{rig.rng.randrange(3)}")
                        tasks.cancel_scope.cancel()
                rig.crash = Crash()
                await anyio.sleep(LIFETIME_S)
            async with rig.running(), anyio.create_task_group() as tasks:
                tasks.start_soon(_resolving, rig)
                for n in range(3):
                    rig.table.put(f"p{n}")
                await rig.converged(600)
                await rig.until(rig.is_in_sync, 600)
                tasks.cancel_scope.cancel()
        rig.assert_never_backwards()

    run()


async def _resolving(rig: Rig) -> None:
    """An operator who mends records, and retries."""
    while True:
        await anyio.sleep(1)
        for letter in await rig.store.dead_letters(NAME):
            rig.table.put(str(letter.key.split('"')[3]))
            await retry(rig, [letter.key])

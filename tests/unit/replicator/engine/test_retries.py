"""Promises of a retry that meets something else: the end of the daemon, a failure, or its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from fakes.memory import FINE, Fate, refused
from fakes.records import key_of
from fakes.rig import LIFETIME_S, NAME, Crash, Rig, load, retry
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError, ThrottledError
from replicator.model import Phase, PipelineState

KEY = key_of("n0")
ANSWER_S = 0.4


def held_back(rig: Rig, key: str, until: float) -> Callable[[str, str], Fate]:
    """Plain writes of a key are refused until some moment: their batch stays under way."""

    def fate(kind: str, asked: str) -> Fate:
        if (kind, asked) == ("write", key) and anyio.current_time() < until:
            return refused(ThrottledError("busy"))
        return FINE

    return fate


def _hash(name: str) -> int:
    from zlib import crc32  # noqa: PLC0415 — how the fake spreads names, of no other interest here

    return crc32(name.encode())


@asynccontextmanager
async def beating(rig: Rig) -> AsyncIterator[None]:
    """Entered in the middle of a beat: the target shows the next generation, and has not answered yet."""
    landed = anyio.Event()

    def fate(kind: str, _key: str) -> Fate:
        if kind != "write_marker":
            return FINE
        landed.set()
        return Fate(lands_s=0, answers_s=ANSWER_S)

    rig.service.fate = fate
    await landed.wait()
    yield
    rig.service.fate = lambda *_: FINE


def knows_what_is_shown(rig: Rig, state: PipelineState | None) -> bool:
    """Whether the state store would be taken for the target's own."""
    assert state is not None
    assert rig.service.marker is not None
    return rig.service.marker.generation in {state.generation, state.pending_generation}


@in_virtual_time
async def test_a_retry_at_the_moment_of_the_drain_leaves_the_state_store_as_new_as_the_target() -> None:
    """It waits for a beat that is cut off, and then saves the pipeline's state."""
    rig = Rig()
    load(rig)
    async with rig.store:
        async with anyio.create_task_group() as clients, rig.running() as pipeline:
            await rig.converged()
            async with beating(rig):
                clients.start_soon(retry, rig, [KEY])
                await anyio.sleep(ANSWER_S / 4)
                pipeline.drain()
                await anyio.sleep(ANSWER_S / 4)
        assert knows_what_is_shown(rig, await rig.store.load_pipeline(NAME))
        async with rig.running():
            await rig.converged()


@in_virtual_time
async def test_a_failure_in_the_middle_of_a_beat_leaves_the_state_store_as_new_as_the_target() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        async with beating(rig):
            rig.table.log = "another"
            rig.table.shards["z0"] = rig.table.shards.pop("s0")
            rig.table.shards["z0"].id = "z0"
            pipeline.following._wake.set()
            await anyio.sleep(ANSWER_S / 2)
            assert pipeline.is_failed
        state = await rig.store.load_pipeline(NAME)
        assert state is not None
        assert state.phase is Phase.FAILED
        assert knows_what_is_shown(rig, state)


@in_virtual_time
async def test_a_drain_waits_for_a_retry_under_way() -> None:
    """Or its last request could land after the next daemon's, of which nobody would know."""
    rig = Rig()
    load(rig)
    async with rig.store, anyio.create_task_group() as clients:
        async with rig.running() as pipeline:
            await rig.converged()
            rig.excused = {KEY}
            rig.service.remove(KEY)
            sent = anyio.Event()

            def fate(kind: str, _key: str) -> Fate:
                if kind != "guarded":
                    return FINE
                sent.set()
                return Fate(lands_s=LIFETIME_S - 0.1)

            rig.service.fate = fate
            clients.start_soon(retry, rig, [KEY])
            await sent.wait()
            begun = elapsed_s()
            pipeline.drain()
        assert elapsed_s() - begun >= LIFETIME_S - 0.1
        assert rig.service.visible(KEY) is not None
        assert await rig.store.dead_letters(NAME) == []


@in_virtual_time
async def test_no_retry_is_begun_once_the_pipeline_drains() -> None:
    rig = Rig()
    load(rig)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            pipeline.drain()
            with pytest.raises(ConfigurationError, match="is being stopped"):
                await retry(rig, [KEY])
        with pytest.raises(ConfigurationError, match="is being stopped"):
            await retry(rig, [KEY])


@in_virtual_time
async def test_a_retry_that_is_cut_off_leaves_nothing_guarded_for_good() -> None:
    """Its client may go away, at any of its requests."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.excused = {KEY}
        for cut_at in ("observe", "guarded"):
            rig.service.remove(KEY)
            await cut_off(rig, cut_at)
        assert pipeline.state is not None
        assert pipeline.state.guarding
        await rig.until(lambda: pipeline.state is not None and not pipeline.state.guarding)
        assert not pipeline._guards.any
        await retry(rig, [KEY])
        rig.excused = set()
        await rig.converged()


@pytest.mark.parametrize("seed", range(8))
def test_what_a_retry_wrote_before_it_was_cut_off_is_not_undone_by_older_changes(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(seed, page=1)
        async with rig.store, rig.running():
            rig.table.put("n0")
            await rig.converged()
            for _ in range(4):
                rig.table.put("n0")
            await cut_off(rig, "guarded")
            await rig.converged()
        rig.assert_never_backwards()

    run()


@in_virtual_time
async def test_a_retry_waits_for_what_one_that_was_cut_off_may_still_write() -> None:
    """The record is back in the state that the target still holds: to find both equal says nothing yet."""
    rig = Rig()
    async with rig.store, rig.running():
        state = rig.table.put("n0")
        await rig.converged()
        rig.table.put("n0")
        await cut_off(rig, "guarded", lands_s=LIFETIME_S - 0.1)
        rig.table.put("n0", state)
        await retry(rig, [KEY])
        answered = len(rig.service.log[KEY])
        await rig.converged()
        await anyio.sleep(LIFETIME_S)
        assert rig.number("n0") == state
        assert rig.service.log[KEY][answered:] == []


async def cut_off(rig: Rig, at: str, *, lands_s: float = 0) -> None:
    """A retry that is cancelled at its first request of a kind, which is not answered yet."""
    scope = anyio.CancelScope()

    def fate(kind: str, key: str) -> Fate:
        if kind != at or key not in {"", KEY}:
            return FINE
        scope.cancel()
        return Fate(lands_s, answers_s=ANSWER_S)

    rig.service.fate = fate
    with scope:
        await retry(rig, [KEY])
    rig.service.fate = lambda *_: FINE
    assert scope.cancelled_caught


@in_virtual_time
async def test_a_retry_that_waits_is_not_overtaken_by_a_plain_write_of_its_key() -> None:
    """The retry waits for another partition's batch; meanwhile its key is reconciled by the stream, then written.

    Were the key no longer guarded then, that write could land after the retry's, and what the retry wrote be dropped.
    """
    rig = Rig(shards=2)
    names = {min(s.id for s in rig.table.open_shards() if s.low <= _hash(n) < s.high): n for n in "abcdefgh"}
    key, other = (key_of(names[shard]) for shard in ("s0", "s1"))
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        begun = anyio.current_time()
        slow_other, slow_key = held_back(rig, other, begun + 10), held_back(rig, key, begun + 20)
        rig.service.fate = lambda kind, asked: slow_other(kind, asked) if asked == other else slow_key(kind, asked)
        rig.table.put(names["s1"])
        await rig.until(lambda: bool(pipeline._applier.inflight._left))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retry, rig, [key])
            await anyio.sleep(0.5)
            rig.table.put(names["s0"])
            await anyio.sleep(4.5)
            rig.table.put(names["s0"])
            await anyio.sleep(1.5)
            rig.table.put(names["s0"])
        await rig.converged()
    rig.assert_never_backwards()


@in_virtual_time
async def test_a_second_retry_of_a_key_keeps_it_guarded_after_the_first() -> None:
    rig = Rig()
    async with rig.store, rig.running() as pipeline:
        rig.table.put("n0")
        await rig.converged()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(retry, rig, [KEY, KEY])
        await rig.until(lambda: pipeline.state is not None and not pipeline.state.guarding)
        assert not pipeline._guards.any


@pytest.mark.parametrize("seed", range(8))
def test_a_retry_ahead_of_the_stream_stays_guarded_across_a_crash(seed: int) -> None:
    """The reconcile has written what the stream only shows later: its older changes must not be written over it."""

    @in_virtual_time
    async def run() -> None:
        rig = Rig(seed, page=1)
        async with rig.store:
            rig.crash = Crash()
            with rig.crash.scope:
                async with rig.running() as pipeline:
                    await rig.converged()
                    for _ in range(4):
                        rig.table.put("n0")
                    await retry(rig, [KEY])
                    rig.crash.scope.cancel()
            await anyio.sleep(LIFETIME_S)
            async with rig.running() as pipeline:
                assert pipeline.state is not None
                assert pipeline.state.guarding
                await rig.converged()
                await rig.until(lambda: pipeline.state is not None and not pipeline.state.guarding)
        rig.assert_never_backwards()

    run()


@in_virtual_time
async def test_a_retry_counts_as_work_under_way() -> None:
    """The sweep waits for it: a tombstone of a retry that began beside the copy must not outlive it."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        assert not pipeline._applier.inflight._left
        async with anyio.create_task_group() as tasks:
            rig.service.fate = lambda kind, _: Fate(0.4, 0.4) if kind == "observe" else FINE
            tasks.start_soon(retry, rig, [KEY])
            await anyio.sleep(0.3)
            assert pipeline._applier.inflight._left


@in_virtual_time
async def test_a_retry_waits_for_a_plain_write_of_its_key_that_is_under_way() -> None:
    """Or that write would land after it, and what the retry wrote be dropped from the stream as known."""
    rig = Rig(page=1)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.fate = held_back(rig, KEY, anyio.current_time() + 12)
        rig.table.put("n0")
        await rig.until(lambda: bool(pipeline._applier.inflight._left))
        rig.table.put("n0")
        await anyio.sleep(5)
        await retry(rig, [KEY])
        await rig.converged()
    rig.assert_never_backwards()

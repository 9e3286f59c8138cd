"""Promises of dead letters: none is forgotten, and each is dated by the first change that is missing."""

import anyio
import anyio.lowlevel
import pytest

from fakes.memory import FINE, Fate, refused
from fakes.records import key_of
from fakes.rig import NAME, Rig, load, retry
from fakes.virtual import in_virtual_time
from replicator.engine.reconciling import CHUNK
from replicator.engine.watermark import held_back
from replicator.errors import ThrottledError
from replicator.model import Retried

KEY = key_of("n0")


async def following(rig: Rig) -> None:
    async with rig.running():
        await rig.converged()
    rig.excused = {KEY}


@in_virtual_time
async def test_a_replay_dates_a_dead_letter_by_the_first_change_of_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon died while it was saving the dead letter of a batch with two refused changes."""
    rig = Rig()
    async with rig.store:
        await following(rig)
        monkeypatch.setattr(rig.rng, "randint", max)  # so that one page holds both
        monkeypatch.setattr(rig.rng, "random", lambda: 1.0)
        rig.service.refuses = lambda _: "no"
        first_at = rig.table.now()
        rig.table.put("n0")
        await anyio.sleep(30)
        rig.table.put("n0")
        await anyio.sleep(rig.table.visible_within_s)
        with anyio.CancelScope() as process, monkeypatch.context() as dying:

            async def die(*_: object) -> None:
                process.cancel()
                await anyio.lowlevel.checkpoint()

            dying.setattr(rig.store, "add_dead_letters", die)
            async with rig.running():
                await anyio.sleep_forever()
        await anyio.sleep(rig.lifetime_s)
        async with rig.running() as pipeline:
            await rig.until(rig.caught_up)
            watermark = held_back(pipeline.lineage.replicated_through(), await rig.store.dead_letter_summary(NAME))
            assert watermark is not None
            assert watermark.timestamp() <= first_at


@in_virtual_time
async def test_a_refused_retry_changes_nothing_about_time() -> None:
    """What was missing since a certain moment is missing since then, not since nobody knows when."""
    rig = Rig()
    async with rig.store:
        await following(rig)
        async with rig.running() as pipeline:
            rig.service.refuses = lambda _: "no"
            rig.table.put("n0")
            await rig.until(rig.caught_up)
            before = await rig.store.dead_letter_summary(NAME)
            assert before.oldest_commit is not None
            assert (await pipeline.retry([KEY])).open == 1
            assert await rig.store.dead_letter_summary(NAME) == before


@in_virtual_time
async def test_a_refused_change_is_a_dead_letter_since_its_first_commit_and_is_retried() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.refuses = lambda change: "too large" if change.key == KEY else None
        rig.excused = {KEY}
        first_at = rig.table.now()
        rig.table.put("n0")
        await anyio.sleep(1.1)
        rig.table.put("n0")
        rig.table.put("n1")
        await rig.converged()
        (letter,) = await rig.store.dead_letters(NAME)
        assert (letter.key, letter.reason, letter.partition) == (KEY, "too large", "s0")
        assert letter.committed_at is not None
        assert first_at - 1 <= letter.committed_at.timestamp() <= first_at
        assert await pipeline.retry([KEY]) == Retried(resolved=0, open=1)
        assert len(await rig.store.dead_letters(NAME)) == 1

        rig.service.refuses = lambda _: None
        assert await pipeline.retry([KEY]) == Retried(resolved=1, open=0)
        assert await rig.store.dead_letters(NAME) == []
        assert rig.number("n0") == rig.table.rows["n0"]
        rig.excused = set()
        await rig.converged()
        await rig.until(lambda: pipeline.state is not None and not pipeline.state.guarding)


@in_virtual_time
async def test_a_folded_batch_of_refused_changes_is_missing_since_its_first() -> None:
    """The watermark is held back by dead letters: not even the first of the folded changes is at the target."""
    rig = Rig()
    rig.rng.random = lambda: 1.0  # type: ignore[method-assign]  # no empty pages
    rig.rng.randint = max  # type: ignore[method-assign,assignment]  # whole pages
    rig.rng.uniform = lambda a, b: a if b < 1 else b  # type: ignore[method-assign]
    async with rig.store:
        async with rig.running():
            await rig.converged()
        rig.service.refuses = lambda _: "no"
        rig.excused = {KEY}
        first_at = rig.table.now()
        rig.table.put("n0")
        await anyio.sleep(30)
        rig.table.put("n0")
        async with rig.running():
            await rig.until(rig.caught_up)
        (letter,) = await rig.store.dead_letters(NAME)
        assert letter.count == 1, "folded"
        assert letter.committed_at is not None
        assert letter.committed_at.timestamp() <= first_at


@in_virtual_time
async def test_a_change_refused_while_an_earlier_refusal_is_taken_up_again_stays_a_dead_letter() -> None:
    """The retry has written an earlier state of the record already, and is held up by another one."""
    rig = Rig()
    names = ["n0", *(f"n0{n:03}" for n in range(CHUNK))]
    keys = [key_of(name) for name in names]
    for name in names:
        rig.table.put(name)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.excused = {KEY, keys[-1]}
        rig.service.remove(keys[-1])
        rig.service.refuses = lambda change: "too large" if change.key == KEY and rig.table.rows["n0"] == 999 else None
        held_up = False

        def fate(kind: str, key: str) -> Fate:
            nonlocal held_up
            if (kind, key) != ("guarded", keys[-1]) or pipeline.telemetry.totals.rejected:
                return FINE
            held_up = True
            return refused(ThrottledError("busy"))

        rig.service.fate = fate
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(retry, rig, keys)
            await rig.until(lambda: held_up)
            rig.table.put("n0", 999)
        (letter,) = await rig.store.dead_letters(NAME)
        assert (letter.key, letter.reason, letter.count) == (KEY, "too large", 2)
        await rig.converged()


@in_virtual_time
async def test_keys_without_a_dead_letter_are_told_and_left_alone() -> None:
    """Whatever text they are: nobody has to understand them."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        assert await pipeline.retry(["garbage", KEY, "garbage"]) == Retried(0, 0, unknown=("garbage", KEY))
        assert pipeline.state is not None
        assert not pipeline.state.guarding

"""Promise: a dead letter is dated by the first change that is missing, however it came about and is taken up again."""

import anyio
import anyio.lowlevel
import pytest

from fakes.records import key_of
from fakes.rig import NAME, Rig
from fakes.virtual import in_virtual_time
from replicator.engine.status import held_back

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

"""Messages that are received, passed on and settled, in a whole pipeline."""

from dataclasses import replace

import anyio
import pytest

from fakes.memory import FINE, Fate, lost
from fakes.queue import QueueRig, SinkTarget
from fakes.rig import LIFETIME_S, NAME, Crash, faulty
from fakes.virtual import in_virtual_time
from replicator.engine.opening import connect
from replicator.model import Mode, Phase

SEEDS = range(12)


def fill(rig: QueueRig, count: int = 40) -> None:
    for number in range(count):
        rig.queue.send(group=f"g{number % 3}" if number % 2 else None)


@in_virtual_time
async def test_a_target_is_told_that_groups_have_an_order() -> None:
    """By the one function with which runs and checks connect, so that it can refuse them."""
    rig = QueueRig()
    async with rig.store:
        pipeline = await rig.start()
        await connect(pipeline)
        assert isinstance(pipeline.target, SinkTarget)
        assert pipeline.target.ordered_groups


@in_virtual_time
async def test_nothing_is_copied_so_following_begins_at_once() -> None:
    rig = QueueRig()
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(1)
            assert pipeline.state.phase is Phase.FOLLOWING
            pipeline.drain()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_message_arrives_and_groups_keep_their_order(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = QueueRig(seed)
        rig.sink.service.fate = faulty(rig.rng)
        fill(rig)
        async with rig.store:
            await rig.run_until(lambda: not rig.queue.waiting)
        rig.assert_delivered()

    run()


@pytest.mark.parametrize("seed", SEEDS)
def test_with_crashes_anywhere_no_message_is_settled_too_early(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = QueueRig(seed)
        rig.sink.service.fate = faulty(rig.rng, share=0.1)
        fill(rig)
        async with rig.store:
            for _ in range(5):
                rig.crash = Crash(rig.rng.randrange(20, 120))
                await rig.run_until(lambda: not rig.queue.waiting)
                await anyio.sleep(LIFETIME_S)
            rig.crash = Crash()
            await rig.run_until(lambda: not rig.queue.waiting)
        rig.assert_delivered()

    run()


@in_virtual_time
async def test_a_message_that_is_refused_stays_in_the_queue_and_holds_its_group_until_it_is_delivered_again() -> None:
    rig = QueueRig()
    first = rig.queue.send("g")
    second, other = rig.queue.send("g"), rig.queue.send()
    rig.sink.refuses = lambda message: "too large" if message.id == first else None
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(5)
            assert [m.id for m in rig.sink.passed] == [other]
            assert {letter.key for letter in await rig.store.dead_letters(NAME)} <= {first, second}
            assert set(rig.queue.waiting) == {first, second}
            rig.sink.refuses = lambda _: None
            retried = await pipeline.retry([first, "unknown"])
            assert (retried.resolved, retried.unknown) == (0, ("unknown",))
            await pipeline.retry([second])
            await anyio.sleep(5)
            assert await rig.store.dead_letters(NAME) == []
            pipeline.drain()
    assert not rig.queue.waiting
    rig.assert_delivered()


@in_virtual_time
async def test_while_the_target_is_down_little_is_received_and_each_message_once() -> None:
    """Every time counts towards the source's redrive policy."""
    rig = QueueRig()
    fill(rig, 60)
    down = [True]
    rig.sink.service.fate = lambda _kind, _key: lost(float("inf")) if down[0] else FINE
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(8)
            assert sum(w.received for w in rig.queue.waiting.values()) <= 2 * 3 * 4
            assert max(w.received for w in rig.queue.waiting.values()) == 1
            down.clear()
            down.append(False)
            while rig.queue.waiting:  # noqa: ASYNC110 — the fakes tell nobody
                await anyio.sleep(0.5)
            pipeline.drain()
    rig.assert_delivered()


@in_virtual_time
async def test_a_held_queue_is_followed_without_being_received() -> None:
    rig = QueueRig(held=True)
    fill(rig, 5)
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(30)
            depth = await pipeline.source.depth()
            assert depth is not None
            assert (depth.messages, depth.held) == (5, True)
            assert pipeline.state.phase is Phase.FOLLOWING
            pipeline.drain()
    assert not any(w.received for w in rig.queue.waiting.values())


@in_virtual_time
async def test_mode_copy_drains_the_queue_and_ends() -> None:
    rig = QueueRig(mode=Mode.COPY)
    rig.sink.service.fate = lambda _kind, _key: Fate(0.1, 0.1)
    fill(rig)
    async with rig.store:
        pipeline = await rig.start()
        await pipeline.run()
        assert pipeline.state.phase is Phase.COPIED
        assert pipeline.copying.records >= 40
    rig.assert_delivered()


@pytest.mark.parametrize("adopt", [False, True])
def test_a_queue_that_was_held_is_drained_by_another_mode(adopt: bool) -> None:
    """Nothing at the target could be undone by that, so nothing has to be adopted."""

    @in_virtual_time
    async def run() -> None:
        rig = QueueRig(held=True)
        fill(rig)
        async with rig.store:
            await rig.run_until(lambda: True)
            rig.mode, rig.held = Mode.COPY, False
            pipeline = await rig.start(adopt=adopt)
            await pipeline.run()
            assert pipeline.state.phase is Phase.COPIED
            again = await rig.start(adopt=adopt)
            with anyio.fail_after(5):
                await again.run()
        rig.assert_delivered()

    run()


@pytest.mark.parametrize("adopt", [False, True])
def test_a_pipeline_whose_queue_was_gone_goes_on_with_the_next_start(adopt: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = QueueRig()
        async with rig.store as store:
            pipeline = await rig.run_until(lambda: True)
            failed = replace(pipeline.state, phase=Phase.FAILED, failure="queue is gone")
            await store.save_pipeline(NAME, failed)
            fill(rig)
            pipeline = await rig.start(adopt=adopt)
            assert not pipeline.is_failed
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pipeline.run)
                await anyio.sleep(20)
                pipeline.drain()
        rig.assert_delivered()

    run()

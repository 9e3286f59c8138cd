"""Random schedules over the whole pipeline: whatever happens, it converges, and once following never goes backwards.

All the while the watermark is held against the truth (see `Rig.assert_watermark_honest`).
"""

import random

import anyio
import pytest

from fakes.records import document, key_of
from fakes.rig import LIFETIME_S, Crash, Rig, faulty, load, retry, work
from fakes.virtual import in_virtual_time

SEEDS = range(16)


def rigged(seed: int) -> Rig:
    """Clocks that disagree, rows handed out late, and rows older than the log."""
    rng = random.Random(seed)
    rig = Rig(
        seed,
        shards=rng.choice([1, 2, 3]),
        ahead_s=rng.choice([-500.3, 0.0, 77.7]),
        slow_rows_s=rng.choice([0.0, 3.0]),
        most_batches=rng.choice([2, 4]),
    )
    load(rig)
    return rig


@pytest.mark.parametrize("seed", SEEDS)
def test_copying_and_following_under_load(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = rigged(seed)
        async with rig.store:
            async with rig.running():
                for _ in range(3):
                    await work(rig, 25)
                    await rig.converged()
            await rig.assert_swept()
        rig.assert_never_backwards()

    run()


@pytest.mark.parametrize("seed", SEEDS)
def test_with_requests_that_fail_are_lost_or_land_late(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = rigged(seed)
        rig.service.fate = faulty(rig.rng)
        async with rig.store:
            async with rig.running():
                for _ in range(3):
                    await work(rig, 25)
                    await rig.converged(300)
            await rig.assert_swept()
        rig.assert_never_backwards()

    run()


async def crashing(rig: Rig, times: int, *, adopt: bool) -> bool:
    """Processes that die anywhere, each after the last one's requests are over; True when adopting is done."""
    for _ in range(times):
        rig.crash = crash = Crash(rig.rng.randrange(5, 500))
        with crash.scope:
            async with rig.running(adopt=adopt):
                await work(rig, 15)
                await rig.converged(300)
        rig.crash = Crash()
        adopt = adopt and rig.service.marker is None
        await anyio.sleep(LIFETIME_S)
    return not adopt


@pytest.mark.parametrize("seed", SEEDS)
def test_with_crashes_anywhere(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = rigged(seed)
        rig.service.fate = faulty(rig.rng, share=0.15)
        async with rig.store:
            await crashing(rig, 6, adopt=False)
            async with rig.running():
                await work(rig, 15)
                await rig.converged(300)
            await rig.assert_swept()
        rig.assert_never_backwards()

    run()


@pytest.mark.parametrize("seed", SEEDS)
def test_with_dead_letters_taken_up_again_all_the_time(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = rigged(seed)
        rig.service.fate = faulty(rig.rng, share=0.15)
        async with rig.store:
            async with rig.running(), anyio.create_task_group() as tasks:
                await rig.until(rig.is_following)
                tasks.start_soon(work, rig, 40)
                for _ in range(15):
                    await anyio.sleep(rig.rng.uniform(0, 1))
                    keys = [key_of(f"n{n}") for n in rig.rng.sample(range(10), 3)]
                    tasks.start_soon(retry, rig, keys)
                await work(rig, 20)
                await rig.converged(300)
            await rig.assert_swept()
        rig.assert_never_backwards()

    run()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_target_that_was_not_empty_with_crashes_anywhere(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = rigged(seed)
        rig.service.fate = faulty(rig.rng, share=0.15)
        for number in range(0, 12, 2):
            rig.service.put(key_of(f"n{number}"), document(f"n{number}", 0))
        async with rig.store:
            adopted = await crashing(rig, 5, adopt=True)
            async with rig.running(adopt=not adopted):
                await work(rig, 15)
                await rig.converged(300)
            await rig.assert_swept()
        rig.assert_never_backwards()

    run()


STRIDE = 5


@pytest.mark.parametrize("first", range(1, STRIDE + 1))
def test_a_crash_after_each_step_then_a_restart_converges(first: int) -> None:
    """Every request to the target and every use of the store is such a step, before and after it has effect."""

    step = first
    while _crashed(step):
        step += STRIDE
    assert step > 50


def _crashed(step: int) -> bool:
    """One run that crashes at this step and one after it; False when there is no such step any more."""
    reached: list[bool] = []

    @in_virtual_time
    async def run() -> None:
        rig = Rig(step, slow_rows_s=0.5)
        load(rig, 4)
        async with rig.store:

            def script() -> None:
                rig.table.put("n0")
                rig.table.delete("n1")
                rig.table.split("s0")
                rig.table.put("n2")

            reached.append(await rig.crashed_at(step, script))
            await anyio.sleep(LIFETIME_S)
            async with rig.running():
                rig.table.put("n3")
                await rig.converged()
        rig.assert_never_backwards()

    run()
    return reached[0]

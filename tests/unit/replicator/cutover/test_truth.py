"""Promise: readiness never says ready while a change is missing at the target, whatever happens.

Random schedules over whole daemons in virtual time, with writers that stop and stall, faults, throttling, poison,
kills, stops and standstills; all the while readiness is asked for and held against the truth.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable

import anyio
import pytest
import structlog

from fakes.cutovers import GAP_S, KINDS, Course, Judged, stuck
from fakes.memory import FINE
from fakes.rig import faulty
from fakes.virtual import in_virtual_time

COURSES = 40
"""Of each kind, in the ordinary suite."""

MANY = 2000
"""Of each kind, by hand."""


@pytest.fixture(autouse=True)
def _quietly() -> None:
    """Most of the time would go into lines of the log that nobody reads."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


async def _write(course: Course, rng: random.Random) -> None:
    """Bursts, a trickle, and pauses in which the writer stalls."""
    for _ in range(rng.randint(0, 3)):
        pause_s = rng.choice([0.02, 0.3, 1.0])
        for _ in range(rng.randint(1, 12)):
            course.world.write()
            await anyio.sleep(rng.uniform(0, pause_s))
        await anyio.sleep(rng.choice([0.0, 2.0, 6.0]))


async def _spoil(course: Course, rng: random.Random) -> None:
    """One thing that goes wrong, for a while."""
    service = course.world.service
    if rng.random() < 0.3:
        service.fate = rng.choice([stuck, faulty(rng)])
        await anyio.sleep(rng.uniform(0, 2))
    spoil: Callable[[], object] = rng.choice(
        [
            course.kill,
            course.stop,
            lambda: course.suspend(rng.uniform(0.5, 3 * GAP_S), rng.randint(1, 5)),
            lambda: setattr(service, "fate", faulty(rng)),
            lambda: setattr(service, "fate", stuck),
            course.world.poison,
        ]
    )
    spoil()
    await anyio.sleep(rng.uniform(0, 4))
    service.fate = lambda _kind, _key: FINE


def course(kind: str, seed: int) -> Judged:
    """One schedule."""
    judged: list[Judged] = []

    @in_virtual_time
    async def run() -> None:
        rng = random.Random(f"{kind} {seed}")
        made = Course(KINDS[kind](rng))
        judged.append(made.judged)
        async with made.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(made.keep_asking, random.Random(seed))
            await anyio.sleep(rng.uniform(0, 15))
            for _ in range(rng.randint(1, 2)):
                await _write(made, rng)
                await _spoil(made, rng)
            await _write(made, rng)
            await anyio.sleep(rng.uniform(0, 12))
            tasks.cancel_scope.cancel()

    run()
    return judged[0]


def hold(kind: str, seeds: range) -> None:
    """No answer is wrong, and many are ready, or nothing would be tested."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        judged = course(kind, seed)
        assert not judged.wrong, f"{kind} {seed}: {judged.wrong[:3]}"
        counts.update(asked=judged.asked, ready=judged.ready, courses=bool(judged.ready))
    assert counts["ready"] >= counts["asked"] * 0.03, counts
    assert counts["courses"] >= len(seeds) * 0.3, counts


@pytest.mark.parametrize("kind", KINDS)
def test_ready_is_never_said_while_a_change_is_missing(kind: str) -> None:
    hold(kind, range(COURSES))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, MANY, 100))
@pytest.mark.parametrize("kind", KINDS)
def test_ready_is_never_said_while_a_change_is_missing_in_ten_thousand_courses(kind: str, first: int) -> None:
    hold(kind, range(first, first + 100))

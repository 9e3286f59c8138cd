"""Promises: the daemon notices, and tells, whatever readiness is judged by."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from fakes.cutovers import GAP_S, KINDS, LIMITS, NAME, STEADY_S, Course, TableWorld
from fakes.memory import FINE, refused
from fakes.scripted import ScriptedTable
from fakes.virtual import in_virtual_time
from replicator.cutover import Outcome
from replicator.errors import ThrottledError
from replicator.status import PipelineStatus

SOON_S = 40.0


@asynccontextmanager
async def ready(kind: str = "table") -> AsyncIterator[Course]:
    """A course whose daemon has just become ready."""
    rng = random.Random(0)
    world = TableWorld(rng, ScriptedTable(rng)) if kind == "table" else KINDS[kind](rng)
    course = Course(world)
    async with course.running():
        await until(lambda: is_ready(course))
        yield course


async def until(condition: Callable[[], bool]) -> float:
    """How long it took."""
    begun = anyio.current_time()
    with anyio.fail_after(SOON_S):
        while not condition():  # noqa: ASYNC110 — time is virtual
            await anyio.sleep(0.1)
    return anyio.current_time() - begun


def is_ready(course: Course) -> bool:
    answer = course.ask()
    return answer is not None and answer.ready


def outcome(course: Course, check: str) -> Outcome | None:
    answer = course.ask()
    checks = answer.pipelines[NAME].checks if answer is not None and NAME in answer.pipelines else []
    return next((c.outcome for c in checks if c.name == check), None)


def status(course: Course) -> PipelineStatus:
    assert course.daemon is not None
    return course.daemon.statuses[NAME]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_becomes_ready(kind: str) -> None:
    @in_virtual_time
    async def run() -> None:
        async with ready(kind) as course:
            found = status(course)
            assert found.source_time is not None
            assert found.unread == 0
            assert found.lease_left_s is not None
            assert 0 < found.lease_left_s <= LIMITS.lease_s
            assert not course.judged.wrong

    run()


@in_virtual_time
async def test_a_request_refused_as_too_many_withdraws_readiness_for_the_steady_period() -> None:
    async with ready() as course:
        service = course.world.service
        service.fate = lambda kind, _: refused(ThrottledError("busy", retry_after_s=0.1)) if kind == "write" else FINE
        course.world.write()
        await until(lambda: outcome(course, "throttling") is Outcome.FAIL)
        assert status(course).throttled_at is not None
        service.fate = lambda _kind, _key: FINE
        assert await until(lambda: is_ready(course)) >= STEADY_S - 1


@in_virtual_time
async def test_a_restart_begins_the_steady_period_anew() -> None:
    async with ready() as course:
        course.stop()
        await until(lambda: outcome(course, "lag") is None)
        await until(lambda: outcome(course, "lag") is Outcome.PASS)
        assert outcome(course, "steady") is Outcome.FAIL
        assert await until(lambda: is_ready(course)) >= STEADY_S - 1


@in_virtual_time
async def test_a_standstill_is_noticed_at_once_and_begins_the_steady_period_anew() -> None:
    """Even if the lag has been small before and is again at once, as of this queue."""
    async with ready("queue") as course:
        course.suspend(GAP_S + 0.1, 0)
        assert outcome(course, "watched") is Outcome.UNKNOWN
        await until(lambda: outcome(course, "watched") is Outcome.PASS)
        assert outcome(course, "steady") is Outcome.FAIL
        assert await until(lambda: is_ready(course)) >= STEADY_S - 1


@in_virtual_time
async def test_a_refused_change_withdraws_readiness() -> None:
    async with ready() as course:
        course.world.poison()
        assert isinstance(course.world, TableWorld)
        course.world.table.put("n0")
        await until(lambda: outcome(course, "dead_letters") is Outcome.FAIL)
        assert not is_ready(course)


@in_virtual_time
async def test_a_lost_log_withdraws_readiness_for_good() -> None:
    async with ready() as course:
        assert isinstance(course.world, TableWorld)
        course.world.table.log = "another"
        course.world.table.shards = {"z0": course.world.table.shards.pop("s0")}
        course.world.table.shards["z0"].id = "z0"
        await until(lambda: outcome(course, "copied") is Outcome.FAIL)
        answer = course.ask()
        assert answer is not None
        assert (answer.ready, answer.phase) == (False, "failed")

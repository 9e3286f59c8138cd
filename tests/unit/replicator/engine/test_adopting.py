"""Promises of an adoption while somebody else may still write the target: with a state store of its own, whose lease
nobody here can see.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from fakes.memory import FINE, Fate, lost, refused
from fakes.records import document, key_of
from fakes.rig import LIFETIME_S, TIMEOUT_S, Rig, load
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.engine.status import Measured, Observer
from replicator.errors import ForeignOwnerError, ThrottledError
from replicator.model import DeadLetterSummary
from replicator.telemetry import Metrics

KEY = key_of("n0")
BEAT_S = 3.0
WAIT_S = BEAT_S + TIMEOUT_S + LIFETIME_S
LATE_S = LIFETIME_S - 0.1


def elsewhere(rig: Rig) -> Rig:
    """Another host: the same source and target, a state store of its own."""
    other = Rig()
    other.table, other.service = rig.table, rig.service
    return other


def held_up(until: Callable[[], bool]) -> Callable[[str, str], Fate]:
    """Plain writes of the key are refused until something has happened, and then land as late as they may."""

    def fate(kind: str, key: str) -> Fate:
        if (kind, key) != ("write", KEY):
            return FINE
        return lost(LATE_S, 0.4) if until() else refused(ThrottledError("busy"))

    return fate


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused is tried again at once, so that a request can be timed."""
    monkeypatch.setattr("replicator.delivery.retry.random.uniform", lambda _low, _high: 0.02)


@in_virtual_time
async def test_a_late_request_of_a_daemon_that_has_crashed_elsewhere_lands_before_the_repair_looks() -> None:
    """Else it would bring back what the repair has overwritten, and the change that did is dropped as known."""
    rig = Rig()
    load(rig)
    sent = anyio.Event()
    async with rig.store:
        with anyio.CancelScope() as crash:
            async with rig.running():
                await rig.converged()
                rig.service.fate = held_up(lambda: False)
                rig.table.put("n0")
                await anyio.sleep(2)
                rig.table.put("n0")
                await anyio.sleep(8)
                late = held_up(lambda: True)

                def fate(kind: str, key: str) -> Fate:
                    if (kind, key) == ("write", KEY):
                        sent.set()
                    return late(kind, key)

                rig.service.fate = fate
                await sent.wait()
                crash.cancel()
        rig.service.fate = lambda *_: FINE
    other = elsewhere(rig)
    async with other.store, other.running(adopt=True):
        await other.converged()
        await anyio.sleep(60)
        assert other.service_equals_table()


@in_virtual_time
async def test_the_last_request_of_a_daemon_that_still_runs_lands_before_the_repair_looks() -> None:
    """It notices the adoption at its next beat, and writes until then."""
    rig = Rig()
    load(rig)

    async def run_until_noticed() -> None:
        with pytest.RaisesGroup(ForeignOwnerError, flatten_subgroups=True):
            await rig.pipeline.run()

    async with rig.store, anyio.create_task_group() as tasks:
        await rig.start()
        tasks.start_soon(run_until_noticed)
        await rig.converged()
        beats: list[float] = []
        late = held_up(lambda: bool(beats) and elapsed_s() > beats[0] + BEAT_S - 0.1)

        def fate(kind: str, key: str) -> Fate:
            beats.extend([elapsed_s()] if kind == "write_marker" else [])
            return late(kind, key)

        rig.table.put("n0")
        rig.service.fate = held_up(lambda: False)
        await anyio.sleep(BEAT_S)
        rig.table.put("n0")
        await anyio.sleep(BEAT_S)
        rig.service.fate = fate
        await rig.until(lambda: bool(beats))
        other = elsewhere(rig)
        async with other.store, other.running(adopt=True):
            await other.converged()
            await anyio.sleep(60)
            assert other.service_equals_table()


@asynccontextmanager
async def adopting() -> AsyncIterator[tuple[Rig, list[float]]]:
    """A target to be adopted, and the moments at which one of its records was looked at."""
    rig = Rig()
    load(rig)
    looks: list[float] = []

    def fate(kind: str, _key: str) -> Fate:
        looks.extend([elapsed_s()] if kind in {"observe", "guarded", "scan", "write"} else [])
        return FINE

    rig.service.put(KEY, document("n0", 99))
    rig.service.fate = fate
    async with rig.store:
        yield rig, looks


@in_virtual_time
async def test_a_repair_that_is_cut_off_while_it_waits_waits_anew() -> None:
    async with adopting() as (rig, looks):
        async with rig.running(adopt=True):
            await anyio.sleep(WAIT_S - 0.5)
        begun = elapsed_s()
        async with rig.running():
            await rig.converged()
        assert looks[0] - begun >= WAIT_S


@in_virtual_time
async def test_a_repair_that_has_begun_goes_on_without_waiting() -> None:
    async with adopting() as (rig, looks):
        async with rig.running(adopt=True):
            await rig.until(lambda: bool(looks))
        looks.clear()
        begun = elapsed_s()
        async with rig.running():
            await rig.converged()
        assert looks[0] - begun < 1


@in_virtual_time
async def test_a_repair_that_waits_is_stopped_at_once_and_moves_its_marker_on_meanwhile() -> None:
    async with adopting() as (rig, _):
        async with rig.running(adopt=True) as pipeline:
            await anyio.sleep(0.1)
            first = rig.service.marker
            await anyio.sleep(BEAT_S)
            assert rig.service.marker != first
            begun = elapsed_s()
            pipeline.drain()
        assert elapsed_s() - begun < 0.5


@in_virtual_time
async def test_the_status_says_when_a_repair_begins() -> None:
    async with adopting() as (rig, looks):
        async with rig.running(adopt=True) as pipeline:
            observer = Observer(pipeline, Metrics())

            def begins_in_s() -> float:
                return observer.observe(None, DeadLetterSummary(), Measured(), 1.0).begins_in_s

            await anyio.sleep(1)
            assert begins_in_s() == pytest.approx(WAIT_S - 1, abs=0.2)
            await rig.until(lambda: bool(looks))
            assert begins_in_s() == 0
        async with rig.running() as pipeline:
            await anyio.sleep(0.1)
            assert Observer(pipeline, Metrics()).observe(None, DeadLetterSummary(), Measured(), 1.0).begins_in_s == 0

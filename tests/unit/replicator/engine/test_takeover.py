"""Promises when a daemon stood still for longer than its lease (SIGSTOP, a paused container, a suspended machine), and
another one has taken its migration over: the first one spoils nothing when it goes on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from fakes.daemons import LIMITS, Place
from fakes.records import key_of, number_in
from fakes.stores import StoppableStore
from fakes.virtual import in_virtual_time
from replicator.engine.daemon import Daemon
from replicator.errors import LeaseLostError

NAME = "orders"
SOON_S = 5
LONG_S = 60


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """Begun, and stopped in an orderly way on leaving."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.run)
        with anyio.fail_after(LONG_S):
            await daemon.started.wait()
        await anyio.sleep(SOON_S)
        yield daemon
        await anyio.sleep(SOON_S)
        daemon.stop()


@asynccontextmanager
async def overtaken(place: Place, store: StoppableStore) -> AsyncIterator[Daemon]:
    """A daemon that must end, once it goes on, because it has lost its lease."""
    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012 — the process is what raises, not one statement
        async with running(place.daemon(store=store)) as daemon:
            yield daemon
            with anyio.fail_after(LIMITS.lease_s):
                await anyio.sleep_forever()
    _, others = raised.value.split(LeaseLostError)
    assert others is None, "however many of its tasks have noticed"


def assert_equal(place: Place) -> None:
    held = {key: number_in(e.record) for key, e in place.services[NAME].entries.items() if e.record}
    assert held == {key_of(name): number for name, number in place.tables[NAME].rows.items()}


@in_virtual_time
async def test_what_it_was_about_to_save_does_not_undo_what_the_other_one_has_saved() -> None:
    """Else its old position would be read again, once the shards that continue it have been: lasting divergence."""
    place = Place(NAME)
    place.tables[NAME].put("n0")
    async with place.store:
        store = StoppableStore(place.store)
        async with overtaken(place, store):
            store.stop_at_intent()
            place.tables[NAME].put("n0")
            await store.stopped.wait()
            async with running(place.daemon()):
                place.tables[NAME].split("s0")
                await anyio.sleep(SOON_S)
                place.tables[NAME].put("n0")
                await anyio.sleep(SOON_S)
                store.go_on()
                await anyio.sleep(SOON_S)
        assert_equal(place)
        async with running(place.daemon()):
            await anyio.sleep(LONG_S)
        assert_equal(place)


@in_virtual_time
async def test_it_does_not_take_the_lease_again_that_the_other_one_has_given_back() -> None:
    """What it remembers is from before."""
    place = Place(NAME)
    place.tables[NAME].put("n0")
    async with place.store:
        store = StoppableStore(place.store)
        async with overtaken(place, store):
            store.stop()
            async with running(place.daemon()):
                place.tables[NAME].put("n0")
            saved = await place.store.load_checkpoints(NAME), await place.store.load_pipeline(NAME)
            shown = place.services[NAME].marker
            store.go_on()
        assert saved == (await place.store.load_checkpoints(NAME), await place.store.load_pipeline(NAME))
        assert place.services[NAME].marker == shown
        assert_equal(place)


@in_virtual_time
async def test_who_stood_still_and_was_not_replaced_goes_on() -> None:
    place = Place(NAME)
    place.tables[NAME].put("n0")
    async with place.store:
        store = StoppableStore(place.store)
        async with running(place.daemon(store=store)):
            store.stop_at_intent()
            place.tables[NAME].put("n0")
            await store.stopped.wait()
            await anyio.sleep(LONG_S)
            store.go_on()
            await anyio.sleep(SOON_S)
            assert_equal(place)


@in_virtual_time
async def test_a_renamed_migration_waits_for_the_lease_of_the_last_run_too() -> None:
    """The store is what two daemons share, whatever they are called."""
    place = Place(NAME)
    async with place.store:
        scope = anyio.CancelScope()
        with scope:
            async with running(place.daemon(migration="before")):
                assert await place.lease_left_s() > 0
                scope.cancel()
        left_s = await place.lease_left_s()
        assert left_s > 0
        begun = anyio.current_time()
        async with running(place.daemon(migration="after")):
            assert anyio.current_time() - begun >= left_s

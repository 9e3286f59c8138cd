"""Promises of the daemon: its lease is given back no sooner than its requests are over, and no later; each error that
leaves a pipeline has the reaction that `replicator.errors` names.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import datetime

import anyio
import pytest

from fakes.daemons import LIMITS, Place
from fakes.memory import NEVER_LANDS, Fate, lost
from fakes.records import document, key_of
from fakes.rig import LIFETIME_S
from fakes.virtual import in_virtual_time
from replicator.engine.daemon import Daemon
from replicator.engine.rounds import Ask
from replicator.engine.verdict import SIDES_NOTE, Result, is_over
from replicator.errors import ConfigurationError, ForeignOwnerError, LeaseLostError, ReplicatorError
from replicator.model import Marker, Phase
from replicator.state.contents import Standing, Standings

A_LIFETIME = pytest.approx(LIFETIME_S, abs=0.1)


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Daemon]:
    """A daemon that has begun, and has ended on leaving: stopped if it was not before."""
    daemon = place.daemon()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.run)
        with anyio.fail_after(30):
            await daemon.started.wait()
        yield daemon
        daemon.stop()


def refuse() -> None:
    raise ConfigurationError("target", "creating was refused", "Mend it")


def ended_by(error: type[ReplicatorError], match: str) -> pytest.RaisesGroup[ReplicatorError]:
    """However many task groups the error comes through."""
    return pytest.RaisesGroup(pytest.RaisesExc(error, match=match), flatten_subgroups=True)


def refused(match: str) -> pytest.RaisesGroup[ReplicatorError]:
    """A start that must be mended first."""
    return ended_by(ConfigurationError, match)


@in_virtual_time
async def test_a_start_that_was_refused_before_anything_was_written_gives_the_lease_back_at_once() -> None:
    place = Place("orders", "customers")
    place.services["customers"].put(key_of("n0"), document("n0", 1))
    async with place.store:
        with refused("not empty"):
            await place.daemon().run()
        assert place.services["orders"].marker is None
        assert await place.lease_left_s() == 0


@pytest.mark.parametrize("standing", [Standing.MOVED, Standing.FILLING])
@in_virtual_time
async def test_a_store_that_was_moved_or_is_not_whole_is_not_worked_with(standing: Standing) -> None:
    """Asked with the lease in hand: whoever moves it holds that meanwhile. It says where the state is."""
    place = Place("orders")
    async with place.store:
        await place.store.set_standings(Standings(standing, "m", "the other store"))
        with pytest.raises(ConfigurationError, match="the other store"):
            await place.daemon().run()
        assert place.services["orders"].marker is None
        assert await place.lease_left_s() == 0


@in_virtual_time
async def test_a_start_that_was_refused_after_another_pipeline_was_claimed_keeps_the_lease_for_a_lifetime() -> None:
    """The other one's marker was written."""
    place = Place("orders", "customers")
    place.creating["customers"] = refuse
    async with place.store:
        with refused("creating was refused"):
            await place.daemon().run()
        assert place.services["orders"].marker is not None
        assert await place.lease_left_s() == A_LIFETIME


@in_virtual_time
async def test_a_start_that_was_refused_while_creating_the_first_target_keeps_the_lease_for_a_lifetime() -> None:
    """What was asked for may be done although the answer was bad."""
    place = Place("orders")
    place.creating["orders"] = refuse
    async with place.store:
        with refused("creating was refused"):
            await place.daemon().run()
        assert await place.lease_left_s() == A_LIFETIME


@in_virtual_time
async def test_a_stop_before_anything_was_begun_gives_the_lease_back_at_once() -> None:
    place = Place("orders")
    place.services["orders"].fate = lambda _kind, _key: Fate(answers_s=0.4)
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.daemon()
        tasks.start_soon(daemon.run)
        await anyio.sleep(0.3)
        assert await place.lease_left_s() > LIFETIME_S
        daemon.stop()
        await anyio.sleep(0.01)
        assert await place.lease_left_s() == 0


@in_virtual_time
async def test_a_stop_while_the_first_marker_is_being_written_keeps_the_lease_for_a_lifetime() -> None:
    place = Place("orders")
    place.services["orders"].fate = lambda kind, _: Fate(answers_s=0.4 if kind == "write_marker" else 0)
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.daemon()
        tasks.start_soon(daemon.run)
        with anyio.fail_after(5):
            while place.services["orders"].marker is None:  # noqa: ASYNC110 — time is virtual
                await anyio.sleep(0.01)
        assert not daemon.started.is_set()
        daemon.stop()
        await anyio.sleep(0.01)
        assert await place.lease_left_s() == A_LIFETIME


@in_virtual_time
async def test_an_orderly_stop_gives_the_lease_back_at_once() -> None:
    place = Place("orders")
    async with place.store:
        async with running(place):
            await anyio.sleep(20)
        assert place.services["orders"].marker is not None
        assert await place.lease_left_s() == 0


@in_virtual_time
async def test_an_orderly_stop_waits_for_a_request_of_unknown_outcome() -> None:
    """Be it the marker's, which concerns no record."""
    place = Place("orders")
    async with place.store:
        async with running(place):
            place.services["orders"].fate = lambda kind, _: lost(NEVER_LANDS, 60) if kind == "write_marker" else Fate()
            await anyio.sleep(LIMITS.marker_interval_s + 0.1)
        assert await place.lease_left_s() == A_LIFETIME


@in_virtual_time
async def test_a_stop_that_cuts_off_keeps_the_lease_for_a_lifetime() -> None:
    place = Place("orders")
    async with place.store:
        async with running(place) as daemon:
            daemon.stop()
        assert await place.lease_left_s() == A_LIFETIME


@in_virtual_time
async def test_a_lease_that_another_daemon_has_taken_ends_the_process() -> None:
    """As after standing still for longer than the lease."""
    place = Place("orders")
    async with place.store:
        with ended_by(LeaseLostError, "taken the migration over"):
            async with running(place):
                await place.store.release_lease(str(await place.store.lease_owner()), 0)
                await anyio.sleep(0.001)
                assert await place.store.acquire_lease("another", 60) == 0
                await anyio.sleep(60)
        assert await place.store.lease_owner() == "another", "and its lease is left alone"


@in_virtual_time
async def test_a_marker_that_another_daemon_has_written_ends_the_process() -> None:
    """Even if it is that of one pipeline among several: nobody knows what else that daemon does."""
    place = Place("orders", "customers")
    async with place.store:
        with ended_by(ForeignOwnerError, "another daemon has written"):
            async with running(place):
                place.services["customers"].marker = Marker("another", 1, "g")
                await anyio.sleep(60)


@in_virtual_time
async def test_a_lost_position_stops_its_pipeline_alone() -> None:
    """The process stays up and says so; the other pipeline goes on."""
    place = Place("orders", "customers")
    async with place.store, running(place) as daemon:
        await anyio.sleep(10)
        place.tables["orders"].log = "another"
        place.tables["orders"].shards = {"z0": place.tables["orders"].shards.pop("s0")}
        place.tables["orders"].shards["z0"].id = "z0"
        await anyio.sleep(30)
        place.tables["customers"].put("n0")
        await anyio.sleep(10)
        assert [daemon.statuses[name].phase for name in place.tables] == [Phase.FAILED, Phase.FOLLOWING]
        assert "another log" in daemon.statuses["orders"].problems[0]
        assert place.services["customers"].visible(key_of("n0")) is not None


@in_virtual_time
async def test_where_all_is_copied_once_it_ends_by_itself_when_the_slowest_was_compared() -> None:
    """And nobody was compared before the slowest was copied."""
    place = Place("orders", "customers", once=("orders", "customers"))
    for number in range(1500):
        place.tables["customers"].put(f"n{number}")
    place.tables["orders"].put("n0")
    async with place.store:
        daemon = place.daemon()
        with anyio.fail_after(600):
            assert await daemon.run()
        verdicts = await daemon.verdicts()
        assert {name: verdict.result for name, verdict in verdicts.items()} == dict.fromkeys(place.tables, Result.EQUAL)
        copied_at = verdicts["customers"].state.copy_finished_at
        assert copied_at is not None
        for verdict in verdicts.values():
            assert verdict.found is not None
            assert verdict.found.ended_at is not None
            assert verdict.found.ended_at > copied_at


@in_virtual_time
async def test_a_verdict_is_never_told_of_another_source_or_target() -> None:
    place = Place("orders", once=("orders",))
    async with place.store as store:
        daemon = place.daemon()
        assert await daemon.run()
        assert await is_over(daemon.config, store)
        await store.save_note("orders", SIDES_NOTE, "another table")
        assert not await is_over(daemon.config, store)
        with pytest.RaisesGroup(
            pytest.RaisesExc(ConfigurationError, match=r"orders: was copied .*another state store"),
            flatten_subgroups=True,
        ):
            await place.daemon().run()


@in_virtual_time
async def test_where_all_is_copied_once_one_that_has_failed_keeps_nobody_waiting() -> None:
    place = Place("orders", "customers", once=("orders", "customers"))
    async with place.store as store:
        await place.daemon().run()
        state = await store.load_pipeline("orders")
        assert state is not None
        await store.save_pipeline("orders", replace(state, phase=Phase.FAILED, failure="it is gone"))
        place.services["orders"].marker = None
        daemon = place.daemon()
        with anyio.fail_after(60):
            assert not await daemon.run()
        results = [verdict.result for verdict in (await daemon.verdicts()).values()]
        assert results == [Result.FAILED, Result.EQUAL]


@in_virtual_time
async def test_beside_one_that_is_followed_one_that_is_copied_once_is_compared_too_and_the_daemon_stays() -> None:
    place = Place("orders", "customers", once=("orders",))
    place.tables["orders"].put("n0")
    async with place.store, running(place) as daemon:
        await anyio.sleep(30)
        assert (await daemon.verdicts())["orders"].result is Result.EQUAL
        assert daemon.statuses["customers"].phase == Phase.FOLLOWING
        with pytest.raises(ConfigurationError, match="has ended"):
            await daemon.verify(["orders"], Ask())


@in_virtual_time
async def test_after_a_verdict_that_was_not_good_all_are_compared_again_and_after_a_good_one_none_is() -> None:
    """Of one and the same time: what was equal then may not be any more."""
    place = Place("orders", "customers", once=("orders", "customers"))
    for table in place.tables.values():
        table.put("n0")
    place.services["orders"].refuses = lambda _: "too large"
    began: list[list[datetime]] = []
    async with place.store:
        for expected in ([Result.DIFFERENT, Result.EQUAL], [Result.EQUAL] * 2, [Result.EQUAL] * 2):
            daemon = place.daemon(repair=True)
            with anyio.fail_after(60):
                await daemon.run()
            verdicts = (await daemon.verdicts()).values()
            assert [verdict.result for verdict in verdicts] == expected
            place.services["orders"].refuses = lambda _: None
            began.append([verdict.found.began_at for verdict in verdicts if verdict.found])
    assert began[0][1] < began[1][1]
    assert began[1] == began[2]


async def until(what: Callable[[], bool]) -> None:
    with anyio.fail_after(120):
        while not what():  # noqa: ASYNC110 — virtual time passes only so
            await anyio.sleep(0.05)


@in_virtual_time
async def test_a_copy_of_the_store_younger_than_the_last_beat_is_gone_on_with_and_converges() -> None:
    """It cannot be told from the real one. What was applied since is applied again, to the same end."""
    place = Place("orders")
    table, service = place.tables["orders"], place.services["orders"]

    def is_equal() -> bool:
        return {key: entry.record for key, entry in service.entries.items()} == table.expected()

    async with place.store as store:
        connection = store._connection
        assert connection
        with closing(sqlite3.connect(":memory:")) as copy:
            async with anyio.create_task_group() as tasks:
                daemon = place.daemon()
                tasks.start_soon(daemon.run)
                await until(lambda: "orders" in daemon.statuses and daemon.statuses["orders"].phase == Phase.FOLLOWING)
                before = service.marker
                await until(lambda: service.marker != before)
                await anyio.sleep(1)
                shown = service.marker
                connection.backup(copy)
                for name in ("a", "b", "a", "c", "a"):
                    table.put(name)
                    await anyio.sleep(0.5)
                table.delete("c")
                await until(is_equal)
                assert service.marker == shown, "no beat since the copy was made"
                tasks.cancel_scope.cancel()
            copy.backup(connection)
        written = len(service.log[key_of("a")])
        async with running(place):
            await until(lambda: len(service.log[key_of("a")]) > written)
            table.put("d")
            await until(is_equal)

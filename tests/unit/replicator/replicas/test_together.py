"""Promises of several replicas: the work is shared evenly, and nobody's end, whatever kind it is, loses or undoes
anything.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from fakes.daemons import LIMITS, Place
from fakes.network import Host, Internet
from fakes.records import key_of, number_in
from fakes.virtual import in_virtual_time
from replicator.engine.daemon import Daemon

NAME = "orders"
SOON_S = 5.0


class Cluster:
    """Daemons of one place, each with a network of its own."""

    def __init__(self, shards: int = 4) -> None:
        self.place = Place(NAME, shards=shards)
        self.internet = Internet()
        self.daemons: dict[str, Daemon] = {}
        self.hosts: dict[str, Host] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """The first one leads."""
        async with self.place.store, anyio.create_task_group() as self._tasks:
            for name in names:
                await self.start(name)
            yield
            for daemon in self.daemons.values():
                daemon.stop()

    async def start(self, name: str) -> None:
        self.hosts[name] = Host(self.internet)
        self.daemons[name] = self.place.daemon(network=self.hosts[name])
        self._tasks.start_soon(self._run, name)
        await anyio.sleep(SOON_S)

    async def _run(self, name: str) -> None:
        with anyio.CancelScope() as self._scopes[name]:
            await self.daemons[name].run()
        self.daemons.pop(name, None)

    def kill(self, name: str) -> None:
        self._scopes[name].cancel()

    def counts(self) -> list[int]:
        """Partitions by replica, as the leader has them."""
        (leader,) = [d.leader for d in self.daemons.values() if d.started.is_set()]
        assert leader is not None
        return sorted(leader.counts().values())

    def put(self, count: int = 20) -> None:
        for number in range(count):
            self.place.tables[NAME].put(f"n{number}")

    def assert_equal(self) -> None:
        held = {key: number_in(e.record) for key, e in self.place.services[NAME].entries.items() if e.record}
        assert held == {key_of(name): number for name, number in self.place.tables[NAME].rows.items()}


@in_virtual_time
async def test_partitions_are_spread_evenly_when_replicas_come_and_go() -> None:
    cluster = Cluster(shards=6)
    cluster.put()
    async with cluster.running("a"):
        await anyio.sleep(20)
        assert cluster.counts() == [6]
        await cluster.start("b")
        assert cluster.counts() == [3, 3]
        await cluster.start("c")
        assert cluster.counts() == [2, 2, 2]
        cluster.put()
        cluster.daemons["b"].stop()
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [3, 3]
        cluster.put()
        cluster.kill("c")
        await anyio.sleep(2 * LIMITS.lease_s)
        assert cluster.counts() == [6]
        await anyio.sleep(SOON_S)
        cluster.assert_equal()


@in_virtual_time
async def test_one_of_the_others_leads_when_the_leader_is_killed() -> None:
    cluster = Cluster()
    cluster.put()
    async with cluster.running("a", "b", "c"):
        await anyio.sleep(SOON_S)
        cluster.kill("a")
        cluster.put()
        await anyio.sleep(LIMITS.lease_s + SOON_S)
        assert cluster.counts() == [2, 2]
        await anyio.sleep(SOON_S)
        cluster.assert_equal()

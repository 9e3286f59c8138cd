"""Several daemons of one place, each with a network of its own, watched for their promises; in virtual time."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from fakes.bucket import LookingSource, ScriptedBucket
from fakes.daemons import Place
from fakes.memory import MemoryService
from fakes.network import Host, Internet
from fakes.records import key_of, number_in
from fakes.rig import assert_never_backwards, assert_nothing_missing
from fakes.scripted import ScriptedTable
from fakes.stores import StoppableStore
from replicator.engine.daemon import Daemon
from replicator.errors import LeaseLostError
from replicator.model import CopyStage, Phase

NAME = "orders"

SOON_S = 5.0


class Replica:
    """One process."""

    def __init__(self, place: Place, internet: Internet, migration: str) -> None:
        self.host = Host(internet)
        self.store = StoppableStore(place.store)
        self.daemon = place.daemon(store=self.store, network=self.host, migration=migration)
        self.scope = anyio.CancelScope()

    @property
    def leads(self) -> bool:
        """Whether its pipelines run."""
        return self.daemon.started.is_set()

    def kill(self) -> None:
        """At once; what it has sent may still arrive."""
        self.scope.cancel()

    async def stand_still(self, for_s: float) -> None:
        """As by SIGSTOP and SIGCONT, as far as anybody else can tell."""
        self.store.stop()
        with self.host.held():
            await anyio.sleep(for_s)
        self.store.go_on()


class Cluster:
    """Those that run, by name. `apart`: none of them reaches another one."""

    def __init__(self, shards: int = 4, seed: int = 0, *, once: bool = False, apart: bool = False) -> None:
        self.rng = random.Random(seed)
        self.place = Place(NAME, shards=shards, once=[NAME] if once else [])
        self.replicas: dict[str, Replica] = {}
        self.internet = Internet()
        self._apart = apart
        self._since: dict[str, int] | None = None

    def of_a_bucket(self) -> "Cluster":
        """The same from a bucket, whose listings are all looked at again every so often."""
        bucket = ScriptedBucket(self.rng)
        bucket.segments = 9
        self.place.tables[NAME] = bucket
        self.place.source = partial(LookingSource, relist_s=20.0, page=2)
        return self

    @property
    def table(self) -> ScriptedTable:
        """The source."""
        return self.place.tables[NAME]

    @property
    def service(self) -> MemoryService:
        """The target."""
        return self.place.services[NAME]

    @property
    def leader(self) -> Daemon | None:
        """The one that leads, as far as it knows."""
        return next((r.daemon for r in self.replicas.values() if r.leads), None)

    @asynccontextmanager
    async def running(self, *names: str, within_s: float = SOON_S) -> AsyncIterator[None]:
        """The first one leads, and each has so much time to join. On leaving all are stopped in an orderly way."""
        async with self.place.store, anyio.create_task_group() as watching:
            async with anyio.create_task_group() as self._tasks:
                watching.start_soon(self._watch)
                for name in names:
                    await self.start(name, within_s)
                yield
                for replica in self.replicas.values():
                    replica.daemon.stop()
            watching.cancel_scope.cancel()
        if self._since is not None:
            assert_never_backwards(self.table, self.service, self._since)

    async def start(self, name: str, within_s: float = SOON_S, migration: str = "shop") -> None:
        """Returns when it had so much time to join."""
        internet = Internet() if self._apart else self.internet
        self.replicas[name] = Replica(self.place, internet, migration)
        self._tasks.start_soon(self._run, name)
        await anyio.sleep(within_s)

    def counts(self) -> list[int]:
        """Partitions by replica, as the leader has them."""
        assert self.leader is not None
        assert self.leader.leader is not None
        return sorted(self.leader.leader.counts().values())

    def limits(self) -> list[tuple[int, float | None]]:
        """What each replica may have under way, and be charged per second."""
        return [(delivery.most, delivery.units_per_s) for delivery in self.place.deliveries]

    def degraded(self, name: str) -> float | None:
        """What the metrics of one replica say of its source."""
        labels = {"pipeline": NAME, "side": "source"}
        return self.replicas[name].daemon.metrics.registry.get_sample_value("replicator_degraded", labels)

    async def followed(self) -> None:
        """The copy is over."""
        with anyio.fail_after(300):
            while self.leader is None or not self.leader.pipelines()[NAME].state.phase.follows:  # noqa: ASYNC110 — likewise
                await anyio.sleep(0.2)

    async def converged(self, within_s: float = 300.0) -> None:
        """The target is equal to the source, and the watermark has passed its last change."""
        with anyio.fail_after(within_s):
            while not (self._is_equal() and self._has_caught_up()):  # noqa: ASYNC110 — it is only looked at
                await anyio.sleep(0.2)

    async def _run(self, name: str) -> None:
        """Until it ends or is killed; one that was overtaken ends by itself."""
        replica = self.replicas[name]
        try:
            with replica.scope:
                await replica.daemon.run()
        except* LeaseLostError:
            pass
        del self.replicas[name]

    def _is_equal(self) -> bool:
        held = {key: number_in(e.record) for key, e in self.service.entries.items() if e.record}
        return held == {key_of(name): number for name, number in self.table.rows.items()}

    def _has_caught_up(self) -> bool:
        if self.leader is None:
            return False
        pipeline = self.leader.pipelines()[NAME]
        through = pipeline.replicated_through
        last = max((at for history in self.table.history.values() for at, _ in history), default=0.0)
        swept = pipeline.state.phase is Phase.FOLLOWING and pipeline.state.copy_stage is CopyStage.SWEPT
        return swept and through is not None and through.timestamp() > last

    async def _watch(self) -> None:
        while True:
            for replica in self.replicas.values():
                if replica.leads:
                    self._look(replica.daemon)
            await anyio.sleep(0.05)

    def _look(self, daemon: Daemon) -> None:
        pipeline = daemon.pipelines()[NAME]
        if pipeline.state.phase is not Phase.FOLLOWING:
            return
        if self._since is None:
            self._since = {key: len(log) for key, log in self.service.log.items()}
        if pipeline.replicated_through is not None:
            assert_nothing_missing(self.table, self.service, pipeline.replicated_through)

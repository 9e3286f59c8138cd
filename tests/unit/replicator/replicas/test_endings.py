"""Promises of several replicas where something ends while something else is under way."""

from collections.abc import AsyncGenerator

import anyio

from fakes.cluster import NAME, SOON_S, Cluster
from fakes.daemons import LIMITS
from fakes.memory import FINE, Fate, lost
from fakes.rig import LIFETIME_S, load, work
from fakes.scripted import ScriptedSource
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.engine.barrier import Verdict
from replicator.errors import PositionLostError
from replicator.model import Batch, Partition, Resume


@in_virtual_time
async def test_a_pipeline_that_has_failed_runs_nowhere() -> None:
    """Its target may be somebody else's by now, so the others must not go on with it."""
    lost: set[str] = set()

    class Losing(ScriptedSource):
        async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
            async for batch in super().read(partition, resume):
                if partition.id in lost:
                    raise PositionLostError("trimmed")
                yield batch

    cluster = Cluster(shards=4)
    cluster.place.source = Losing
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [2, 2]
        assert cluster.leader is not None
        pipeline = cluster.leader.pipelines()[NAME]
        lost.add(next(iter(pipeline.placing.here)))
        await anyio.sleep(SOON_S)
        assert pipeline.is_failed
        assert cluster.counts() == [0, 0]
        held = dict(cluster.service.entries)
        for number in range(40):
            cluster.table.put(f"new-{number}")
        await anyio.sleep(SOON_S)
        assert cluster.service.entries == held


@in_virtual_time
async def test_a_member_that_is_back_before_it_was_missed_is_counted_once() -> None:
    """It counts from the beginning again, while the leader still has what it said before."""
    cluster = Cluster(shards=4)
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        await work(cluster, 40, splits=False)
        await cluster.converged()
        await anyio.sleep(SOON_S)
        assert cluster.leader is not None
        totals = cluster.leader.pipelines()[NAME].telemetry.totals
        applied, late = totals.applied, totals.late
        await cluster.replicas["b"].host.reset()
        await anyio.sleep(3 * LIMITS.lease_s)
        assert max(cluster.counts()) == 2
        assert (totals.applied, totals.late) == (applied, late)
        read = totals.read
        for number in range(40):
            cluster.table.put(f"new-{number}")
        await anyio.sleep(SOON_S)
        assert totals.read == read + 40


@in_virtual_time
async def test_everything_is_settled_when_no_request_of_another_replica_is_in_doubt() -> None:
    """What is written at the target from then on must not be overwritten by it."""
    cluster = Cluster(shards=4)
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        await anyio.sleep(SOON_S)
        assert cluster.leader is not None
        lands_at: dict[str, float] = {}

        def fate(kind: str, key: str) -> Fate:
            if not kind.startswith("write") or key in lands_at:
                return FINE
            lands_at[key] = anyio.current_time() + LIFETIME_S - 0.01
            return lost(LIFETIME_S - 0.01)

        cluster.service.fate = fate
        here = cluster.leader.pipelines()[NAME].placing.here
        for name in [name for name in map(str, range(40)) if cluster.table.shard_of(name).id not in here]:
            cluster.table.put(name)
        assert (await cluster.leader.wait(NAME, [], 60)).verdict is Verdict.SETTLED
        assert lands_at
        assert max(lands_at.values()) <= anyio.current_time()
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [2, 2], "given away again"


@in_virtual_time
async def test_one_that_is_stopped_while_it_takes_over_ends() -> None:
    """At once: nothing was begun, and whoever stops it waits."""
    cluster = Cluster()
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        successor = cluster.replicas["b"]
        acquire = successor.store.acquire_lease

        async def acquire_slowly(owner: str, duration_s: float) -> float:
            left_s = await acquire(owner, duration_s)
            if left_s <= 0:
                successor.daemon.stop()
            return left_s

        successor.store.acquire_lease = acquire_slowly  # type: ignore[method-assign]  # a takeover that takes its time
        cluster.replicas["a"].kill()
        await anyio.sleep(LIMITS.lease_s + 0.5)
        assert not cluster.replicas
        assert not successor.leads
        assert await cluster.place.lease_left_s() <= 0

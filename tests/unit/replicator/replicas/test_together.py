"""Promises of several replicas: the work is shared evenly, and nobody's end, whatever kind it is, loses or undoes
anything. All the while the watermark is held against the truth.
"""

from functools import partial

import anyio
import pytest
from structlog.testing import capture_logs

from fakes.cluster import NAME, SOON_S, Cluster
from fakes.daemons import LIMITS
from fakes.records import key_of
from fakes.rig import faulty, load, work
from fakes.virtual import in_virtual_time
from replicator.engine.verdict import Result, load_verdict
from replicator.errors import UnreachableError
from replicator.model import Rejection
from replicator.telemetry.pipeline import REPORT_AFTER_FAILURES

SEEDS = range(6)


@in_virtual_time
async def test_partitions_are_spread_evenly_when_replicas_come_and_go() -> None:
    cluster = Cluster(shards=6)
    load(cluster)
    async with cluster.running("a"):
        await cluster.converged()
        assert cluster.counts() == [6]
        await cluster.start("b")
        assert cluster.counts() == [3, 3]
        await cluster.start("c")
        assert cluster.counts() == [2, 2, 2]
        await work(cluster, 20, splits=False)
        cluster.replicas["b"].daemon.stop()
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [3, 3]
        cluster.replicas["c"].kill()
        await work(cluster, 20, splits=False)
        await anyio.sleep(2 * LIMITS.lease_s)
        assert cluster.counts() == [6]
        await cluster.converged()


@in_virtual_time
async def test_one_of_the_others_leads_when_the_leader_is_killed() -> None:
    cluster = Cluster()
    load(cluster)
    async with cluster.running("a", "b", "c"):
        await work(cluster, 20, splits=False)
        cluster.replicas["a"].kill()
        await anyio.sleep(LIMITS.lease_s + SOON_S)
        assert cluster.counts() == [2, 2]
        await cluster.converged()


@in_virtual_time
async def test_replicas_that_do_not_reach_each_other_stand_by() -> None:
    """As in Azure Container Apps: one works, and another one takes over, for as often as that is needed."""
    cluster = Cluster(apart=True)
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        assert cluster.counts() == [4]
        cluster.replicas["a"].kill()
        await anyio.sleep(LIMITS.lease_s + SOON_S)
        assert cluster.replicas["b"].leads
        await cluster.start("c")
        await work(cluster, 20, splits=False)
        await cluster.converged()
        cluster.replicas["b"].daemon.stop()
        await anyio.sleep(SOON_S)
        assert cluster.replicas["c"].leads
        await cluster.converged()


@in_virtual_time
async def test_a_replica_with_another_config_waits_for_its_leader_s_end_and_says_why_once() -> None:
    """As during a rollout, for as long as that takes."""
    cluster = Cluster()
    load(cluster)
    async with cluster.running("a", "b"):
        with capture_logs() as logs:
            await cluster.start("new", migration="renamed")
            await anyio.sleep(60)
        assert [line["reason"] for line in logs if line["event"] == "the leader refuses this replica"] == [
            "another version, or another config"
        ]
        assert cluster.counts() == [2, 2]
        cluster.replicas["b"].daemon.stop()
        await anyio.sleep(SOON_S)
        with capture_logs() as logs:
            cluster.replicas["a"].daemon.stop()
            await anyio.sleep(SOON_S)
            assert cluster.replicas["new"].leads
            await cluster.start("old")
            await anyio.sleep(SOON_S)
        assert [line["event"] for line in logs].count("the leader refuses this replica") == 1
        assert cluster.counts() == [4]
        await cluster.converged()


async def trouble(cluster: Cluster, times: int) -> None:
    """Replicas come, are killed, are stopped, stand still, or are cut off."""
    for number in range(times):
        await anyio.sleep(cluster.rng.uniform(0, 6))
        if len(cluster.replicas) < 2 or cluster.rng.random() < 0.3:
            await cluster.start(f"later-{number}")
            continue
        replica = cluster.rng.choice(list(cluster.replicas.values()))
        match cluster.rng.choice(["kill", "stop", "still", "cut"]):
            case "kill":
                replica.kill()
            case "stop":
                replica.daemon.stop()
            case "still":
                await replica.stand_still(cluster.rng.uniform(0, 2 * LIMITS.lease_s))
            case _:
                await replica.host.cut()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_becomes_of_them_they_converge_and_never_go_backwards(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        cluster = Cluster(shards=3, seed=seed)
        load(cluster)
        cluster.service.fate = faulty(cluster.rng, share=0.15)
        async with cluster.running("a", "b", "c"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work, cluster, 200)
                await trouble(cluster, 12)
            if not cluster.replicas:
                await cluster.start("last")
            await cluster.converged()

    run()


@in_virtual_time
async def test_together_they_take_no_more_than_one_may() -> None:
    """Each gets a part of the budgets, of what an operator says meanwhile too, and all of it when it is alone again."""
    cluster = Cluster(shards=4)
    async with cluster.running("a", "b"):
        await cluster.converged()
        assert cluster.leader is not None
        most = cluster.leader.control(NAME).budgets.concurrency
        assert most is not None
        assert cluster.limits() == [(most // 2, None)] * 2
        await cluster.leader.control(NAME).limit({"concurrency": 10, "target_units": 500.0})
        await anyio.sleep(SOON_S)
        assert cluster.limits() == [(5, 250.0)] * 2
        cluster.replicas["b"].kill()
        await anyio.sleep(SOON_S)
        assert cluster.limits() == [(10, 500.0)]


@in_virtual_time
async def test_a_side_that_failed_a_member_is_not_told_of_when_nothing_runs_there_any_more() -> None:
    """No call of it would ever succeed, and the migration never be ready again."""
    cluster = Cluster(shards=4)
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        assert cluster.leader is not None
        _, member = cluster.place.telemetries
        for _ in range(REPORT_AFTER_FAILURES):
            member.source_failed(UnreachableError("nobody answers"))
        await anyio.sleep(SOON_S)
        assert list(cluster.leader.statuses[NAME].degraded) == ["source"]
        assert cluster.degraded("b") == 1
        await cluster.leader.control(NAME).pause()
        await anyio.sleep(SOON_S)
        assert cluster.leader.statuses[NAME].degraded == {}
        assert cluster.degraded("b") == 0


@in_virtual_time
async def test_a_side_that_failed_a_member_is_not_told_of_when_it_works_for_nobody_any_more() -> None:
    cluster = Cluster(shards=4)
    load(cluster)
    async with cluster.running("a", "b"):
        await cluster.converged()
        _, member = cluster.place.telemetries
        for _ in range(REPORT_AFTER_FAILURES):
            member.source_failed(UnreachableError("nobody answers"))
        cluster.replicas["a"].kill()
        await anyio.sleep(1)
        assert cluster.leader is None
        assert cluster.degraded("b") == 0


async def mend(cluster: Cluster, times: int) -> None:
    """Dead letters are taken up again wherever their partitions run."""
    for _ in range(times):
        await anyio.sleep(cluster.rng.uniform(0, 2))
        keys = [key_of(f"n{n}") for n in cluster.rng.sample(range(10), 3)]
        if cluster.leader is not None:
            rejections = [Rejection(key, "whatever") for key in keys]
            await cluster.place.store.beside().add_dead_letters(NAME, "test", rejections)
            await cluster.leader.retry(NAME, keys)


@pytest.mark.parametrize("seed", SEEDS)
def test_records_that_are_mended_meanwhile_do_not_go_backwards(seed: int) -> None:
    """What was mended is ahead of the stream: its partition must be with the leader, who knows."""

    @in_virtual_time
    async def run() -> None:
        cluster = Cluster(shards=3, seed=seed)
        load(cluster)
        cluster.service.fate = faulty(cluster.rng, share=0.15)
        async with cluster.running("a", "b", "c"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work, cluster, 150)
                await cluster.followed()
                await mend(cluster, 15)
            await cluster.converged()
            with anyio.fail_after(300):
                while max(cluster.counts()) - min(cluster.counts()) > 1:  # noqa: ASYNC110 — it is only looked at
                    await anyio.sleep(1)

    run()


@in_virtual_time
async def test_a_change_after_the_fence_is_noticed_wherever_its_partition_ran() -> None:
    cluster = Cluster(shards=6)
    load(cluster)
    async with cluster.running("a", "b", "c"):
        await cluster.converged()
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [2, 2, 2]
        assert cluster.leader is not None
        await cluster.leader.drain([NAME])
        assert cluster.counts() == [0, 0, 6]
        await anyio.sleep(SOON_S)
        for number in range(6):
            cluster.table.put(f"n{number}")
        await anyio.sleep(SOON_S)
        drain = cluster.leader.drains()[NAME]
        assert drain is not None
        assert drain.late == 6
        await cluster.leader.follow_again([NAME])
        await anyio.sleep(SOON_S)
        assert cluster.counts() == [2, 2, 2]


@in_virtual_time
async def test_when_everything_was_copied_once_all_of_them_end() -> None:
    """Those that only helped find that it is over when they are asked to lead."""
    cluster = Cluster(once=True)
    load(cluster, 200)
    async with cluster.running("a", "b"):
        with anyio.fail_after(120):
            while cluster.replicas:  # noqa: ASYNC110 — it is only looked at
                await anyio.sleep(1)
        assert (await load_verdict(cluster.place.store.beside(), NAME)).result is Result.EQUAL


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bucket_whose_copy_is_shared_converges(seed: int) -> None:
    """Ranges are copied by any of them beside the events, which the leader receives."""

    @in_virtual_time
    async def run() -> None:
        cluster = Cluster(seed=seed).of_a_bucket()
        load(cluster, 200)
        cluster.service.fate = faulty(cluster.rng, share=0.15)
        async with cluster.running("a", "b", "c", within_s=0.5):
            await anyio.sleep(2)
            assert min(cluster.counts()) > 0, "each copies some of it"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(work, cluster, 100, splits=False))
                await trouble(cluster, 6)
            if not cluster.replicas:
                await cluster.start("last")
            await cluster.converged()

    run()

"""Promises 1 to 4 against a target and a source that misbehave in every way the fault proxy knows."""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Answer, CutAfter, CutBefore, Delay, FaultProxy, HoldDelivery
from sandbox.workload import Writer, seed
from scenarios.migration import running
from scenarios.world import world

DOCUMENTS = "/docs"

WRITES = ("POST", "PUT", "DELETE")

Storm = Callable[[FaultProxy], None]


def throttling(proxy: FaultProxy) -> None:
    """Most requests are told to come back later."""
    headers = {"x-ms-retry-after-ms": "10", "x-ms-substatus": "3200"}
    proxy.inject(Answer(status=429, headers=headers, body="{}"), path=DOCUMENTS, probability=0.5)


def retry_with(proxy: FaultProxy) -> None:
    """449 wants a random pause."""
    proxy.inject(Answer(status=449, body="{}"), path=DOCUMENTS, probability=0.4)


def unavailable(proxy: FaultProxy) -> None:
    """503 may or may not have taken effect."""
    proxy.inject(Answer(status=503, body="{}"), path=DOCUMENTS, probability=0.2)


def cut_before(proxy: FaultProxy) -> None:
    """The connection breaks before the request is delivered."""
    proxy.inject(CutBefore(), path=DOCUMENTS, probability=0.1)


def cut_after(proxy: FaultProxy) -> None:
    """The write takes effect, its answer is lost."""
    for method in WRITES:
        proxy.inject(CutAfter(), path=DOCUMENTS, method=method, probability=0.1)


def delivered_late(proxy: FaultProxy) -> None:
    """A write lands a second after its connection broke, after later ones were sent."""
    for method in WRITES:
        proxy.inject(HoldDelivery(seconds=1.0), path=DOCUMENTS, method=method, probability=0.1)


def slow(proxy: FaultProxy) -> None:
    """Some requests outlive their time-out and still take effect."""
    proxy.inject(Delay(seconds=1.2), path=DOCUMENTS, probability=0.05)


@pytest.mark.parametrize(
    "storm",
    [throttling, retry_with, unavailable, cut_before, cut_after, delivered_late, slow],
    ids=lambda s: s.__name__,
)
async def test_a_misbehaving_target_costs_time_and_nothing_else(aws: AwsServer, tmp_path: Path, storm: Storm) -> None:
    """During copy and following: no loss, nothing backwards, lag recovers, and requests do not pile up."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 300)
        writer = Writer(w.dynamodb, w.table, space="w", keys=40, rate_per_s=60)
        storm(w.target_proxy)
        async with anyio.create_task_group() as tasks, running(w.daemon()) as daemon:
            tasks.start_soon(writer.run)
            await daemon.until(lambda s: s["phase"] == "following")
            w.watch()
            w.observer.begin()
            await anyio.sleep(3)
            writer.stop()
            w.target_proxy.lift_all()
            await daemon.caught_up(time.time())
            await w.target_proxy.settled()
        await w.assert_equal()
        assert w.target_proxy.counters.struck.total() > 10, "the storm must have been felt"
        assert w.target_proxy.counters.peak_requests_per_s < 1500


async def test_a_source_that_throttles_and_fails_is_waited_for(aws: AwsServer, tmp_path: Path) -> None:
    """Scans and stream reads alike."""
    throttled = '{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "x"}'
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 300)
        w.source_proxy.inject(
            Answer(status=400, body=throttled), headers={"X-Amz-Target": "Scan|GetRecords"}, probability=0.3
        )
        w.source_proxy.inject(CutBefore(), headers={"X-Amz-Target": "Scan|GetRecords"}, probability=0.1)
        w.source_proxy.inject(
            Answer(status=500, body="{}"), headers={"X-Amz-Target": "Describe"}, skip=6, probability=0.3
        )
        async with running(w.daemon()) as daemon:
            await Writer(w.dynamodb, w.table, space="w", rate_per_s=60).run(for_s=3)
            await daemon.caught_up(time.time())
        await w.assert_equal()
        assert w.source_proxy.counters.struck.total() > 3


async def test_an_outage_of_the_target_is_seen_and_survived(aws: AwsServer, tmp_path: Path) -> None:
    """Degraded while it lasts, lag grows honestly, nothing is lost, and it heals by itself."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 200)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            w.watch()
            w.observer.begin()
            w.target_proxy.refuse()
            writer = Writer(w.dynamodb, w.table, space="w", rate_per_s=100)
            await writer.run(for_s=2)
            down = await daemon.until(lambda s: "target" in s["degraded"])
            written = time.time()
            assert down["problems"]
            code, _ = await daemon.get("/readyz")
            assert code == 503
            lagging = await daemon.until(lambda s: (s["lag_s"] or 0) > 3)
            assert lagging["replicated_through"] is not None
            w.target_proxy.accept()
            await daemon.caught_up(written)
            await daemon.until(lambda s: not s["problems"])
            code, _ = await daemon.get("/readyz")
            assert code == 200
        await w.assert_equal()

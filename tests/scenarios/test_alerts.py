"""Promise: what happens to a running daemon makes the alerts fire in a real Prometheus, and its end clears them.

The rules are those of `deploy/prometheus`, but for `for`, which is left out, and for alerts whose windows are minutes
long: those are played through by promtool (tests/unit/deploy).
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from sandbox.aws import AwsServer
from scenarios.migration import Daemon, running
from scenarios.prometheus import Prometheus, prometheus
from scenarios.world import CONTAINER, DATABASE, World, world

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules"

OF_MINUTES = {
    "ReplicatorLagGrowing",
    "ReplicatorStalled",
    "ReplicatorCopyStalled",
    "ReplicatorTargetThrottled",
    "ReplicatorSourceThrottled",
}

UNHOLDABLE = {"customer": {"S": "poison"}, "order_id": {"S": "o"}, "text": {"S": "\x01" * 390_000}}
"""Below DynamoDB's 400 KB, above Cosmos DB's 2 MB: JSON writes a control character in six bytes."""

# That takes 2.3 MB of JSON on its way into the table, which aiohttp remarks on.
pytestmark = [
    pytest.mark.slow,  # two times half a minute, for what promtool plays through in the unit tests
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]


def rules() -> list[dict[str, Any]]:
    """Recordings and alerts in one group, so that they follow each other, and firing at once."""
    groups = [yaml.safe_load((RULES / name).read_text())["groups"] for name in ("recording.yaml", "alerts.yaml")]
    together = [rule for (group,) in groups for rule in group["rules"] if rule.get("alert") not in OF_MINUTES]
    for rule in together:
        rule.pop("for", None)
    return [{"name": "replicator", "rules": together}]


@asynccontextmanager
async def watched(aws: AwsServer, folder: Path) -> AsyncIterator[tuple[World, Daemon, Prometheus]]:
    """A daemon that is ready for the cutover, and a Prometheus that scrapes it. Nothing fires."""
    async with world(aws, folder) as w, prometheus(folder, w.http, rules()) as p:
        w.config["pipelines"]["orders"] |= {
            "watch_interval_s": 0.5,
            "cutover": {"waive": {"verification": "not what this is about"}},
        }
        w.write_config(cutover={"steady_s": 0.5, "max_lag_s": 30})
        async with running(w.daemon()) as daemon:
            p.scrape(daemon.url)
            await ready(p)
            yield w, daemon, p


async def test_alerts_fire_and_clear_with_what_happens_to_a_daemon(aws: AwsServer, tmp_path: Path) -> None:
    async with watched(aws, tmp_path) as (w, daemon, p):
        await foreign_write(p, w)
        await dead_letter(p, w, daemon)
        await outage(p, w)
        await late_write(p, w, daemon)
        await pause(p, daemon)


async def test_a_dead_daemon_is_missed_and_its_lag_grows(aws: AwsServer, tmp_path: Path) -> None:
    """What was heard last is told on, until it is back."""
    async with watched(aws, tmp_path) as (_, daemon, p):
        await daemon.kill()
        await fires(p, "ReplicatorAbsent", "ReplicatorReplicaLost")
        before, began = await lag_s(p), time.monotonic()
        await anyio.sleep(2)  # what is measured: a lag that grows by as much
        assert await lag_s(p) - before == pytest.approx(time.monotonic() - began, abs=1.1)
        await daemon.start()
        p.scrape(daemon.url)
        await cleared(p)


async def ready(p: Prometheus) -> None:
    """Nothing fires at rest."""
    await p.holds("replicator_cutover_ready == 1")
    await cleared(p)


async def cleared(p: Prometheus) -> None:
    await p.until(lambda firing: not firing)


async def fires(p: Prometheus, *names: str) -> None:
    """These at least: what hinders a migration costs it its readiness too."""
    await p.until(lambda firing: firing >= set(names))


async def foreign_write(p: Prometheus, w: World) -> None:
    async with w.stranger() as client:
        container = client.get_database_client(DATABASE).get_container_client(CONTAINER)
        await container.upsert_item({"id": "stranger", "customer": "nobody"})
        await fires(p, "ReplicatorForeignRecords", "ReplicatorReadinessLost")
        await container.delete_item("stranger", "nobody")
        await cleared(p)


async def dead_letter(p: Prometheus, w: World, daemon: Daemon) -> None:
    await w.dynamodb.put_item(TableName=w.table, Item=UNHOLDABLE)
    await fires(p, "ReplicatorDeadLetters", "ReplicatorReadinessLost")
    keys = list(await daemon.dead_letters())
    code, _ = await daemon.post("/v1/dead-letters/discard", {"pipeline": "orders", "keys": keys, "reason": "a test"})
    assert code == 200
    await cleared(p)


async def outage(p: Prometheus, w: World) -> None:
    w.target_proxy.refuse()
    await w.dynamodb.put_item(TableName=w.table, Item={"customer": {"S": "c"}, "order_id": {"S": "o"}})
    await fires(p, "ReplicatorDegraded")
    w.target_proxy.accept()
    await cleared(p)


async def late_write(p: Prometheus, w: World, daemon: Daemon) -> None:
    await daemon.post("/v1/cutover/drain", {})
    await daemon.until(lambda s: s["phase"] == "draining")
    await anyio.sleep(1.1)  # DynamoDB rounds times down to a second: a write within the fence's own is not counted
    await w.dynamodb.put_item(TableName=w.table, Item={"customer": {"S": "c"}, "order_id": {"S": "late"}})
    await fires(p, "ReplicatorLateWrites")
    await daemon.post("/v1/cutover/abort", {})
    await cleared(p)


async def pause(p: Prometheus, daemon: Daemon) -> None:
    await daemon.post("/v1/pipelines/orders/pause", {})
    await fires(p, "ReplicatorPaused")
    await daemon.post("/v1/pipelines/orders/resume", {})
    await cleared(p)


async def lag_s(p: Prometheus) -> float:
    (heard,) = await p.query("pipeline:replicator_lag_seconds:heard")
    return heard.value

"""Verification of a daemon that runs, over a table and a bucket that are written to: it finds exactly what was planted,
whatever becomes of the daemon meanwhile, and mends it.
"""

import json
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient

from connectors.azure.blob.label import LabelRules
from connectors.azure.blob.label import found as found_label
from connectors.azure.blob.metadata import RESERVED
from sandbox.aws import AwsServer
from sandbox.processes import replicator_program
from sandbox.workload import Writer, seed, seed_bucket
from sandbox.workload.orders import order
from scenarios.bucket_world import BucketWorld, bucket_world
from scenarios.migration import UNASKED, Daemon, Migration, config_of, running
from scenarios.world import CONTAINER, DATABASE, World, world

PATIENT = {"request_timeout_s": 20, "request_lifetime_s": 25, "lease_s": 60}
"""The local Cosmos DB goes through all documents for one page of a query."""

SLOWLY = 40
"""Records per second: a round takes seconds, so that a daemon can be ended in its middle."""


@dataclass
class Both:
    """A table and a bucket in one migration."""

    table: World
    bucket: BucketWorld
    migration: Migration

    async def verify(self, daemon: Daemon, expect: int, *options: str) -> dict[str, dict[str, Any]]:
        """What the command prints, by pipeline."""
        log = self.migration.folder / "verify.log"
        log.unlink(missing_ok=True)
        async with replicator_program(
            log, "verify", "--json", "--url", daemon.url, *options, environment=self.migration.environment
        ) as program:
            code, text = await program.wait(900), program.text()
        assert code == expect, text
        found: dict[str, dict[str, Any]] = json.loads(text.splitlines()[-1])["pipelines"]
        return found

    @asynccontextmanager
    async def written_to(self) -> AsyncIterator[None]:
        """Both sources, all the while."""
        orders = Writer(self.table.dynamodb, self.table.table, space="live", keys=40, rate_per_s=15)
        media = self.bucket.writer("live", keys=20, rate_per_s=3)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.run)
            tasks.start_soon(media.run)
            yield
            orders.stop()
            media.stop()
        assert orders.counts.operations > 50
        assert media.counts.operations > 10

    async def following(self, daemon: Daemon, within_s: float = 120) -> None:
        """Once both pipelines have copied everything."""
        with anyio.fail_after(within_s):
            while True:
                _, told = await daemon.get("/v1/status")
                stages = [(p["phase"], p["copy_stage"]) for p in told["pipelines"].values()]
                if stages == [("following", "swept")] * 2:
                    return
                await anyio.sleep(0.1)


@asynccontextmanager
async def both(
    aws: AwsServer,
    folder: Path,
    *,
    items: int,
    objects: int,
    records_per_s: float,
    limits: Mapping[str, float] | None = None,
) -> AsyncIterator[Both]:
    """A filled table and a filled bucket, and one config for them."""
    for name in ("table", "bucket"):
        (folder / name).mkdir()
    async with world(aws, folder / "table") as table, _bucket(aws, folder) as bucket:
        await _seed(table, items)
        for key, held in (await seed_bucket(bucket.s3, bucket.bucket, objects, large_bytes=100_000)).items():
            bucket.written[key].add((held.size, held.md5))
        pipelines = {**table.config["pipelines"], **bucket.config["pipelines"]}
        rate = {**UNASKED, "records_per_s": records_per_s}
        config = config_of({name: {**pipeline, "verification": rate} for name, pipeline in pipelines.items()}, limits)
        environment = {**table.environment, **bucket.environment}
        migration = Migration(folder, table.http, config, environment)
        migration.write_config()
        yield Both(table, bucket, migration)


async def _seed(w: World, items: int) -> None:
    """Ordinary ones alone where there are few."""
    if items > 1000:
        await seed(w.dynamodb, w.table, items)
        return
    chance = random.Random(0)
    for number in range(items):
        item = order(chance, (f"customer-{number // 8:06d}", f"order-{number:08d}"), 1)
        await w.dynamodb.put_item(TableName=w.table, Item=item)


def _bucket(aws: AwsServer, folder: Path) -> AbstractAsyncContextManager[BucketWorld]:
    """Its watermark comes from comparing listings: what notifications alone prove takes minutes."""
    return bucket_world(aws, folder / "bucket", source={"relist_interval_s": 1})


@asynccontextmanager
async def container_of(w: World) -> AsyncIterator[ContainerProxy]:
    """As an application would write it, which nobody but the daemon may."""
    transport = AioHttpTransport(use_env_settings=False)
    async with CosmosClient(
        w.cosmos.endpoint, w.cosmos.key, transport=transport, enable_endpoint_discovery=False
    ) as client:
        yield client.get_database_client(DATABASE).get_container_client(CONTAINER)


async def plant(w: Both) -> dict[str, set[tuple[str, str]]]:
    """One attribute, one metadata value, one tag, one extra and one missing record. Returns kind and key of each.

    Metadata and tags are changed in a way that no comparison of listings notices: with a digest that fits, and at the
    source without an event.
    """
    documents = [d for d in w.table.documents() if str(d["customer"]).startswith("customer-")]
    changed, removed, copied = documents[:3]
    async with container_of(w.table) as container:
        await container.replace_item(changed["id"], {**changed, "status": "planted"})
        await container.delete_item(removed["id"], removed["customer"])
        order_id = "order-planted"
        extra = {**copied, "id": copied["id"].replace(copied["order_id"], order_id), "order_id": order_id}
        await container.create_item(extra)
    blobs = [b async for b in w.bucket.container.list_blobs(include=["metadata", "tags"])]
    still = [b for b in blobs if not b.name.startswith("live")]
    labelled = next(b for b in still if any(not name.startswith(RESERVED) for name in b.metadata))
    tagged = next(b for b in still if b.name != labelled.name)
    label = found_label(labelled, labelled.tags, LabelRules())
    name = next(name for name in label.label.metadata if not name.startswith(RESERVED))
    planted = replace(label.label, metadata={**label.label.metadata, name: "planted"})
    await w.bucket.container.get_blob_client(labelled.name).set_blob_metadata(planted.options(label.md5)["metadata"])
    tagging = {"TagSet": [{"Key": "planted", "Value": "1"}]}
    await w.bucket.s3.put_object_tagging(Bucket=w.bucket.bucket, Key=tagged.name, Tagging=tagging)
    return {
        "orders": {
            ("different", _key(changed)), ("missing", _key(removed)), ("extra", _key(extra))
        },
        "media": {("different", labelled.name), ("different", tagged.name)},
    }  # fmt: skip


def _key(document: dict[str, Any]) -> str:
    return json.dumps(
        {name: document[name] for name in ("customer", "order_id")}, ensure_ascii=False, separators=(",", ":")
    )


def named(found: dict[str, dict[str, Any]]) -> dict[str, set[tuple[str, str]]]:
    """Kind and key of what was found, apart from what writers kept changing."""
    return {
        pipeline: {(f["kind"], f["key"]) for f in round_["findings"] if f["kind"] != "unsettled"}
        for pipeline, round_ in found.items()
    }


@pytest.mark.timeout(600)
async def test_beside_writers_and_restarts_exactly_what_was_planted_is_found_and_mended(
    aws: AwsServer, tmp_path: Path
) -> None:
    async with both(aws, tmp_path, items=60, objects=40, records_per_s=SLOWLY) as w:
        await _found_and_mended(w, 60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_one_attribute_in_many_items(aws: AwsServer, tmp_path: Path) -> None:
    """200,000 of them."""
    async with both(aws, tmp_path, items=200_000, objects=300, records_per_s=5000, limits=PATIENT) as w:
        await _found_and_mended(w, 200_000)


async def _found_and_mended(w: Both, items: int) -> None:
    async with running(w.migration.daemon()) as daemon, w.written_to():
        await w.following(daemon, 60 + items / 100)
        w.table.watch()
        w.table.observer.begin()
        planted = await plant(w)
        await _interrupted(daemon)
        await w.following(daemon)
        found = await w.verify(daemon, 1)
        assert named(found) == planted
        assert found["orders"]["compared"] > items
        found = await w.verify(daemon, 0, "--repair")
        assert named(found) == planted
        assert all(f["repaired"] for round_ in found.values() for f in round_["findings"])
        await _nothing_differs(daemon)
        assert await daemon.metric("replicator_verification_clean_timestamp_seconds", pipeline="orders") > 0
    missing = next(key for kind, key in planted["orders"] if kind == "missing")
    customer = json.loads(missing)["customer"]
    assert [v for v in w.table.observer.violations if customer not in v] == [], "repair and writers go forward only"


async def _nothing_differs(daemon: Daemon) -> None:
    """By the status, which is taken at intervals and may be from before a round's end."""
    with anyio.fail_after(60):
        while True:
            _, status = await daemon.get("/v1/status")
            if all(p["verification"]["differences"] == 0 for p in status["pipelines"].values()):
                return
            await anyio.sleep(0.1)


async def _interrupted(daemon: Daemon) -> None:
    """A round that is ended in its middle by a stop and by a kill goes on each time."""
    _, answer = await daemon.post("/v1/verification", {})
    began = {name: found["began_at"] for name, found in answer["rounds"].items()}
    for kill in (False, True):
        await _compared(daemon, began)
        if kill:
            await daemon.kill()
        else:
            daemon.program.send(signal.SIGTERM)
            await daemon.program.wait()
        await daemon.start()


async def _compared(daemon: Daemon, began: dict[str, str]) -> None:
    """Once this daemon goes on with these rounds; none of them may have ended."""
    before: int | None = None
    until = time.monotonic() + 90
    while time.monotonic() < until:
        _, told = await daemon.get("/v1/verification")
        rounds = {name: found for name, found in told["rounds"].items() if found}
        if rounds.keys() == began.keys():
            assert {name: found["began_at"] for name, found in rounds.items()} == began
            assert rounds["orders"]["running"]
            done = rounds["orders"]["compared"]
            if before is not None and done > before:
                return
            before = done
        await anyio.sleep(0.2)
    raise AssertionError(f"nothing more was compared: {daemon.program.tail()}")

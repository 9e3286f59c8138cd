"""Promise: what somebody else writes to a target is named within one scan, and stands against a cutover."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from sandbox.aws import AwsServer
from scenarios.bucket_world import bucket_world
from scenarios.migration import Daemon, Migration, running
from scenarios.world import CONTAINER, DATABASE, world

SCAN_S = 1.0


@dataclass
class Written:
    """A migration of one pipeline, and somebody else who writes to its target; `name` is what that is told by."""

    migration: Migration
    pipeline: str
    name: str
    write: Callable[[], Awaitable[Any]]
    remove: Callable[[], Awaitable[Any]]


@asynccontextmanager
async def table(aws: AwsServer, folder: Path) -> AsyncIterator[Written]:
    async with world(aws, folder) as w:
        await w.dynamodb.put_item(TableName=w.table, Item={"customer": {"S": "c"}, "order_id": {"S": "o"}})
        async with w.stranger() as client:
            container = client.get_database_client(DATABASE).get_container_client(CONTAINER)
            document = {"id": "stranger", "customer": "nobody"}
            yield Written(
                w,
                "orders",
                "stranger",
                lambda: container.upsert_item(document),
                lambda: container.delete_item("stranger", "nobody"),
            )


@asynccontextmanager
async def bucket(aws: AwsServer, folder: Path) -> AsyncIterator[Written]:
    async with bucket_world(aws, folder, source={"relist_interval_s": 1}) as w:
        await w.put("ours", b"ours")
        blob = w.container.get_blob_client("stranger")
        yield Written(w, "media", "stranger", lambda: blob.upload_blob(b"theirs", overwrite=True), blob.delete_blob)


@pytest.mark.parametrize("make", [table, bucket])
async def test_a_foreign_write_is_named_within_one_scan_and_blocks_readiness(
    aws: AwsServer, tmp_path: Path, make: Any
) -> None:
    async with make(aws, tmp_path) as w:
        w.migration.config["pipelines"][w.pipeline] |= {"watch_interval_s": SCAN_S, "cutover": {"waive": {}}}
        w.migration.write_config()
        async with running(w.migration.daemon()) as daemon:
            await daemon.until(lambda status: status["phase"] == "following")
            await _check(daemon, w.pipeline, "pass")
            await w.write()
            await _check(daemon, w.pipeline, "fail")
            assert await daemon.metric("replicator_foreign_records", pipeline=w.pipeline) == 1
            _, judged = await daemon.get("/v1/cutover")
            assert not judged["ready"]
            await w.remove()
            await _check(daemon, w.pipeline, "pass")
    named = [event for event in daemon.events() if event["event"] == "the target holds records that are not ours"]
    assert len(named) == 1
    assert w.name in str(named[0]["first"])


async def _check(daemon: Daemon, pipeline: str, outcome: str) -> None:
    """Once readiness says so of foreign writes: within one scan, with room for a slow machine."""
    found: Any = None
    with anyio.move_on_after(30):
        while True:
            _, judged = await daemon.get("/v1/cutover")
            found = {check["name"]: check for check in judged["pipelines"][pipeline]["checks"]}["foreign"]
            if found["outcome"] == outcome:
                return
            await anyio.sleep(0.1)
    raise AssertionError(f"not {outcome}: {found}")

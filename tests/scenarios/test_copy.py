"""Promise: what is deleted while the copy runs stays deleted, and the copy leaves nothing of its own behind."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from sandbox.aws import AwsServer
from sandbox.cosmos.feeds import Change
from sandbox.faults import HoldDelivery, Stall
from sandbox.workload import seed
from scenarios.migration import DEADLINE_S, running
from scenarios.world import CONTAINER, DATABASE, World, world


def order(number: int, **more: dict[str, str]) -> dict[str, dict[str, str]]:
    """One item of a customer."""
    return {"customer": {"S": "c"}, "order_id": {"S": f"o{number}"}, "version": {"N": "1"}, **more}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    """Its key attributes."""
    return {name: item[name] for name in ("customer", "order_id")}


async def test_a_late_copied_row_does_not_bring_a_deleted_record_back(aws: AwsServer, tmp_path: Path) -> None:
    """The rows are read, then deleted at the source; their writes reach the target only after the deletes did."""
    async with world(aws, tmp_path, source={"segments": 1}) as w:
        items = [order(n) for n in range(20)]
        for item in items:
            await w.dynamodb.put_item(TableName=w.table, Item=item)
        # Only the copy's writes are creations; the stream's are upserts and go through.
        late = w.target_proxy.inject(HoldDelivery(seconds=None), path="/docs", body='"operationType":"Create"')
        alone = w.target_proxy.inject(
            HoldDelivery(seconds=None),
            path="/colls/orders/docs$",
            method="POST",
            headers={"x-ms-documentdb-is-upsert": "False"},
        )
        async with running(w.daemon()) as daemon:
            with anyio.fail_after(DEADLINE_S):
                await late.wait_for_hits(1)
            w.watch()
            w.observer.begin()
            for item in items[:10]:
                await w.dynamodb.delete_item(TableName=w.table, Key=key_of(item))
            await _until_tombstones(w, 10)
            late.lift()
            alone.lift()
            w.target_proxy.release()
            await daemon.caught_up(time.time())
        found = await w.assert_equal()
        assert found.equal == 10


async def _until_tombstones(w: World, count: int) -> None:
    """Until the deletes are at the target, as tombstones."""
    with anyio.fail_after(DEADLINE_S):
        while len([d for d in w.documents() if d["_replicator"].get("deleted")]) < count:  # noqa: ASYNC110 — another process
            await anyio.sleep(0.05)


async def test_no_record_expires_while_a_late_row_could_bring_it_back(aws: AwsServer, tmp_path: Path) -> None:
    """Expiry is held off until the copy is done, then it is what the source says."""
    async with world(aws, tmp_path, source={"segments": 1}, ttl_attribute="expires_at") as w:
        soon, later = int(time.time()) + 10, int(time.time()) + 86_400
        await w.dynamodb.put_item(TableName=w.table, Item=order(1, expires_at={"N": str(soon)}))
        await w.dynamodb.put_item(TableName=w.table, Item=order(2, expires_at={"N": str(later)}))
        stalled = w.source_proxy.inject(Stall(), headers={"X-Amz-Target": "Scan"})
        expired: list[str] = []
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["applied"] >= 2)
            _watch_expiries(w, expired)
            documents = {d["order_id"]: d for d in w.documents()}
            assert not any("ttl" in d for d in documents.values())
            await anyio.sleep(max(0.0, soon + 1 - time.time()))
            assert not expired, "a record expired while rows were still being copied"
            stalled.lift()
            await daemon.caught_up(time.time())
        remaining = {d["order_id"]: d for d in w.documents()}
        assert set(remaining) == {"o2"}
        assert later - time.time() - 60 < remaining["o2"]["ttl"] <= later - time.time() + 60
        await w.assert_equal()


def _watch_expiries(w: World, expired: list[str]) -> None:
    def watch(change: Change) -> None:
        if change.expired:
            expired.append(change.id)

    w.cosmos.account.container(DATABASE, CONTAINER).watchers.append(watch)


async def test_an_idle_table_keeps_its_watermark_moving(aws: AwsServer, tmp_path: Path) -> None:
    """Without a single write, replicated_through follows the clock at a bounded distance."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 50)
        async with running(w.daemon()) as daemon:
            first = await daemon.caught_up(time.time())
            begun = _instant(first["replicated_through"])
            far = begun + timedelta(seconds=3)
            second = await daemon.until(lambda s: _instant(s["replicated_through"]) > far and (s["lag_s"] or 9) < 5)
            assert _instant(second["replicated_through"]) < datetime.now(UTC)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)

"""Promises of planned downtime: one command copies tables, buckets and queues, compares both sides, writes the report
and says by its exit code how it went; wherever it was ended, it goes on when it is started again.
"""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.processes import Program
from sandbox.servicebus import Fault
from sandbox.workload.message_shapes import NewMessage
from scenarios.migration import DEADLINE_S, Daemon, run_command
from scenarios.once_world import ITEMS, OBJECTS, OnceWorld, once_world
from scenarios.queue_world import until

pytestmark = pytest.mark.timeout(600)


async def said(daemon: Daemon, event: str, **more: object) -> None:
    """Once its log says so."""
    wanted = {"event": event, **more}
    await until(lambda: any(wanted.items() <= found.items() for found in daemon.events()), f"{wanted} is not logged")


async def copied(daemon: Daemon, *names: str) -> None:
    """Once these pipelines are."""

    async def are() -> bool:
        _, told = await daemon.get("/v1/status")
        return all(told["pipelines"].get(name, {}).get("phase") == "copied" for name in names)

    await until(are, f"{names} are not copied")


async def ended(program: Program) -> int:
    with anyio.fail_after(DEADLINE_S):
        return await program.wait(DEADLINE_S)


async def test_wherever_it_is_killed_it_goes_on_and_comes_to_the_verdict_the_report_and_the_exit_code(
    aws: AwsServer, tmp_path: Path
) -> None:
    """In the copy, in the comparison, and just before the report is written."""
    async with once_world(aws, tmp_path) as w:
        daemon = w.daemon()
        await daemon.start()
        await said(daemon, "replicating")
        await daemon.kill()

        await daemon.start()
        await copied(daemon, "orders")
        w.table.source_proxy.pause()
        await said(daemon, "verification begins", pipeline="orders")
        await daemon.kill()
        w.table.source_proxy.resume()

        blocking = w.report / ".differences.json.unfinished"
        os.mkfifo(blocking)  # nobody reads it, so who opens it to write waits
        await daemon.start()
        await said(daemon, "stopped")
        assert not list(w.report.glob("report.*"))
        await daemon.kill()
        blocking.unlink()

        code, text = await run_command(w, "run")
        assert code == 0, text
        verdict = text.splitlines()[-1]
        assert verdict == f"EQUAL: everything is on the other side. Report: {w.report / 'report.html'}"
        assert f"orders: EQUAL, {ITEMS} records copied, {ITEMS} compared; as of" in text
        assert "jobs: EQUAL" in text
        await w.assert_everything_arrived()
        _assert_reported(w)


def _assert_reported(w: OnceWorld) -> None:
    report = json.loads((w.report / "report.json").read_text())
    assert report["strategy"] == "planned downtime"
    assert report["phase"] == "copied"
    compared = {name: p["verified"]["rounds"][-1]["compared"] for name, p in report["pipelines"].items()}
    assert compared == {"orders": ITEMS, "media": OBJECTS, "jobs": 0, "mail": 0}
    assert all(p["verified"]["rounds"][-1]["clean"] for p in report["pipelines"].values())
    assert "planned downtime" in (w.report / "report.html").read_text()
    assert not any(json.loads((w.report / "differences.json").read_text()).values())


async def test_who_writes_while_it_is_copied_is_found_out_and_repaired_when_that_is_asked_for(
    aws: AwsServer, tmp_path: Path
) -> None:
    """While the queues are still being received; what is sent then is no difference, it just comes along."""
    async with once_world(aws, tmp_path) as w:
        busy = w.queues.broker.faults.add(Fault(operation="send*", condition="com.microsoft:server-busy"))
        daemon = w.daemon()
        await daemon.start()
        await copied(daemon, "orders", "media")
        await _write(w)
        w.queues.broker.faults.remove(busy)
        assert await ended(daemon.program) == 1
        text = daemon.program.text()
        assert text.splitlines()[-1].startswith("NOT EQUAL: not everything is on the other side. Report: ")
        found = {
            name: {each["kind"] for each in findings}
            for name, findings in json.loads((w.report / "differences.json").read_text()).items()
        }
        assert found == {"orders": {"missing"}, "media": {"extra"}, "jobs": set(), "mail": set()}
        assert '  missing: {"customer":"new","order_id":"1"}\n' in text
        report = json.loads((w.report / "report.json").read_text())
        assert report["pipelines"]["orders"]["verified"]["rounds"][-1]["differences"] == 1

        code, text = await run_command(w, "run", "--repair", "--json", "--report", str(tmp_path / "evidence"))
        assert code == 0, text
        told: dict[str, Any] = json.loads(text.splitlines()[-1])
        assert (told["result"], told["exit_code"], told["report"]) == ("equal", 0, str(tmp_path / "evidence"))
        assert told["pipelines"]["orders"]["compared"] == ITEMS + 1
        assert (tmp_path / "evidence" / "report.html").exists()
        await w.assert_everything_arrived()


async def _write(w: OnceWorld) -> None:
    new = {"customer": {"S": "new"}, "order_id": {"S": "1"}, "version": {"N": "1"}}
    await w.table.dynamodb.put_item(TableName=w.table.table, Item=new)
    listed = await w.bucket.s3.list_objects_v2(Bucket=w.bucket.bucket, MaxKeys=1)
    await w.bucket.s3.delete_object(Bucket=w.bucket.bucket, Key=listed["Contents"][0]["Key"])
    await w.senders["mail"].send([NewMessage("late")])

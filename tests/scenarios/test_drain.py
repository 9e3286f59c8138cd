"""Promise: a drain ends, proven, when nobody writes any more, and otherwise says exactly why it does not."""

import time
from pathlib import Path

import anyio

from sandbox.aws import AwsServer
from sandbox.processes import replicator_program
from sandbox.workload import Writer
from sandbox.workload.message_shapes import NewMessage
from scenarios.bucket_world import bucket_world
from scenarios.migration import Daemon, Migration, running
from scenarios.queue_world import queue_world
from scenarios.world import world

DELAY_S = 6


async def drain(m: Migration, daemon: Daemon, expect: int, *options: str) -> str:
    """What the command prints."""
    log = m.folder / "drain.log"
    log.unlink(missing_ok=True)
    arguments = ("cutover", "drain", *options, "--url", daemon.url)
    async with replicator_program(log, *arguments, environment=m.environment) as program:
        code, text = await program.wait(90), program.text()
    assert code == expect, text
    return text


async def test_a_writer_that_has_not_stopped_is_named_and_one_that_has_is_proven(
    aws: AwsServer, tmp_path: Path
) -> None:
    """An item that expires meanwhile is no late write. A kill in the middle changes nothing."""
    async with world(aws, tmp_path) as w:
        table, expiry = w.table, {"AttributeName": "expires", "Enabled": True}
        await w.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
        soon = {"customer": {"S": "c"}, "order_id": {"S": "short"}, "expires": {"N": str(int(time.time()) + 4)}}
        async with running(w.daemon()) as daemon, anyio.create_task_group() as tasks:
            await daemon.until(lambda s: s["phase"] == "following" and s["copy_stage"] == "swept")
            await w.dynamodb.put_item(TableName=table, Item=soon)
            writer = Writer(w.dynamodb, table, space="live", keys=20, rate_per_s=20)
            tasks.start_soon(writer.run)
            said = await drain(w, daemon, 1, "--timeout", "6")
            assert "written after the fence" in said
            writer.stop()
            await anyio.sleep(1.5)
            assert "drained" in await drain(w, daemon, 0, "--timeout", "60")
            await daemon.kill()
            await daemon.start()
            status = await daemon.until(lambda s: s["phase"] == "draining" and s["drain"]["drained_at"] is not None)
            assert status["drain"]["late"] == 0
            await w.assert_equal()
            await daemon.post("/v1/cutover/abort", {})
            await daemon.until(lambda s: s["phase"] == "following" and s["drain"] is None)


async def test_what_is_written_after_the_seal_is_named_and_alarmed(aws: AwsServer, tmp_path: Path) -> None:
    """Also what was written while the daemon was down. The target is the application's from then on."""
    async with world(aws, tmp_path) as w:
        item = {"customer": {"S": "c"}, "order_id": {"S": "o1"}, "version": {"N": "1"}}
        await w.dynamodb.put_item(TableName=w.table, Item=item)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following" and s["copy_stage"] == "swept")
            status, _ = await daemon.post("/v1/cutover/seal", {})
            assert status == 409
            await drain(w, daemon, 0, "--timeout", "60")
            assert (await daemon.post("/v1/cutover/seal", {}))[0] == 200
            held = w.documents()
            await w.dynamodb.put_item(TableName=w.table, Item={**item, "version": {"N": "2"}})
            await daemon.until(lambda s: s["phase"] == "sealed" and s["drain"]["late"] == 1)
            assert (await daemon.get("/readyz"))[0] == 503
            await daemon.kill()
            await w.dynamodb.put_item(TableName=w.table, Item={**item, "order_id": {"S": "o2"}})
            await daemon.start()
            await daemon.until(lambda s: s["drain"]["late"] >= 2)
            _, told = await daemon.get("/v1/cutover/drain")
            assert [key for key in told["pipelines"]["orders"]["late_keys"] if "o2" in key]
            assert await daemon.metric("replicator_late_writes", pipeline="orders") >= 2
            assert w.documents() == held


async def test_an_upload_in_parts_that_is_open_is_in_the_way(aws: AwsServer, tmp_path: Path) -> None:
    """Not so long as the comparison takes, and not for the minutes by which notifications may be late."""
    async with bucket_world(aws, tmp_path, source={"relist_interval_s": 1}) as w:
        await w.put("whole", b"whole")
        upload = {"Bucket": w.bucket, "Key": "parts"}
        upload["UploadId"] = (await w.s3.create_multipart_upload(**upload))["UploadId"]
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            said = await drain(w, daemon, 1, "--timeout", "8")
            assert "media: 1 upload in parts not completed yet" in said
            await w.s3.abort_multipart_upload(**upload)
            await drain(w, daemon, 0, "--timeout", "60")
            await w.assert_equal()


async def test_a_held_queue_is_forwarded_when_it_is_released_and_delays_are_waited_out(
    aws: AwsServer, tmp_path: Path
) -> None:
    async with queue_world(aws, tmp_path, "mail", source={"consume": "hold"}) as w:
        sender = w.sender("mail", rate_per_s=1e9)
        await sender.run(operations=30)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            await sender.send([NewMessage(f"late {number}", delay_s=DELAY_S) for number in range(5)])
            said = await drain(w, daemon, 1, "--timeout", "3")
            assert "messages are held: release the queue" in said
            assert w.accepted("mail") == 0
            await drain(w, daemon, 0, "--release", "--timeout", "60")
            assert not any(await w.counts(w.queues["mail"].url))
            assert (await w.arrived("mail", sender.sent)).is_right

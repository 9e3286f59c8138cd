"""Promise: a gap in what the source recorded stops the pipeline and is named; repaired on request, never skipped."""

import time
from pathlib import Path

from sandbox.aws import AwsServer
from sandbox.workload import Writer, seed
from scenarios.migration import running
from scenarios.world import world

ON = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
OFF = {"StreamEnabled": False}


async def test_a_stream_that_is_turned_off_stops_the_pipeline_until_it_is_adopted(
    aws: AwsServer, tmp_path: Path
) -> None:
    """What was written while nothing was recorded is found by the repair."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 200)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            await w.dynamodb.update_table(TableName=w.table, StreamSpecification=OFF)
            failed = await daemon.until(lambda s: s["phase"] == "failed")
            assert "was turned off" in failed["failure"]
            assert "--adopt" in failed["failure"]
            code, _ = await daemon.get("/readyz")
            assert code == 503
            await Writer(w.dynamodb, w.table, space="unseen", rate_per_s=500).run(operations=100)
            await daemon.program.stop()
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification=ON)
        async with running(w.daemon()) as again:
            still = await again.until(lambda s: s["phase"] == "failed")
            assert "was turned off" in still["failure"], "a restart alone repairs nothing"
        w.watch()
        w.observer.begin()
        async with running(w.daemon("--adopt")) as adopting:
            await adopting.caught_up(time.time())
        await w.assert_equal()


async def test_a_stream_replaced_while_nobody_looked_is_noticed(aws: AwsServer, tmp_path: Path) -> None:
    """It is on again, but it is another one."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 50)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification=OFF)
        await Writer(w.dynamodb, w.table, space="unseen", rate_per_s=500).run(operations=20)
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification=ON)
        async with running(w.daemon()) as daemon:
            failed = await daemon.until(lambda s: s["phase"] == "failed")
            assert "another log" in failed["failure"]
        async with running(w.daemon("--adopt")) as adopting:
            await adopting.caught_up(time.time())
        await w.assert_equal()


async def test_a_time_to_live_that_is_switched_off_stops_the_pipeline_until_it_is_adopted(
    aws: AwsServer, tmp_path: Path
) -> None:
    """The repair takes the expiry from documents that are equal otherwise."""
    async with world(aws, tmp_path, ttl_attribute="expires_at") as w:
        far = {"N": str(int(time.time()) + 86_400)}
        for number in range(20):
            item = {"customer": {"S": "c"}, "order_id": {"S": f"o{number}"}, "expires_at": far}
            await w.dynamodb.put_item(TableName=w.table, Item=item)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            assert all("ttl" in document for document in w.documents())
            off = {"Enabled": False, "AttributeName": "expires_at"}
            await w.dynamodb.update_time_to_live(TableName=w.table, TimeToLiveSpecification=off)
            failed = await daemon.until(lambda s: s["phase"] == "failed")
            assert "is no longer that of attribute expires_at" in failed["failure"]
        async with running(w.daemon("--adopt")) as adopting:
            await adopting.caught_up(time.time())
        assert not any("ttl" in document for document in w.documents())
        await w.assert_equal()

"""Promise: what the target can never hold becomes a dead letter with its reason, and nothing else waits for it."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from sandbox.aws import AwsServer
from sandbox.workload import Writer
from scenarios.migration import Daemon, running
from scenarios.world import World, world

# The poison takes 2.3 MB of JSON on its way into the table, which aiohttp remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

UNHOLDABLE = "\x01" * 390_000
"""Below DynamoDB's 400 KB, above Cosmos DB's 2 MB: JSON writes a control character in six bytes."""

KEY = {"customer": {"S": "poison"}, "order_id": {"S": "o1"}}


async def put(w: World, version: int, text: str) -> None:
    """Writes the record that is or is not poisonous."""
    item = {**KEY, "version": {"N": str(version)}, "text": {"S": text}}
    await w.dynamodb.put_item(TableName=w.table, Item=item)


async def test_poison_is_named_and_the_rest_goes_on(aws: AwsServer, tmp_path: Path) -> None:
    """By status, /readyz, metrics and the list of dead letters; its body is nowhere to be seen."""
    async with world(aws, tmp_path) as w, running(w.daemon()) as daemon:
        await daemon.until(lambda s: s["phase"] == "following")
        await put(w, 1, UNHOLDABLE)
        await Writer(w.dynamodb, w.table, space="w", rate_per_s=100).run(operations=50)
        status = await daemon.until(lambda s: s["dead_letters"] == 1 and s["applied"] >= 30)
        assert status["problems"] == ["1 dead letter is open"]
        code, ready = await daemon.get("/readyz")
        assert code == 503
        assert "1 dead letter is open" in str(ready)
        assert await daemon.metric("replicator_dead_letters", pipeline="orders") == 1
        _, answer = await daemon.get("/v1/dead-letters?pipeline=orders")
        (letter,) = answer["dead_letters"]
        assert letter["key"] == '{"customer":"poison","order_id":"o1"}'
        assert "2097152" in letter["reason"]
        await _held_back(daemon, time.time())
        assert UNHOLDABLE[:100] not in daemon.program.log.read_text()


async def _held_back(daemon: Daemon, moment: float) -> None:
    """The watermark does not pass a change that is missing."""
    await daemon.until(lambda s: s["lag_s"] is not None and s["lag_s"] > s["stream_lag_s"] + 1)
    status = await daemon.status()
    assert status is not None
    assert datetime.fromisoformat(status["replicated_through"]).timestamp() < moment


async def test_a_retry_after_a_later_change_does_not_go_backwards(aws: AwsServer, tmp_path: Path) -> None:
    """The record was mended and changed again meanwhile; the stream, read one by one, is far behind the retry."""
    async with world(aws, tmp_path) as w:
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            w.watch()
            w.observer.begin()
            await put(w, 1, UNHOLDABLE)
            await daemon.until(lambda s: s["dead_letters"] == 1)
            retry = {"pipeline": "orders", "keys": ['{"customer":"poison","order_id":"o1"}']}
            code, answer = await daemon.post("/v1/dead-letters/retry", retry)
            assert (code, answer) == (200, {"resolved": 0, "open": 1, "unknown": []})
            with w.shrink_pages(1):
                await _change_often(w)
                code, answer = await daemon.post("/v1/dead-letters/retry", retry)
                assert (code, answer) == (200, {"resolved": 1, "open": 0, "unknown": []})
                await daemon.caught_up(time.time())
            code, _ = await daemon.get("/readyz")
            assert code == 200
        await w.assert_equal()
        assert w.observer.seen > 0


async def _change_often(w: World) -> None:
    for version in range(2, 150):
        await put(w, version, "fine")


async def test_poison_in_the_copy_is_a_dead_letter_too(aws: AwsServer, tmp_path: Path) -> None:
    """And survives a restart; deleting the record at the source resolves it on retry."""
    async with world(aws, tmp_path) as w:
        written = time.time()
        await put(w, 1, UNHOLDABLE)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["dead_letters"] == 1 and s["phase"] == "following")
            await daemon.kill()
            await daemon.start()
            status = await daemon.until(lambda s: s["dead_letters"] == 1)
            through = status["replicated_through"]
            assert through is None or datetime.fromisoformat(through).timestamp() <= written
            await w.dynamodb.delete_item(TableName=w.table, Key=KEY)
            retry = {"pipeline": "orders", "keys": ['{"customer":"poison","order_id":"o1"}']}
            code, answer = await daemon.post("/v1/dead-letters/retry", retry)
            assert (code, answer) == (200, {"resolved": 1, "open": 0, "unknown": []})
            await daemon.caught_up(time.time())
        await w.assert_equal()

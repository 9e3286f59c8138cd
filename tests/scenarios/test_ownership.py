"""Promise: only the daemon whose state store matches the target writes it; others are refused, or repair on request."""

import shutil
import time
from pathlib import Path

import anyio
import pytest
from azure.cosmos import PartitionKey

from connectors.azure.cosmos.ids import encode_id
from sandbox.aws import AwsServer
from sandbox.cosmos.wire import Json
from sandbox.workload import Writer, seed
from scenarios.migration import Daemon, forget, running
from scenarios.world import CONTAINER, DATABASE, World, world


def restore(folder: Path) -> None:
    """Puts the state store back that was copied to `backup`."""
    forget(folder)
    for saved in (folder / "backup").glob("replicator.sqlite*"):
        shutil.copy(saved, folder / saved.name)


async def refused(daemon: Daemon) -> str:
    """Starts it, expects exit code 2 at once; returns what it said."""
    async with running(daemon):
        assert await daemon.program.wait() == 2
    return daemon.program.tail()


async def followed(w: World, *, writes: int = 60) -> None:
    """A migration that has come to following and was stopped in an orderly way."""
    await seed(w.dynamodb, w.table, 300)
    async with running(w.daemon()) as daemon:
        await Writer(w.dynamodb, w.table, space="before", rate_per_s=200).run(operations=writes)
        await daemon.caught_up(time.time())
    w.watch()
    w.observer.begin()


async def adopted(w: World) -> None:
    """Takes the target over while it is being written to and the stream replays little by little, and compares."""
    small = w.shrink_pages(30)
    async with anyio.create_task_group() as tasks, running(w.daemon("--adopt")) as daemon:
        writer = Writer(w.dynamodb, w.table, space="after", keys=20, rate_per_s=25)
        tasks.start_soon(writer.run)
        await daemon.until(lambda s: s["phase"] == "following" and not s["repairing"])
        await anyio.sleep(1)
        writer.stop()
        small.lift()
        await daemon.caught_up(time.time())
    await w.assert_equal()


async def test_a_deleted_state_store_is_refused_and_adopted_on_request(aws: AwsServer, tmp_path: Path) -> None:
    """Deletions that nobody saw are found by the scan of the target."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        forget(tmp_path)
        said = await refused(w.daemon())
        assert "does not know" in said
        assert "--adopt" in said
        doomed = await w.dynamodb.scan(TableName=w.table, Limit=10)
        for item in doomed["Items"]:
            key = {name: item[name] for name in ("customer", "order_id")}
            await w.dynamodb.delete_item(TableName=w.table, Key=key)
        await adopted(w)
        async with running(w.daemon("--adopt")) as again:
            status = await again.until(lambda s: s["phase"] == "following")
            assert status["epoch"] == 2, "adopting what is already ours changes nothing"


async def test_a_state_store_from_before_is_refused_and_adopted_on_request(aws: AwsServer, tmp_path: Path) -> None:
    """Its positions would replay what has long been overtaken."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        shutil.copytree(tmp_path, tmp_path / "backup", ignore=shutil.ignore_patterns("*.log", "backup"))
        async with running(w.daemon()) as daemon:
            await Writer(w.dynamodb, w.table, space="later", rate_per_s=200).run(operations=60)
            await daemon.caught_up(time.time())
        restore(tmp_path)
        said = await refused(w.daemon())
        assert "older than the target" in said
        await adopted(w)


async def test_a_container_that_is_made_again_is_noticed_and_filled_on_request(aws: AwsServer, tmp_path: Path) -> None:
    """What never changes again at the source would be missing for ever; it is noticed before anything changes."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            w.cosmos.account.delete_container(DATABASE, CONTAINER)
            key: Json = {"paths": ["/customer"], "kind": "Hash"}
            w.cosmos.account.create_container(DATABASE, {"id": CONTAINER, "partitionKey": key, "defaultTtl": -1})
            assert await daemon.program.wait() == 2
            assert "was deleted, or deleted and made again" in daemon.program.tail()
        assert w.documents() == []
        said = await refused(w.daemon())
        assert "the target was deleted or replaced" in said
        assert "--adopt" in said
        await adopted(w)


async def test_another_id_in_the_config_is_refused_and_takes_effect_on_request(aws: AwsServer, tmp_path: Path) -> None:
    """Documents with the ids from before are found by nothing but a scan."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        w.config["pipelines"]["orders"]["target"]["id"] = ["order_id"]
        w.write_config()
        said = await refused(w.daemon())
        assert "its documents were written with" in said
        assert "--adopt" in said
        await adopted(w)


async def test_a_second_daemon_with_a_store_of_its_own_is_refused(aws: AwsServer, tmp_path: Path) -> None:
    """While the first one runs; if it insists, the first one notices and stops."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 100)
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy(w.path, other / w.path.name)
        async with running(w.daemon()) as first:
            await first.caught_up(time.time())
            said = await refused(w.daemon(path=other / w.path.name))
            assert "does not know" in said
            async with running(w.daemon("--adopt", path=other / w.path.name)) as second:
                assert await first.program.wait() == 2
                assert "another daemon has written" in first.program.log.read_text()
                await second.caught_up(time.time())
            shutil.copytree(other, tmp_path, dirs_exist_ok=True)
            await w.assert_equal()


async def test_a_second_daemon_on_the_same_store_is_refused(aws: AwsServer, tmp_path: Path) -> None:
    """The lease of the living one is renewed, so waiting for its end is no use."""
    async with world(aws, tmp_path) as w, running(w.daemon()) as first:
        await first.until(lambda s: s["phase"] == "following")
        assert "another daemon" in await refused(w.daemon())
        assert first.program.exit_code is None


async def test_a_target_that_was_not_empty_is_refused_or_repaired(aws: AwsServer, tmp_path: Path) -> None:
    """A foreign document under one of our ids is overwritten; others are removed because the config says so."""
    async with world(aws, tmp_path, target={"foreign": "remove"}) as w:
        await seed(w.dynamodb, w.table, 100)
        taken = await _id_of_a_record(w)
        await _fill(w, [{**taken, "text": "foreign"}, {"id": "stranger", "customer": "nobody"}])
        said = await refused(w.daemon())
        assert "not empty" in said
        assert {d["id"] for d in w.documents()} == {taken["id"], "stranger"}, "nothing was written"
        async with running(w.daemon("--adopt")) as daemon:
            await daemon.caught_up(time.time())
            waited = [e for e in daemon.events() if "waiting for the lease" in e["event"]]
            assert not waited, "the refused start wrote nothing, so nobody has to wait for it"
        (record,) = [d for d in w.documents() if d["id"] == taken["id"]]
        assert record.get("text") != "foreign"
        assert "_replicator" in record
        found = await w.assert_equal()
        assert found.equal == 100


async def test_a_foreign_document_in_the_place_of_a_record_is_overwritten_and_others_are_kept_and_named(
    aws: AwsServer, tmp_path: Path
) -> None:
    """Unless the config says otherwise."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 100)
        taken = await _id_of_a_record(w)
        await _fill(w, [{**taken, "text": "foreign"}, {"id": "stranger", "customer": "nobody"}])
        async with running(w.daemon("--adopt")) as daemon:
            await daemon.caught_up(time.time())
            kept = [e for e in daemon.events() if "records that are not ours; they were kept" in e["event"]]
            assert [e["count"] for e in kept] == [1]
        found = await w.compare()
        assert (found.equal, found.foreign, found.different, found.missing, found.extra) == (100, 1, 0, 0, 0)


async def _id_of_a_record(w: World) -> dict[str, str]:
    """Id and partition key of the document that a record will become."""
    item = (await w.dynamodb.scan(TableName=w.table, Limit=1))["Items"][0]
    customer, order = item["customer"]["S"], item["order_id"]["S"]
    return {"id": encode_id([customer, order]), "customer": customer}


async def test_a_target_that_was_replaced_is_refused(aws: AwsServer, tmp_path: Path) -> None:
    """The marker went with it."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        w.cosmos.account.delete_database(DATABASE)
        assert "marker is gone" in await refused(w.daemon())


async def _fill(w: World, documents: list[dict[str, str]]) -> None:
    async with w.stranger() as client:
        database = await client.create_database(DATABASE)
        container = await database.create_container(CONTAINER, PartitionKey("/customer"), default_ttl=-1)
        for document in documents:
            await container.create_item(document)


@pytest.mark.parametrize("moment_s", [0.3, 1.0])
async def test_a_repair_that_is_killed_goes_on(aws: AwsServer, tmp_path: Path, moment_s: float) -> None:
    """It was asked for once; a restart does not ask again, and ends equal all the same."""
    async with world(aws, tmp_path) as w:
        await followed(w)
        forget(tmp_path)
        daemon = w.daemon("--adopt")
        async with running(daemon):
            await daemon.until(lambda s: s["repairing"] and not s["begins_in_s"])
            await anyio.sleep(moment_s)
            await daemon.kill()
        async with running(w.daemon()) as again:
            await again.caught_up(time.time())
        await w.assert_equal()

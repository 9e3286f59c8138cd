"""Promise: in mode copy everything is copied once, by one command that ends and says whether anything was left out."""

from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.workload import seed
from scenarios.migration import run_command
from scenarios.world import World, world

# The large one takes 2.1 MB of JSON on its way into the table, which aiohttp remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

LARGE = {"customer": {"S": "c"}, "order_id": {"S": "large"}, "text": {"S": "\x01" * 350_000}}
"""Written as JSON it is six times as large, which Cosmos DB does not take."""


def once(w: World) -> None:
    w.config["pipelines"]["orders"]["mode"] = "copy"
    w.write_config()


async def test_a_table_without_a_stream_is_copied_and_the_command_ends(aws: AwsServer, tmp_path: Path) -> None:
    async with world(aws, tmp_path) as w:
        once(w)
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification={"StreamEnabled": False})
        await seed(w.dynamodb, w.table, 500)
        assert (await run_command(w, "check"))[0] == 0
        with anyio.fail_after(150):
            code, text = await run_command(w, "run")
        assert code == 0, text
        await w.assert_equal()
        code, _ = await run_command(w, "run")
        assert code == 0, "it has been copied, and is not copied again"
        w.config["pipelines"]["orders"]["mode"] = "async"
        w.write_config()
        await w.dynamodb.update_table(
            TableName=w.table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        )
        code, text = await run_command(w, "run")
        assert code == 2
        assert "was begun in mode copy" in text


async def test_what_was_left_out_shows_in_the_exit_code(aws: AwsServer, tmp_path: Path) -> None:
    async with world(aws, tmp_path) as w:
        once(w)
        await seed(w.dynamodb, w.table, 20)
        await w.dynamodb.put_item(TableName=w.table, Item=LARGE)
        code, text = await run_command(w, "run")
        assert code == 1
        assert "NOT EQUAL, 21 records copied, 21 compared, 1 differs, 1 dead letter; as of" in text
        assert '  missing: {"customer":"c","order_id":"large"}\n' in text
        await w.dynamodb.put_item(TableName=w.table, Item={**LARGE, "text": {"S": "small"}})
        code, text = await run_command(w, "run", "--repair")
        assert code == 0, text
        await w.assert_equal()

"""Promise: what is wrong at the start is said in one clear message with exit code 2, and nothing has been written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws import AwsServer
from scenarios.migration import run_command, running
from scenarios.world import world

Break = Callable[[dict[str, Any]], None]


def _source(**fields: Any) -> Break:
    return lambda config: config["pipelines"]["orders"]["source"].update(fields)


def _target(**fields: Any) -> Break:
    return lambda config: config["pipelines"]["orders"]["target"].update(fields)


def _without_budget(config: dict[str, Any]) -> None:
    del config["pipelines"]["orders"]["source"]["max_read_units"]


BROKEN: dict[str, tuple[Break, str]] = {
    "unknown field": (_source(tabel="orders"), "pipelines.orders.source.tabel: unknown field. Did you mean table?"),
    "wrong type": (_source(segments="many"), "pipelines.orders.source.segments"),
    "unset variable": (_target(key="${NO_SUCH_VARIABLE}"), "pipelines.orders.target.key: the environment variable"),
    "missing table": (_source(table="nowhere"), "there is no table nowhere"),
    "no read budget": (_without_budget, "pipelines.orders.source.max_read_units: is required"),
    "unreachable source": (_source(endpoint="http://127.0.0.1:9"), "pipelines.orders.source: cannot be reached"),
    "unreachable target": (_target(endpoint="http://127.0.0.1:9"), "pipelines.orders.target: cannot be reached"),
    "wrong key": (_target(key="d3Jvbmc="), "pipelines.orders.target: "),
    "missing container": (_target(create=False), "there is no container orders"),
    "foreign partition key": (_target(partition_key=["/total"]), "partition path /total is neither"),
    "records that collide": (_target(id=["order_id"], partition_key=["/id"]), "would get the same id"),
    "taken port": (lambda c: c.update(http={"listen": "192.0.2.1:80"}), "http.listen: cannot listen"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_one_clear_message_and_nothing_written(aws: AwsServer, tmp_path: Path, name: str) -> None:
    """By `run` and by `check` alike."""
    spoil, message = BROKEN[name]
    async with world(aws, tmp_path) as w:
        spoil(w.config)
        w.write_config()
        code, said = await run_command(w, "run")
        assert code == 2
        assert message in said
        assert "Traceback" not in said
        assert w.cosmos.stats()["items"] == {}, "something was created"
        assert w.cosmos.key not in said
        code, said = await run_command(w, "check", "--json")
        assert code == 2
        assert message in "\n".join(f"{f['where']}: {f['message']}. {f['fix']}" for f in json.loads(said))


async def test_missing_credentials_are_named(aws: AwsServer, tmp_path: Path) -> None:
    """With the fix."""
    async with world(aws, tmp_path) as w:
        daemon = w.daemon()
        daemon.program._environment.update(
            AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true", HOME=str(tmp_path)
        )
        async with running(daemon):
            assert await daemon.program.wait() == 2
        assert "credentials" in daemon.program.tail().lower()
        assert "docs/permissions.md" in daemon.program.tail()


async def test_a_table_without_a_stream_is_refused_with_the_command_that_turns_it_on(
    aws: AwsServer, tmp_path: Path
) -> None:
    """Nothing is turned on implicitly."""
    async with world(aws, tmp_path) as w:
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification={"StreamEnabled": False})
        code, said = await run_command(w, "run")
        assert code == 2
        assert "aws dynamodb update-table" in said


async def test_a_container_with_another_partition_key_is_refused(aws: AwsServer, tmp_path: Path) -> None:
    """It cannot be changed later, so it is said before anything is written."""
    async with world(aws, tmp_path) as w:
        w.cosmos.account.create_database({"id": "shop"})
        w.cosmos.account.create_container(
            "shop", {"id": "orders", "partitionKey": {"paths": ["/order_id"], "kind": "Hash"}}
        )
        code, said = await run_command(w, "run")
        assert code == 2
        assert "is partitioned by /order_id" in said

"""Promise: `check` says beforehand what `run` would say, and changes nothing."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from sandbox.aws import AwsServer
from sandbox.workload import seed
from scenarios.migration import forget, run_command, running
from scenarios.world import World, world


async def checked(w: World, expect: int) -> list[dict[str, Any]]:
    """The findings; state and target are as they were."""
    before = (_state(w.folder), w.cosmos.stats()["items"])
    code, said = await run_command(w, "check", "--json")
    findings: list[dict[str, Any]] = json.loads(said)
    assert code == expect, findings
    assert (_state(w.folder), w.cosmos.stats()["items"]) == before
    return findings


def said(findings: list[dict[str, Any]], severity: str) -> str:
    """What was found of this severity."""
    return "\n".join(f"{f['where']}: {f['message']}. {f['fix']}" for f in findings if f["severity"] == severity)


def _state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("replicator.sqlite*")}


async def test_before_the_first_run_while_it_runs_and_after_it(aws: AwsServer, tmp_path: Path) -> None:
    """Nothing stands against a run; one that is going on stands against another."""
    async with world(aws, tmp_path) as w:
        await seed(w.dynamodb, w.table, 20)
        findings = await checked(w, 0)
        assert "is empty and will be claimed" in said(findings, "ok")
        assert "resolves to 127.0.0.1 (private)" in said(findings, "ok")
        assert "20 sampled records map" in said(findings, "ok")
        assert {f["severity"] for f in findings if f["where"] != "state.path"} <= {"ok", "note"}
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            code, text = await run_command(w, "check", "--json")
            assert code == 0, text
            assert "is running this migration" in said(json.loads(text), "note")
            assert "http.listen" not in said(json.loads(text), "ok")
            code, text = await run_command(w, "plan")
            assert code == 0, text
            assert "a daemon runs this migration now" in text
        assert "is ours, and a run goes on" in said(await checked(w, 0), "ok")


async def test_a_target_that_is_not_ours_is_an_error_as_it_is_for_a_run(aws: AwsServer, tmp_path: Path) -> None:
    """The state store was lost."""
    async with world(aws, tmp_path) as w:
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
        forget(tmp_path)
        error = said(await checked(w, 2), "error")
        assert "does not know" in error
        assert "--adopt" in error
        code, text = await run_command(w, "plan")
        assert code == 2
        assert "which this state store does not know" in text


async def test_a_pipeline_that_has_failed_is_a_warning(aws: AwsServer, tmp_path: Path) -> None:
    """A run would start, and not replicate it."""
    async with world(aws, tmp_path) as w:
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            await w.dynamodb.update_table(TableName=w.table, StreamSpecification={"StreamEnabled": False})
            await daemon.until(lambda s: s["phase"] == "failed")
        on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        await w.dynamodb.update_table(TableName=w.table, StreamSpecification=on)
        warning = said(await checked(w, 1), "warning")
        assert "the pipeline has failed" in warning
        assert "was turned off" in warning


async def test_what_is_wrong_on_this_machine_is_found_too(aws: AwsServer, tmp_path: Path) -> None:
    """Together, and beside what is wrong elsewhere."""
    async with world(aws, tmp_path, source={"table": "nowhere"}) as w:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            w.config["http"] = {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}
            w.config["state"] = {"path": "migration.yaml/state.sqlite"}
            w.write_config()
            findings = await checked(w, 2)
        error = said(findings, "error")
        for wrong in ("http.listen: cannot listen", "cannot be used as the state store", "there is no table nowhere"):
            assert wrong in error


async def test_people_are_told_the_verdict_and_every_mistake_of_a_config(aws: AwsServer, tmp_path: Path) -> None:
    """In lines that no terminal cuts."""
    async with world(aws, tmp_path) as w:
        code, text = await run_command(w, "check", COLUMNS="40")
        assert code == 0
        assert text.endswith("nothing stands against a run\n")
        assert f"ok       {w.path}: the config is valid: 1 pipeline\n" in text
        w.config["pipelines"]["orders"]["mode"] = "synchronous"
        w.config["log"] = {"level": "loud"}
        w.write_config()
        code, text = await run_command(w, "check")
        assert code == 2
        assert "error    pipelines.orders.mode: must be 'async', 'sync' or 'copy'\n" in text
        assert "error    log.level: must be" in text
        assert text.endswith("2 errors: a run would be refused or would fail\n")

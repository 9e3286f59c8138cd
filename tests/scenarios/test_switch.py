"""Promise: a switch is done within its pause, or everything is as it was, whatever is killed meanwhile."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from replicator.report import Report
from replicator.report.rehearsing import claim_of
from sandbox.aws import AwsServer
from sandbox.processes import replicator_program
from sandbox.workload import Writer
from scenarios.migration import Daemon, Migration, running
from scenarios.world import World, world

TURN = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"

CUTOVER = {"max_lag_s": 5, "steady_s": 1, "max_gap_s": 3}
WAIVED = {"waive": {"verification": "the switch compares"}}


def with_triggers(w: World) -> tuple[Path, Path]:
    """An entry point that is a file at either side."""
    aws, azure = w.folder / "aws", w.folder / "azure"
    aws.write_text("on")
    azure.write_text("off")

    def side(place: Path) -> dict[str, Any]:
        return {"type": "command"} | {to: [sys.executable, "-c", TURN, str(place), to] for to in ("off", "on")}

    w.config["pipelines"]["orders"]["cutover"] = WAIVED
    w.config["triggers"] = {"functions": {"aws": side(aws), "azure": side(azure)}}
    w.write_config(cutover=CUTOVER)
    return aws, azure


async def switch(m: Migration, daemon: Daemon, expect: int, *options: str) -> str:
    """What the command prints."""
    log = m.folder / "switch.log"
    log.unlink(missing_ok=True)
    arguments = ("cutover", "switch", *options, "--url", daemon.url)
    async with replicator_program(log, *arguments, environment=m.environment) as program:
        code, text = await program.wait(120), program.text()
    assert code == expect, text
    return text


async def ready(daemon: Daemon) -> None:
    found: dict[str, Any] = {}
    with anyio.move_on_after(60):
        while not found.get("ready"):
            await anyio.sleep(0.1)
            found = (await daemon.get("/v1/cutover"))[1]
    assert found["ready"], found["reasons"]


async def test_a_pause_that_is_over_puts_everything_back_and_the_next_switch_is_done(
    aws: AwsServer, tmp_path: Path
) -> None:
    """The daemon is killed in the second one, while it drains."""
    async with world(aws, tmp_path) as w:
        at_aws, at_azure = with_triggers(w)
        async with running(w.daemon()) as daemon, anyio.create_task_group() as tasks:
            writer = Writer(w.dynamodb, w.table, space="live", keys=20, rate_per_s=20)
            tasks.start_soon(writer.run)
            await daemon.until(lambda s: s["phase"] == "following" and s["copy_stage"] == "swept")
            await ready(daemon)
            said = await switch(w, daemon, 1, "--max-pause", "8")
            assert "undone: the pause of 8 s was over in step drain" in said
            assert (at_aws.read_text(), at_azure.read_text()) == ("on", "off")
            await daemon.until(lambda s: s["phase"] == "following" and s["drain"] is None)
            writer.stop()
            await ready(daemon)
            said = await switch(w, daemon, 0, "--max-pause", "60", "--dry-run")
            assert "nothing was changed" in said
            assert at_aws.read_text() == "on"
            status, _ = await daemon.post("/v1/cutover/switch", {"max_pause_s": 60})
            assert status == 200
            await daemon.until(lambda s: s["phase"] == "draining")
            await daemon.kill()
            await daemon.start()
            await daemon.until(lambda s: s["phase"] == "sealed")
            assert (at_aws.read_text(), at_azure.read_text()) == ("off", "on")
            _, told = await daemon.get("/v1/cutover/switch")
            assert [taken["step"] for taken in told["steps"]] == [
                "cordon",
                "drain",
                "release",
                "activate",
                "traffic",
                "seal",
            ]
            await w.assert_equal()
            await the_report_tells_it(w, daemon)


async def the_report_tells_it(w: World, daemon: Daemon) -> None:
    """Both switches, and the evidence as it was at the seal whatever is written later."""
    report = await reported(daemon, lambda told: told["since_seal"] is not None)
    told, orders = report["switch"], report["pipelines"]["orders"]
    assert (told["stage"], told["by_hand"], told["attempt"], told["forced"]) == ("done", False, 2, "")
    assert [before["reason"][:19] for before in told["earlier"]] == ["the pause of 8 s wa"]
    assert all(step["elapsed_s"] is not None and step["outcome"] == "done" for step in told["steps"])
    assert 0 < told["pause"]["seconds"] < 60
    (trigger,) = told["triggers"]
    assert (trigger["name"], {n: s["after"] for n, s in trigger["sides"].items()}) == (
        "functions", {"aws": "off", "azure": "on"},
    )  # fmt: skip
    drained, activated = (step["ended_at"] for step in told["steps"] if step["name"] in {"drain", "activate"})
    assert drained <= orders["way_back"]["at_seal"] <= activated
    assert drained <= orders["way_back"]["before_activation"] <= activated
    assert (orders["drain"]["forced"], orders["late_writes"]["count"]) == (False, 0)
    assert claim_of(Report.model_validate(report)) is not None
    late = {"customer": {"S": "late"}, "order_id": {"S": "o1"}}
    await w.dynamodb.put_item(TableName=w.table, Item=late)
    later = await reported(daemon, lambda told: (told["since_seal"]["late_writes"]["orders"] or {}).get("count"))
    assert "late" in later["since_seal"]["late_writes"]["orders"]["first"][0]
    assert {**later, "since_seal": None} == {**report, "since_seal": None}
    arguments = ("report", "--out", str(w.folder / "out"), "--url", daemon.url)
    async with replicator_program(w.folder / "report.log", *arguments, environment=w.environment) as program:
        assert await program.wait(60) == 0, program.text()
    evidence = (w.folder / "out/evidence.json").read_bytes()
    assert hashlib.sha256(evidence).hexdigest() == later["since_seal"]["evidence_sha256"]
    assert json.loads(evidence) == {**report, "since_seal": None}
    assert "After the seal" in (w.folder / "out/report.html").read_text()


async def reported(daemon: Daemon, what: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first report for which `what` holds."""
    with anyio.move_on_after(60):
        while True:
            told: dict[str, Any] = (await daemon.get("/v1/report"))[1]
            if what(told):
                return told
            await anyio.sleep(0.1)
    raise AssertionError(told)

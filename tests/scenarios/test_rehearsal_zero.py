"""Promise: a switch with zero downtime loses no event and repeats one only where the runbook says so.

The application is never stopped: it waits in each write to the table until both clouds have it, is held up by a hook at
the cordon, and goes on at Azure when another hook says so. Messages come from a topic that a second queue mirrors, or
are forwarded to functions that run at Azure from the start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.workload.consumers import Entry, Reckoning
from sandbox.workload.consumers.reckoning import TICKS
from sandbox.workload.consumers.settings import AWS, AZURE, NOWHERE
from scenarios.furnishing import APP
from scenarios.migration import Daemon, running
from scenarios.rehearsing import begin_upload, ready, restart, said, something_of_each, waits_in
from scenarios.shop import ENOUGH, QueueOf, Shop, shop

NEWS, JOBS = "news", "jobs"

QUEUES = {NEWS: QueueOf("mirror", fanned=True), JOBS: QueueOf("forward", twins=False)}

MAX_PAUSE_S, KILLED_PAUSE_S = 40, 200

ROUNDING_S = 1.0
"""Both services tell times in whole seconds."""


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["untouched", "killed"])
async def test_the_application_goes_on_all_the_time(aws: AwsServer, tmp_path: Path, *, killed: bool) -> None:
    """Also where the daemon is killed while it follows, and in each step that something can hold open."""
    async with shop(aws, tmp_path, mode="sync", queues=QUEUES) as s:
        with_traffic(s, killed=killed)
        await s.send_traffic(AWS)
        application = s.application("shop", hooked=True)
        async with s.at_work(s.lambdas(), s.functions()), running(s.daemon()) as daemon:
            await daemon.until(lambda status: status["phase"] == "following")
            async with s.at_work(application):
                await said(s, daemon, 0, "cutover", "status", "--wait", "--timeout", "90")
                assert "on" in await said(s, daemon, 0, "triggers", "status")
                if killed:
                    await restart(daemon)
                    await ready(daemon)
                began_at = triggered_from_now_on(s)
                async with anyio.create_task_group() as tasks:
                    if killed:
                        tasks.start_soon(killed_while_switching, s, daemon)
                    pause = ("--max-pause", str(KILLED_PAUSE_S if killed else MAX_PAUSE_S))
                    assert "switched" in await said(s, daemon, 0, "cutover", "switch", *pause)
                await something_of_each(s, AZURE)
            assert json.loads(application.text().splitlines()[-1])["waited"] > 0
            judge(s, await s.all_worked_on(), began_at)
            await s.assert_equal()
            await report(s, daemon)


async def killed_while_switching(s: Shop, daemon: Daemon) -> None:
    """Nothing is held here, so nothing is released, and the seal takes no time. The command waits until the daemon
    answers again.
    """
    await s.reached("cordoning")
    await restart(daemon)
    upload = await begin_upload(s, "one")
    await waits_in(daemon, "cordon")
    s.open("cordoning")
    await waits_in(daemon, "drain", "upload")
    await restart(daemon)
    await s.clients["s3"].abort_multipart_upload(**upload)
    await s.reached("activating")
    await restart(daemon)
    await waits_in(daemon, "activate")
    s.open("activating")


def with_traffic(s: Shop, *, killed: bool) -> None:
    """First of all nobody writes any more; last of all somebody does again."""
    hold = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AWS)}
    lead = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AZURE)}
    gates = {"cordoning": s.gate("cordoning", AWS), "activating": s.gate("activating", AZURE)} if killed else {}
    listed = {"application": {"aws": hold}, **gates, **s.config["triggers"], "traffic": {"azure": lead}}
    s.write_config(cutover=ENOUGH, triggers=listed)


def triggered_from_now_on(s: Shop) -> float:
    """What the change feed and the blobs of before this moment hold triggers nobody at Azure. Unix seconds."""
    now = datetime.now(UTC)
    for name in ("orders", "uploads"):
        s.arm.app(APP).settings[f"{s.function(name)}_FROM"] = now.isoformat()
    return now.timestamp()


def judge(s: Shop, found: Reckoning, began_at: float) -> None:
    """Twice is what was replicated between that moment and the cordon, and what was mirrored before it."""
    written = {entry.event: entry for entry in s.written()}
    assert not found.unknown
    assert not [one for one in found.repeated if sorted(one.sides) != [AWS, AZURE]]
    for kind, trails_s in (("orders", 0.0), ("uploads", ENOUGH["max_lag_s"])):
        assert found.handled(kind, AWS)
        repeated = [written[one.event] for one in found.repeated_of(kind)]
        assert not [entry for entry in repeated if entry.side == AZURE or entry.at < began_at - ROUNDING_S - trails_s]
    mirrored = {entry.event for entry in s.worked_on(AWS) if entry.kind == NEWS}
    assert {one.event for one in found.repeated_of(NEWS)} == mirrored != set()
    assert not found.repeated_of(JOBS)
    assert not found.handled(JOBS, AWS)
    assert not found.repeated_of(TICKS)
    assert held_up_s(written.values()) < KILLED_PAUSE_S


def held_up_s(written: Iterable[Entry]) -> float:
    """For how long the application wrote nowhere; from then on it wrote at Azure only."""
    at = {side: [entry.at for entry in written if entry.side == side] for side in (AWS, AZURE)}
    assert max(at[AWS]) < min(at[AZURE])
    return min(at[AZURE]) - max(at[AWS])


async def report(s: Shop, daemon: Daemon) -> None:
    await said(s, daemon, 0, "report", "--out", str(s.folder))
    told = json.loads((s.folder / "report.json").read_text())
    assert (told["phase"], told["strategy"]) == ("sealed", "zero downtime")
    did = [(action["name"], action["detail"].split(":")[0]) for action in told["actions"]]
    assert did[0][0] == "switch"
    assert did.index(("turn a trigger off", "application.aws")) < did.index(("turn a trigger off", "orders.aws"))
    assert did[-1] == ("turn a trigger on", "traffic.azure")

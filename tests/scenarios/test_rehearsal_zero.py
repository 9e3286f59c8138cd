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

from sandbox.aws import AwsServer
from sandbox.workload.consumers import Entry, Reckoning
from sandbox.workload.consumers.reckoning import TICKS
from sandbox.workload.consumers.settings import AWS, AZURE, NOWHERE
from scenarios.migration import Daemon, running
from scenarios.shop import APP, ENOUGH, QueueOf, Shop, said, shop

NEWS, JOBS = "news", "jobs"

QUEUES = {NEWS: QueueOf("mirror", fanned=True), JOBS: QueueOf("forward", twins=False)}

MAX_PAUSE_S = 40

ROUNDING_S = 1.0
"""Both services tell times in whole seconds."""


async def test_the_application_goes_on_all_the_time(aws: AwsServer, tmp_path: Path) -> None:
    async with shop(aws, tmp_path, mode="sync", queues=QUEUES) as s:
        with_traffic(s)
        await s.send_traffic(AWS)
        application = s.application("shop", hooked=True)
        async with s.at_work(s.lambdas(), s.functions()), running(s.daemon()) as daemon:
            await daemon.until(lambda status: status["phase"] == "following")
            async with s.at_work(application):
                await said(s, daemon, 0, "cutover", "status", "--wait", "--timeout", "90")
                assert "on" in await said(s, daemon, 0, "triggers", "status")
                began_at = triggered_from_now_on(s)
                assert "switched" in await said(s, daemon, 0, "cutover", "switch", "--max-pause", str(MAX_PAUSE_S))
                await something_of_each_at_azure(s)
            assert json.loads(application.text().splitlines()[-1])["waited"] > 0
            judge(s, await s.all_worked_on(), began_at)
            await s.assert_equal()
            await report(s, daemon)


def with_traffic(s: Shop) -> None:
    """First of all nobody writes any more; last of all somebody does again."""
    hold = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AWS)}
    lead = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AZURE)}
    listed = {"application": {"aws": hold}, **s.config["triggers"], "traffic": {"azure": lead}}
    s.write_config(cutover=ENOUGH, triggers=listed)


def triggered_from_now_on(s: Shop) -> float:
    """What the change feed and the blobs of before this moment hold triggers nobody at Azure. Unix seconds."""
    now = datetime.now(UTC)
    for name in ("orders", "uploads"):
        s.arm.app(APP).settings[f"{s.function(name)}_FROM"] = now.isoformat()
    return now.timestamp()


async def something_of_each_at_azure(s: Shop) -> None:
    with anyio.fail_after(30):
        while {entry.kind for entry in s.written() if entry.side == AZURE} < s.kinds:
            await anyio.sleep(0.05)


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
    assert held_up_s(written.values()) < MAX_PAUSE_S


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

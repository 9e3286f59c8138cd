"""Promise: a switch with zero downtime loses no event and repeats one only where the runbook says so, wherever the
daemon is killed meanwhile.

The application is never stopped: it waits in each write to the table until both clouds have it, is held up by a hook at
the cordon, and goes on at Azure when another hook says so. Messages come from a topic that a second queue mirrors, are
forwarded to functions that run at Azure from the start, or are held until the sources are drained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.processes import Program
from sandbox.workload.consumers import Entry, Reckoning
from sandbox.workload.consumers.reckoning import TICKS
from sandbox.workload.consumers.settings import AWS, AZURE, NOWHERE
from scenarios.furnishing import APP
from scenarios.migration import Daemon, running
from scenarios.rehearsing import (
    begin_upload,
    give_back,
    held_copying,
    killed_in,
    killed_in_phase,
    killed_while_copying,
    killed_while_following,
    phases,
    said,
    send,
    somebody_goes_on_at_aws,
    something_of_each,
    take_in_hand,
)
from scenarios.shop import ENOUGH, QueueOf, Shop, shop

NEWS, JOBS, MAIL = "news", "jobs", "mail"

QUEUES = {NEWS: QueueOf("mirror", fanned=True), JOBS: QueueOf("forward", twins=False)}

WITH_MAIL = {**QUEUES, MAIL: QueueOf("hold")}

APPLICATION = "shop"
"""Its events begin with it."""

MAX_PAUSE_S, KILLED_PAUSE_S = 40, 400

ROUNDING_S = 1.0
"""Both services tell times in whole seconds."""

IN_HAND = "in-hand"
"""A message whose function at AWS has done its work, and has ended before it could delete it."""

LATE, DELAY_S = "late", 20
"""Sent when callers are led to Azure already, and delayed: it holds the seal open."""

SEALED_BEFORE = {"orders": "sealed", "media": "sealed", NEWS: "sealed", JOBS: "sealed", MAIL: "draining"}
"""What the functions at Azure are activated upon."""


async def test_the_application_goes_on_all_the_time(aws: AwsServer, tmp_path: Path) -> None:
    async with shop(aws, tmp_path, mode="sync", queues=QUEUES) as s:
        with_traffic(s)
        await s.send_traffic(AWS)
        application = s.application(APPLICATION, hooked=True)
        async with s.at_work(s.lambdas(), s.functions()), running(s.daemon()) as daemon:
            await daemon.until(lambda status: status["phase"] == "following")
            async with s.at_work(application):
                await said(s, daemon, 0, "cutover", "status", "--wait", "--timeout", "90")
                assert "on" in await said(s, daemon, 0, "triggers", "status")
                began_at = triggered_from_now_on(s)
                text = await said(s, daemon, 0, "cutover", "switch", "--max-pause", str(MAX_PAUSE_S))
                assert "switched" in text
                await something_of_each(s, AZURE)
            waited(application)
            judge(s, await s.all_worked_on(), began_at, MAX_PAUSE_S)
            await s.assert_equal()
            await report(s, daemon)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_in_every_phase(aws: AwsServer, tmp_path: Path) -> None:
    """While it copies the application does not wait yet: no daemon answers it before it follows."""
    async with shop(aws, tmp_path, mode="sync", queues=WITH_MAIL) as s:
        with_traffic(s, gated=True)
        await s.send_traffic(AWS)
        held = held_copying(s)
        application = s.application(APPLICATION, hooked=True)
        async with s.at_work(s.lambdas(), s.functions()), running(s.daemon()) as daemon:
            async with s.at_work(s.application("early")):
                await killed_while_copying(daemon, held)
            async with s.at_work(application):
                await killed_while_following(daemon)
                began_at = triggered_from_now_on(s)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(killed_while_switching, s, daemon)
                    text = await said(s, daemon, 0, "cutover", "switch", "--max-pause", str(KILLED_PAUSE_S))
                    assert "switched" in text
                await killed_in_phase(daemon, "sealed")
                await something_of_each(s, AZURE)
            waited(application)
            found = await s.all_worked_on()
            judge(s, found, began_at, KILLED_PAUSE_S)
            assert len(found.repeated_of(MAIL)) == 1, "only what was in hand"
            await s.assert_equal()
            await report(s, daemon)
            await somebody_goes_on_at_aws(s, daemon)


async def killed_while_switching(s: Shop, daemon: Daemon) -> None:
    """Each step is held open until the daemon was killed in it and has come to it again. The command waits until it
    answers again.
    """
    await s.reached("cordoning")
    await killed_in(daemon, "cordon")
    await send(s, MAIL, IN_HAND, 0)
    receipt = await take_in_hand(s, MAIL)
    upload = await begin_upload(s, "one")
    s.open("cordoning")
    await killed_in(daemon, "drain", "upload")
    await s.clients["s3"].abort_multipart_upload(**upload)
    await killed_in(daemon, "release", MAIL)
    await give_back(s, MAIL, receipt)
    await s.reached("activating")
    await killed_in(daemon, "activate")
    assert await phases(daemon) == SEALED_BEFORE
    s.open("activating")
    await s.reached("leading")
    await killed_in(daemon, "traffic")
    await send(s, MAIL, LATE, DELAY_S)
    s.open("leading")
    await killed_in(daemon, "seal", MAIL)


def with_traffic(s: Shop, *, gated: bool = False) -> None:
    """First of all nobody writes any more; last of all somebody does again. Gates are in the midst of both kinds of
    triggers, and where callers are led to Azure.
    """
    hold = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AWS)}
    lead = {"type": "command", "off": s.traffic_hook(NOWHERE), "on": s.traffic_hook(AZURE)}
    sides = {"cordoning": AWS, "activating": AZURE, "leading": "traffic"} if gated else {}
    gates = {name: s.gate(name, side) for name, side in sides.items()}
    *most, last = s.config["triggers"].items()
    listed = {"application": {"aws": hold}, **dict(most), **gates, **dict([last]), "traffic": {"azure": lead}}
    s.write_config(cutover=ENOUGH, triggers=listed)


def waited(application: Program) -> None:
    """Its hook tells at the end how often."""
    assert json.loads(application.text().splitlines()[-1])["waited"] > 0


def triggered_from_now_on(s: Shop) -> float:
    """What the change feed and the blobs of before this moment hold triggers nobody at Azure. Unix seconds."""
    now = datetime.now(UTC)
    for name in ("orders", "uploads"):
        s.arm.app(APP).settings[f"{s.function(name)}_FROM"] = now.isoformat()
    return now.timestamp()


def judge(s: Shop, found: Reckoning, began_at: float, max_pause_s: float) -> None:
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
    assert held_up_s([entry for entry in written.values() if entry.event.startswith(APPLICATION)]) < max_pause_s


def held_up_s(written: Sequence[Entry]) -> float:
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
    assert [what for what in did if what[1].endswith(".azure")][-1] == ("turn a trigger on", "traffic.azure")

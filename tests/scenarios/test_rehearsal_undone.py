"""Promise: a switch whose pause is over, since a writer has not really stopped, says so and leaves everything as it
was: every trigger exactly, the functions at AWS at work, and nothing worked on at Azure.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio

from sandbox.aws import AwsServer
from sandbox.workload.consumers import Entry
from sandbox.workload.consumers.settings import AWS, AZURE
from scenarios.migration import DEADLINE_S, Daemon, running
from scenarios.rehearsing import ready, said
from scenarios.shop import QueueOf, Shop, shop

MAIL = "mail"

MAX_PAUSE_S = 12

WRITTEN_S = 1.0
"""So much later than it was written an event may be noted."""


async def test_everything_is_as_it_was(aws: AwsServer, tmp_path: Path) -> None:
    async with shop(aws, tmp_path, mode="async", queues={MAIL: QueueOf("hold")}) as s:
        await s.send_traffic(AWS)
        async with s.at_work(s.lambdas(), s.functions(), s.application("shop")), running(s.daemon()) as daemon:
            await ready(daemon)
            before = await s.trigger_states()
            text = await said(s, daemon, 1, "cutover", "switch", "--max-pause", str(MAX_PAUSE_S))
            assert f"undone: the pause of {MAX_PAUSE_S} s was over in step drain" in text
            assert "were written after the fence" in text
            assert await s.trigger_states() == before
            await daemon.until(lambda status: status["drain"] is None)
            await worked_on_at_aws(s)
            assert not s.worked_on(AZURE)
            await nothing_lost_but_uploads_of_the_pause(s, daemon)
            report = (await daemon.get("/v1/report"))[1]
            assert report["phase"] == "following"
            did = [(action["name"], action["detail"].split(":")[0]) for action in report["actions"]]
            for name in ("orders", "uploads", MAIL, "nightly"):
                assert ("put a trigger back", f"{name}.aws") in did
            assert not [name for name, _ in did if name == "turn a trigger on"]


async def nothing_lost_but_uploads_of_the_pause(s: Shop, daemon: Daemon) -> None:
    """S3 keeps no event for a notification that is off, as a queue and a stream do: the runbook says what to do."""
    _, told = await daemon.get("/v1/cutover/switch")
    began_at = datetime.fromisoformat(told["began_at"]).timestamp()
    ended_at = began_at + told["paused_s"]

    def lost() -> list[Entry]:
        return [e for e in s.reckoning().lost if e.kind != "uploads" or not began_at <= e.at <= ended_at + WRITTEN_S]

    with anyio.fail_after(DEADLINE_S):
        while lost():  # noqa: ASYNC110 -- other processes tell it by files
            await anyio.sleep(0.1)
    assert not s.reckoning().repeated


async def worked_on_at_aws(s: Shop) -> None:
    """Something of each kind that was written from now on."""
    known = {entry.event for entry in s.written()}
    with anyio.fail_after(DEADLINE_S):
        while True:
            fresh = [entry for entry in s.worked_on(AWS) if entry.event not in known]
            if {entry.kind for entry in fresh} >= {*s.kinds, "ticks"}:
                return
            await anyio.sleep(0.05)

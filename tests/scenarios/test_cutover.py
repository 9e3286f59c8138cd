"""Promise: a real daemon is never ready while an acknowledged change that is older than the limit of lag is missing.

Writers stop, stall and go on, either side stalls, and the daemon is killed and stands still at bad moments.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from sandbox.aws import AwsServer
from sandbox.processes import replicator_program
from scenarios.migration import Daemon, running
from scenarios.world import World, world

MAX_LAG_S = 4.0

CUTOVER = {"max_lag_s": MAX_LAG_S, "steady_s": 2, "max_gap_s": 2}

WAIVED = {"waive": {"verification": "the test compares", "foreign": "the test compares"}}

KEYS = 10


@dataclass
class Trial:
    """Writes, asks, and holds every answer against what was acknowledged."""

    w: World
    daemon: Daemon
    acknowledged: list[tuple[float, str, int]] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)
    _going: anyio.Event = field(default_factory=anyio.Event)

    async def write(self) -> None:
        """Upserts of a few keys, each in a higher version, while it is not stalled."""
        version = 0
        while True:
            await self._going.wait()
            version += 1
            key = f"o{version % KEYS}"
            item = {"customer": {"S": "c"}, "order_id": {"S": key}, "version": {"N": str(version)}}
            await self.w.dynamodb.put_item(TableName=self.w.table, Item=item)
            self.acknowledged.append((time.time(), key, version))
            await anyio.sleep(0.03)

    def go_on(self) -> None:
        self._going.set()

    def stall(self) -> None:
        self._going = anyio.Event()

    async def ask(self) -> None:
        """All the time. A daemon that does not answer is not ready."""
        while True:
            asked_at = time.time()
            try:
                _, answer = await self.daemon.get("/v1/cutover")
            except (aiohttp.ClientError, TimeoutError):
                answer = {"ready": False}
            self.answers.append(answer["ready"])
            if answer["ready"]:
                self._hold_against_the_truth(asked_at, answer["pipelines"]["orders"])
            await anyio.sleep(0.05)

    async def until(self, ready: bool, within_s: float = 60) -> None:
        """Waits for the next answer of this kind."""
        seen = len(self.answers)
        with anyio.move_on_after(within_s):
            while ready not in self.answers[seen:]:  # noqa: ASYNC110 — the answers come by polling too
                await anyio.sleep(0.05)
            return
        raise AssertionError(f"not within {within_s} s: {await self.daemon.get('/v1/cutover')}")

    async def command(self, *options: str) -> int:
        """The exit code of `replicator cutover status`."""
        log = self.w.folder / "cutover.log"
        arguments = ("cutover", "status", *options, "--url", self.daemon.url)
        async with replicator_program(log, *arguments, environment=self.w.environment) as program:
            return await program.wait(90)

    def _hold_against_the_truth(self, asked_at: float, pipeline: dict[str, Any]) -> None:
        through = datetime.fromisoformat(pipeline["replicated_through"]).timestamp()
        held = {document["order_id"]: document["version"] for document in self.w.documents()}
        for at, key, version in self.acknowledged:
            missing = held.get(key, 0) < version
            assert not (missing and at < max(asked_at - MAX_LAG_S, through)), (asked_at, through, at, key, version)


@asynccontextmanager
async def trial(aws: AwsServer, folder: Path) -> AsyncIterator[Trial]:
    async with world(aws, folder) as w:
        w.config["pipelines"]["orders"]["cutover"] = WAIVED
        w.write_config(cutover=CUTOVER)
        async with running(w.daemon()) as daemon:
            made = Trial(w, daemon)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(made.write)
                tasks.start_soon(made.ask)
                made.go_on()
                yield made
                tasks.cancel_scope.cancel()


async def test_ready_is_never_said_while_an_acknowledged_change_is_missing(aws: AwsServer, tmp_path: Path) -> None:
    async with trial(aws, tmp_path) as t:
        assert await t.command() == 1, "the steady period has only begun"
        assert await t.command("--wait", "--timeout", "60") == 0
        assert await t.daemon.metric("replicator_cutover_ready") == 1
        assert await t.daemon.metric("replicator_cutover_check", pipeline="orders", check="lag") == 1

        t.w.target_proxy.pause()
        await t.until(ready=False)
        assert await t.command("--wait", "--timeout", "0.5") == 1
        t.stall()
        t.w.target_proxy.resume()
        await t.until(ready=True)

        t.w.source_proxy.pause()
        t.go_on()
        await t.until(ready=False)
        t.w.source_proxy.resume()
        await t.until(ready=True)

        t.daemon.program.send(signal.SIGSTOP)
        await anyio.sleep(2.5)
        t.daemon.program.send(signal.SIGCONT)
        await t.until(ready=False)

        await t.daemon.kill()
        assert await t.command() == 2
        await t.daemon.start()
        await t.until(ready=False)
        t.stall()
        await t.until(ready=True)
        assert sum(t.answers) > 50, "or little was tested"
    events = [event["event"] for event in t.daemon.events()]
    assert "ready for the cutover" in events

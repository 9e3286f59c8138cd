"""Promise: workers of one host share one state file, are started again when they are killed, and end together."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import anyio
import psutil

from sandbox.aws import AwsServer
from sandbox.workload import Writer
from scenarios.migration import DEADLINE_S, Daemon, run_command, running
from scenarios.world import world


async def until_together(daemon: Daemon, count: int, without: int = 0) -> list[dict[str, Any]]:
    """The replicas, once so many work together and none is the process `without`."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                _, status = await daemon.get("/v1/status")
            except OSError:
                status = {}
            replicas = status.get("replicas", [])
            if len(replicas) == count and without not in map(pid, replicas):
                return list(replicas)
            await anyio.sleep(0.1)


def pid(replica: dict[str, Any]) -> int:
    return int(replica["name"].split(":")[1])


async def test_workers_share_the_work_and_are_started_again(aws: AwsServer, tmp_path: Path) -> None:
    async with world(aws, tmp_path, source={"segments": 4}) as w, running(w.daemon("--workers", "2")) as daemon:
        writer = Writer(w.dynamodb, w.table, space="w", keys=16, rate_per_s=60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            leader, member = await until_together(daemon, 2)
            await daemon.until(lambda s: s["phase"] == "following" and s["applied"] > 50)
            w.watch()
            w.observer.begin()
            os.kill(pid(member), signal.SIGKILL)
            leader, member = await until_together(daemon, 2, without=pid(member))
            writer.stop()
        await daemon.caught_up(time.time())
        await daemon.program.stop()
        assert daemon.program.exit_code == 0, daemon.program.tail()
        assert not any(psutil.pid_exists(pid(process)) for process in (leader, member))
        await w.assert_equal()


async def test_what_must_be_mended_first_ends_all_of_them(aws: AwsServer, tmp_path: Path) -> None:
    async with world(aws, tmp_path, source={"table": "nothing-of-this-name"}) as w:
        code, said = await run_command(w, "run", "--workers", "2")
        assert code == 2
        assert "nothing-of-this-name" in said

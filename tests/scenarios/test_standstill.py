"""Promise: a daemon that stood still for longer than its lease is replaced, and spoils nothing when it goes on."""

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.workload import Writer
from scenarios.migration import Daemon, running
from scenarios.world import world


@pytest.mark.parametrize("successor_stops", [False, True])
async def test_a_stopped_daemon_is_replaced_and_spoils_nothing_when_it_goes_on(
    aws: AwsServer, tmp_path: Path, successor_stops: bool
) -> None:
    """Stopped in the middle of its work, wherever that is; the other one still runs by then, or has been and gone."""
    async with world(aws, tmp_path) as w, running(w.daemon()) as first:
        writer = Writer(w.dynamodb, w.table, space="w", keys=16, rate_per_s=60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            await first.until(lambda s: s["phase"] == "following" and s["applied"] > 50)
            w.watch()
            w.observer.begin()
            await _stand_still(first, tmp_path / "replicator.sqlite")
            async with running(w.daemon()) as second:
                await second.until(lambda s: s["applied"] > 50)
                if successor_stops:
                    await second.program.stop()
                await _goes_on_and_ends(first)
                writer.stop()
                if not successor_stops:
                    await second.caught_up(time.time())
        async with running(w.daemon()) as third:
            await third.caught_up(time.time())
        await w.assert_equal()


async def _stand_still(daemon: Daemon, state: Path) -> None:
    """Anywhere but inside a transaction of its state store: whoever comes then is refused, and rightly so."""
    with closing(sqlite3.connect(state, timeout=0, isolation_level=None)) as db:
        while True:
            daemon.program.send(signal.SIGSTOP)
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                daemon.program.send(signal.SIGCONT)
                await anyio.sleep(0.003)
            else:
                db.execute("ROLLBACK")
                return


async def _goes_on_and_ends(daemon: Daemon) -> None:
    daemon.program.send(signal.SIGCONT)
    assert await daemon.program.wait() == 1
    assert "another daemon has taken the migration over" in daemon.program.log.read_text()

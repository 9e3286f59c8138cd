"""Promise: SIGTERM finishes what was read and saves it, a second signal stops at once, a restart goes on from there."""

import signal
import time
from pathlib import Path

import anyio

from sandbox.aws import AwsServer
from sandbox.faults import Delay, Stall
from sandbox.workload import Writer, seed
from scenarios.migration import running
from scenarios.world import world

ITEMS = 1000

SLOW_MACHINE_S = 25
"""Half of what it would take, or less, if what is promised were not kept."""


async def test_sigterm_during_the_copy_saves_and_a_restart_resumes(aws: AwsServer, tmp_path: Path) -> None:
    """What had been copied is not read again."""
    async with world(aws, tmp_path, source={"max_read_units": 8, "segments": 16}) as w:
        await seed(w.dynamodb, w.table, ITEMS)
        async with running(w.daemon()) as daemon:
            before = await daemon.until(lambda s: 0 < s["copied"] < ITEMS)
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait() == 0
            assert daemon.events()[-1]["drained"] is True
            w.write_config(pipelines=_without_budget(w.config["pipelines"]))
            await daemon.start()
            status = await daemon.caught_up(time.time())
            assert status["copied"] >= ITEMS
            read = await daemon.metric("replicator_changes_read_total", kind="copy")
            assert read <= status["copied"] - before["copied"], "copied rows were read once more"
            waited = [e for e in daemon.events() if "waiting for the lease" in e["event"]]
            assert not waited, "an orderly stop gives the lease back"
        await w.assert_equal()


async def test_sigterm_while_following_loses_nothing_and_replays_nothing(aws: AwsServer, tmp_path: Path) -> None:
    """The position is saved without an intent, so there is nothing to replay."""
    async with world(aws, tmp_path) as w:
        writer = Writer(w.dynamodb, w.table, space="w", rate_per_s=40)
        async with anyio.create_task_group() as tasks, running(w.daemon()) as daemon:
            tasks.start_soon(writer.run)
            await daemon.until(lambda s: s["phase"] == "following")
            w.watch()
            w.observer.begin()
            for _ in range(3):
                await daemon.until(lambda s: s["applied"] > 20)
                daemon.program.send(signal.SIGTERM)
                assert await daemon.program.wait() == 0
                await daemon.start()
            writer.stop()
            await daemon.caught_up(time.time())
            assert not [e for e in daemon.events() if "replaying" in e["event"]]
        await w.assert_equal()


async def test_a_drain_that_cannot_finish_ends_at_the_deadline(aws: AwsServer, tmp_path: Path) -> None:
    """The target does not answer: the daemon ends all the same, says so, and a restart repairs what was cut off."""
    async with world(aws, tmp_path, limits={"drain_deadline_s": 2}) as w:
        await seed(w.dynamodb, w.table, 200)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            stalled = w.target_proxy.inject(Stall(), method="POST", path="/docs")
            writer = Writer(w.dynamodb, w.table, space="w", rate_per_s=200)
            await writer.run(operations=50)
            await stalled.wait_for_hits(1)
            started = time.monotonic()
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait() == 1
            assert 1.5 < time.monotonic() - started < SLOW_MACHINE_S
            assert daemon.events()[-1]["drained"] is False
            stalled.lift()
            await daemon.start()
            await daemon.caught_up(time.time())
        await w.assert_equal()


async def test_a_second_signal_stops_at_once(aws: AwsServer, tmp_path: Path) -> None:
    """However long the drain would still take."""
    async with world(aws, tmp_path, limits={"drain_deadline_s": 60}) as w:
        await seed(w.dynamodb, w.table, 200)
        async with running(w.daemon()) as daemon:
            await daemon.caught_up(time.time())
            stalled = w.target_proxy.inject(Stall(), method="POST", path="/docs")
            await Writer(w.dynamodb, w.table, space="w", rate_per_s=200).run(operations=50)
            await stalled.wait_for_hits(1)
            daemon.program.send(signal.SIGTERM)
            await daemon.program.line('"stopping"')
            await anyio.sleep(0.3)
            assert daemon.program.exit_code is None, "the first signal alone drains"
            started = time.monotonic()
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait() == 1
            assert time.monotonic() - started < SLOW_MACHINE_S


async def test_a_signal_before_anything_runs_ends_it(aws: AwsServer, tmp_path: Path) -> None:
    """Even while the target makes the start wait."""
    async with world(aws, tmp_path) as w:
        w.target_proxy.inject(Delay(seconds=2 * SLOW_MACHINE_S))
        async with running(w.daemon()) as daemon:
            await daemon.program.line('"http interface"')
            daemon.program.send(signal.SIGTERM)
            assert await daemon.program.wait(SLOW_MACHINE_S) == 0, "nothing was read that could be cut off"


def _without_budget(pipelines: dict[str, dict[str, dict[str, object]]]) -> object:
    source = {**pipelines["orders"]["source"], "max_read_units": 20_000}
    return {"orders": {**pipelines["orders"], "source": source}}

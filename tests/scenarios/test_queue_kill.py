"""Promise: whatever is killed when, each message arrives, once where duplicates are detected, in its group's order."""

import random
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Stall
from sandbox.servicebus import Fault
from scenarios.migration import Daemon, running
from scenarios.queue_world import QueueWorld, queue_world, until

KILLS = 10
BETWEEN = 5
"""So many new messages arrive in each queue before the next kill is prepared."""


@pytest.mark.timeout(180)
async def test_killed_ten_times_under_load_every_message_arrives_once_and_groups_keep_their_order(
    aws: AwsServer, tmp_path: Path
) -> None:
    """A standard and a FIFO queue at once; what was sent and not deleted before a crash is dropped as a duplicate."""
    async with queue_world(aws, tmp_path, "jobs.fifo", "mail") as w:
        senders = {name: w.sender(name, rate_per_s=8) for name in w.queues}
        async with anyio.create_task_group() as tasks, running(w.daemon()) as daemon:
            for sender in senders.values():
                tasks.start_soon(sender.run)
            await _kill_often(daemon, w)
            for sender in senders.values():
                sender.stop()
            await w.forwarded()
        for name, sender in senders.items():
            found = await w.arrived(name, sender.sent)
            assert found.is_right, found
            assert found.duplicates == 0, found
            assert found.received == sender.counts.messages > KILLS * BETWEEN
            assert w.broker.stats()["queues"][name]["duplicates"] > 0, "some were sent again after a crash"
        assert await w.given_up() == 0


async def _kill_often(daemon: Daemon, w: QueueWorld) -> None:
    """By turns when messages were sent and are just being deleted, when they are just being sent, and at any moment."""
    moments = random.Random(3)
    for kill in range(KILLS):
        await _progress(w)
        if kill % 3 == 0:
            await _while_deleting(daemon, w)
        else:
            await _while_sending(daemon, w, moments.uniform(0, 0.3) if kill % 3 == 2 else 0)
        await daemon.start()


async def _progress(w: QueueWorld) -> None:
    goals = {name: w.accepted(name) + BETWEEN for name in w.queues}
    await until(lambda: all(w.accepted(name) >= goal for name, goal in goals.items()), "too little arrives")


async def _while_deleting(daemon: Daemon, w: QueueWorld) -> None:
    """From each queue."""
    with ExitStack() as rules:
        for name in w.queues:
            stall = w.proxy.inject(Stall(), headers={"X-Amz-Target": "DeleteMessageBatch"}, body=f"/{name}-")
            await rules.enter_context(stall).wait_for_hits()
        await daemon.kill()


async def _while_sending(daemon: Daemon, w: QueueWorld, later_s: float) -> None:
    """They arrive, and the daemon is not told; with `later_s` it is, and killed so many seconds afterwards."""
    number = w.broker.faults.add(Fault(operation="send*", when="after", stall=later_s == 0))
    await until(lambda: w.broker.faults.struck(number), "nothing is sent")
    if later_s:
        w.broker.faults.remove(number)
        await anyio.sleep(later_s)
    await daemon.kill()
    w.broker.faults.remove(number)

"""A table, a bucket and queues that are written to all the time while the daemon is killed.

Each says when it has come far enough for the next kill, brings about what the kill is to fall into, and judges in
the end what its observers and its consumer have seen.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Protocol

import anyio

from sandbox.faults import Stall
from sandbox.servicebus import Fault
from sandbox.workload import Writer, seed
from scenarios.bucket_world import BucketWorld
from scenarios.queue_world import QueueWorld, until

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from scenarios.migration import Daemon
    from scenarios.world import World

KILLS = 10


class Part(Protocol):
    """One kind of source under load, what it goes to, and who watches that."""

    async def fill(self) -> None:
        """Puts into it what the copy is to find."""

    async def write(self, tasks: TaskGroup) -> None:
        """It is written to in `tasks` from now on."""

    async def ready(self, daemon: Daemon, kill: int) -> None:
        """Returns when the daemon has come far enough for this kill."""

    def moment(self, kill: int) -> AbstractAsyncContextManager[None]:
        """Entered when what the kill is to fall into is under way; left when the daemon is dead."""

    def stop(self) -> None:
        """Nothing more is written."""

    async def arrived(self, daemon: Daemon) -> None:
        """Returns when everything is at the target."""

    async def judge(self) -> None:
        """Asserts what was promised; the daemon has been stopped."""


class TableUnderLoad:
    """Promises 1 to 4: nothing lost, per-key order, convergence, never backwards.

    The first kills fall into the copy, the others come soon after something was applied while following. Every other
    one comes while a write is under way, which then never reaches the target.
    """

    SEEDED = 1000
    RATES: ClassVar = {20: 20, 5000: 10}
    """Writes per second by number of keys. Hot keys, written every second, show what goes backwards; what is lost of a
    key hardly ever written stays lost.
    """

    KILLS_WHILE_COPYING = 4

    def __init__(self, world: World) -> None:
        self._w = world
        self._writers = [
            Writer(world.dynamodb, world.table, space=f"w{keys}", keys=keys, rate_per_s=rate)
            for keys, rate in self.RATES.items()
        ]

    async def fill(self) -> None:
        await seed(self._w.dynamodb, self._w.table, self.SEEDED)
        self._w.shrink_pages(7, probability=0.5)

    async def write(self, tasks: TaskGroup) -> None:
        for writer in self._writers:
            tasks.start_soon(writer.run)

    async def ready(self, daemon: Daemon, kill: int) -> None:
        if kill < self.KILLS_WHILE_COPYING:
            await daemon.until(lambda s: s["read"] > 0)
            return
        await daemon.until(lambda s: s["phase"] == "following" and s["applied"] > 0)
        self._w.watch()
        self._w.observer.begin()

    @asynccontextmanager
    async def moment(self, kill: int) -> AsyncIterator[None]:
        with ExitStack() as rules:
            if kill % 2:
                stall = self._w.target_proxy.inject(Stall(), method="POST", path="/docs")
                await rules.enter_context(stall).wait_for_hits()
            yield

    def stop(self) -> None:
        for writer in self._writers:
            writer.stop()

    async def arrived(self, daemon: Daemon) -> None:
        await daemon.caught_up(time.time())

    async def judge(self) -> None:
        found = await self._w.assert_equal()
        assert found.equal > self.SEEDED
        assert self._w.observer.seen > 100, "the observer must have watched the target being written"


class BucketUnderLoad:
    """Promises 1, 3 and 4: nothing that was staged and not committed is ever seen, and nothing that was received and
    not applied is lost. No listing mends what events tell.

    Objects are overwritten, deleted, tagged and labelled anew, some of several MB. By turns a kill comes at any moment,
    while blocks are being staged, and while something is being committed.
    """

    SEEDED, HOT_KEYS, RARE_KEYS = 30, 20, 3000
    KILLS_WHILE_COPYING = 3
    LARGE_BYTES = 3_000_000
    BLOCK = r"comp=block(&|$)"
    COMMIT_OR_SMALL = r"comp=blocklist|^[^?]*$"

    TARGET: ClassVar = {"block_bytes": 1024 * 1024}
    """So that the large ones have three blocks."""

    def __init__(self, world: BucketWorld) -> None:
        self._w = world
        self._writers = [
            world.writer(f"w{keys}", keys=keys, rate_per_s=rate, parts_share=0.05)
            for keys, rate in ((self.HOT_KEYS, 1.5), (self.RARE_KEYS, 2.5))
        ]

    async def fill(self) -> None:
        for number in range(self.SEEDED):
            await self._w.put(f"seeded/{number}", random.Random(number).randbytes(20_000))

    async def write(self, tasks: TaskGroup) -> None:
        for writer in self._writers:
            tasks.start_soon(writer.run)

    async def ready(self, daemon: Daemon, kill: int) -> None:
        await daemon.until(lambda s: s["read"] > 0)
        if kill >= self.KILLS_WHILE_COPYING:
            await daemon.until(lambda s: s["copy_stage"] == "swept" and s["applied"] > 0)

    @asynccontextmanager
    async def moment(self, kill: int) -> AsyncIterator[None]:
        key, path = f"large/{kill}", {1: f"large/{kill}.*{self.BLOCK}", 2: self.COMMIT_OR_SMALL}.get(kill % 3)
        staging = kill % 3 == 1
        with ExitStack() as rules:
            if path is not None:
                stall = self._w.target_proxy.inject(Stall(), method="PUT", path=path, skip=2 if staging else 0)
                under_way = rules.enter_context(stall)
                if staging:
                    await self._w.put(key, random.Random(key).randbytes(self.LARGE_BYTES))
                await under_way.wait_for_hits()
            yield
        if staging:
            await self._assert_unseen(key)

    async def _assert_unseen(self, key: str) -> None:
        """Two blocks of three have come through: what is left of them must not become part of any blob."""
        left = [blob.name async for blob in self._w.container.list_blobs(include=["uncommittedblobs"])]
        assert key in left
        assert await self._w.blob(key) is None

    def stop(self) -> None:
        for writer in self._writers:
            writer.stop()

    async def arrived(self, daemon: Daemon) -> None:
        await self._w.settled(daemon)

    async def judge(self) -> None:
        counts = [writer.counts for writer in self._writers]
        assert sum(each.retag + each.relabel + each.delete for each in counts) > 5, counts
        await self._w.assert_equal()
        assert self._w.observer.seen > 100, "the observer must have watched the target being written"


class QueuesUnderLoad:
    """Each message arrives, once where duplicates are detected, in its group's order: of a standard and a FIFO queue.
    What was sent and not deleted before a crash is dropped as a duplicate.

    By turns a kill comes when messages were sent and are just being deleted, when they are just being sent, and soon
    after that.
    """

    NAMES = ("jobs.fifo", "mail")

    BETWEEN = 5
    """So many new messages arrive in each queue before the next kill is prepared."""

    def __init__(self, world: QueueWorld) -> None:
        self._w = world
        self._senders = {name: world.sender(name, rate_per_s=5) for name in world.queues}
        self._moments = random.Random(3)

    async def fill(self) -> None:
        """There is no copy."""

    async def write(self, tasks: TaskGroup) -> None:
        for sender in self._senders.values():
            tasks.start_soon(sender.run)

    async def ready(self, daemon: Daemon, kill: int) -> None:
        goals = {name: self._w.accepted(name) + self.BETWEEN for name in self._w.queues}
        await until(lambda: all(self._w.accepted(name) >= goal for name, goal in goals.items()), "too little arrives")

    def moment(self, kill: int) -> AbstractAsyncContextManager[None]:
        if kill % 3 == 0:
            return self._deleting()
        return self._sending(self._moments.uniform(0, 0.3) if kill % 3 == 2 else 0)

    @asynccontextmanager
    async def _deleting(self) -> AsyncIterator[None]:
        """From each queue."""
        with ExitStack() as rules:
            for name in self._w.queues:
                stall = self._w.proxy.inject(Stall(), headers={"X-Amz-Target": "DeleteMessageBatch"}, body=f"/{name}-")
                await rules.enter_context(stall).wait_for_hits()
            yield

    @asynccontextmanager
    async def _sending(self, later_s: float) -> AsyncIterator[None]:
        """They arrive, and the daemon is not told; with `later_s` it is, and killed so many seconds afterwards."""
        faults = self._w.broker.faults
        number = faults.add(Fault(operation="send*", when="after", stall=later_s == 0))
        await until(lambda: faults.struck(number), "nothing is sent")
        if later_s:
            faults.remove(number)
            await anyio.sleep(later_s)
        yield
        faults.remove(number)

    def stop(self) -> None:
        for sender in self._senders.values():
            sender.stop()

    async def arrived(self, daemon: Daemon) -> None:
        await self._w.forwarded()

    async def judge(self) -> None:
        for name, sender in self._senders.items():
            found = await self._w.arrived(name, sender.sent)
            assert found.is_right, found
            assert found.duplicates == 0, found
            assert found.received == sender.counts.messages > KILLS * self.BETWEEN
            assert self._w.broker.stats()["queues"][name]["duplicates"] > 0, "some were sent again after a crash"
        assert await self._w.given_up() == 0

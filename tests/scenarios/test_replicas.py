"""Promise: several replicas with their state in blobs share one table, and whatever becomes of any of them nothing is
lost, nothing goes backwards, and the others go on.
"""

import random
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.azurite import Azurite
from sandbox.faults import FaultProxy
from sandbox.processes import replicator_program
from sandbox.workload import Writer
from scenarios.migration import DEADLINE_S, LIMITS, Daemon
from scenarios.world import World, world

LEASE_S = float(LIMITS["lease_s"])


@dataclass
class Replica:
    """One process, and its own way to the state store."""

    name: str
    daemon: Daemon
    store: FaultProxy


@dataclass
class Replicas:
    """Those that run."""

    w: World
    azurite: Azurite
    state: dict[str, Any]
    stack: AsyncExitStack
    all: dict[str, Replica] = field(default_factory=dict)

    async def start(self, name: str) -> Replica:
        """A new process, or one that was there before, started again."""
        if name not in self.all:
            store = await self.stack.enter_async_context(FaultProxy("127.0.0.1", self.azurite.port))
            path = self.w.folder / f"{name}.yaml"
            state = {**self.state, "endpoint": f"{store.endpoint}/{self.azurite.account_name}"}
            self.w.write_config(state=state, replicas={})
            self.w.path.rename(path)
            self.w.write_config()
            program = replicator_program(
                self.w.folder / f"{name}.log", "run", str(path), environment=self.w.environment
            )
            self.all[name] = Replica(name, Daemon(program, self.w.http), store)
            self.stack.push_async_callback(program.stop)
        await self.all[name].daemon.start()
        return self.all[name]

    async def leader(self) -> Replica:
        """The one that leads now, as somebody who runs knows."""
        with anyio.fail_after(DEADLINE_S):
            while True:
                for replica in self.running():
                    for seen in await self.seen(replica):
                        found = next((r for r in self.running() if f":{r.daemon.program.pid}:" in seen["name"]), None)
                        if seen["leads"] and found is not None:
                            return found
                await anyio.sleep(0.1)

    def running(self) -> list[Replica]:
        return [r for r in self.all.values() if r.daemon.program.exit_code is None]

    async def seen(self, replica: Replica) -> list[dict[str, Any]]:
        """What it says of all."""
        try:
            status, answer = await replica.daemon.get("/v1/status")
        except (OSError, TimeoutError):
            return []
        return list(answer["replicas"]) if status == 200 else []

    async def until_spread(self, count: int) -> list[int]:
        """The partitions of each, once so many work together and none has two more than another."""
        with anyio.fail_after(DEADLINE_S):
            while True:
                for replica in self.running():
                    partitions = sorted(seen["partitions"] for seen in await self.seen(replica))
                    if len(partitions) == count and sum(partitions) and partitions[-1] - partitions[0] <= 1:
                        return partitions
                await anyio.sleep(0.1)

    async def trouble(self, kind: str, whom: Replica) -> None:
        """Something becomes of one of them; it runs again when this returns, as an orchestrator would have it."""
        program = whom.daemon.program
        match kind:
            case "killed":
                await whom.daemon.kill()
            case "stopped":
                await program.stop()
            case "stood still":
                program.send(signal.SIGSTOP)
                await anyio.sleep(LEASE_S + 2)
                program.send(signal.SIGCONT)
            case _:
                whom.store.pause()
                await anyio.sleep(LEASE_S + 2)
                whom.store.resume()
        with anyio.move_on_after(LEASE_S):
            await program.wait()  # whoever led has lost its lease
        if program.exit_code is not None:
            await self.start(whom.name)


@asynccontextmanager
async def replicas(aws: AwsServer, azurite: Azurite, folder: Path, *names: str) -> AsyncIterator[Replicas]:
    state = {"type": "blob", "container": f"s{uuid.uuid4().hex}", "create": True, "key": azurite.account_key}
    async with world(aws, folder, source={"segments": 6}) as w, AsyncExitStack() as stack:
        found = Replicas(w, azurite, state, stack)
        for name in names:
            await found.start(name)
        yield found


KINDS = ("killed", "stood still", "cut off", "stopped")


async def endure(r: Replicas, troubles: list[tuple[str, bool]]) -> None:
    """One trouble after the other beside a writer: of which kind, and whether the leader has it."""
    writer = Writer(r.w.dynamodb, r.w.table, space="w", keys=16, rate_per_s=60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        leader = await r.leader()
        await leader.daemon.until(lambda s: s["phase"] == "following" and s["applied"] > 50)
        assert await r.until_spread(3)
        r.w.watch()
        r.w.observer.begin()
        for kind, at_the_leader in troubles:
            leader = await r.leader()
            others = [replica for replica in r.running() if replica is not leader]
            await r.trouble(kind, leader if at_the_leader else others[0])
            await r.until_spread(3)
        writer.stop()
    moment = time.time()
    for replica in r.running():
        await replica.daemon.caught_up(moment)
    await r.w.assert_equal()
    assert r.w.observer.seen > 50


async def test_they_share_the_work_and_outlive_each_other(aws: AwsServer, azurite: Azurite, tmp_path: Path) -> None:
    async with replicas(aws, azurite, tmp_path, "a", "b", "c") as r:
        await endure(r, [("killed", True), ("stood still", False), ("cut off", True)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_ten_times_whatever_becomes_of_them(aws: AwsServer, azurite: Azurite, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    troubles = [(chance.choice(KINDS), chance.random() < 0.5) for _ in range(10)]
    async with replicas(aws, azurite, tmp_path, "a", "b", "c") as r:
        await endure(r, troubles)

"""A replica that does not lead: it runs the partitions that it is given, and keeps nothing itself.

What the loops would save they ask the leader to save, and go on when it has. Requests to a target are started only
while that is granted; without the leader everything ends at once, and another one is looked for.
"""

import math
from contextlib import AsyncExitStack
from typing import Any

import anyio
import structlog
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from replicator.clocks import elapsed_s
from replicator.engine.lease import RENEWALS
from replicator.engine.opening import Shared
from replicator.engine.placing import Assignment
from replicator.model import Budgets
from replicator.naming import load_naming
from replicator.replicas.channel import Channel, ChannelClosedError, Params, RefusedError
from replicator.replicas.invitation import Invitation, read_invitation
from replicator.replicas.network import Network
from replicator.replicas.wire import ASSIGNMENT, REPORTS, SHARES, VERSION
from replicator.replicas.work import Work

LOOK_AGAIN_S = 0.5
"""How often a leader is looked for."""

TELL_INTERVAL_S = 0.1
"""How often the leader hears how far a partition has come."""


class Member:
    """One replica while it does not lead. `shared` is what its pipelines have in common, the fence that of all."""

    def __init__(self, shared: Shared, name: str, fingerprint: str, network: Network) -> None:
        self._network = network
        self._shared = shared
        self._name = name
        self._fingerprint = fingerprint
        self._stopping = anyio.Event()
        self._membership: _Membership | None = None
        self._refused_by: Invitation | None = None

    @property
    def is_working(self) -> bool:
        """Whether there is a leader, and it has taken this replica in."""
        return self._membership is not None and self._membership.has_joined

    async def ask(self, method: str, params: Params) -> Any:
        """Asks the leader. Raises RefusedError, and ChannelClosedError also where there is none."""
        if self._membership is None or not self._membership.has_joined:
            raise ChannelClosedError("nobody leads")
        return await self._membership.ask(method, params)

    def stop(self) -> None:
        """What was read is finished and given back, and then `work` returns, for good."""
        self._stopping.set()

    async def work(self, left_s: float) -> bool:
        """Works for the leader as long as there is one; returns when the lease should be asked for again, which the
        last leader holds for `left_s` yet, or False when it was told to stop.
        """
        if not self._stopping.is_set():
            await self._work(left_s)
        return not self._stopping.is_set()

    async def _work(self, left_s: float) -> None:
        invitation = await read_invitation(self._shared.store)
        stream = None if invitation is None else await self._network.connect(invitation)
        if stream is None or invitation is None:
            with anyio.move_on_after(min(left_s, LOOK_AGAIN_S)):
                await self._stopping.wait()
            return
        try:
            async with stream:
                self._membership = _Membership(self._shared, self._name, self._fingerprint, stream)
                await self._membership.run(invitation.token, self._stopping)
        except* ChannelClosedError:
            structlog.get_logger().info("the leader is gone")
        except* RefusedError as refused:
            if self._refused_by != invitation:  # it is asked again and again, and told once
                self._refused_by = invitation
                structlog.get_logger().warning("the leader refuses this replica", reason=str(refused.exceptions[0]))
            await anyio.sleep(LOOK_AGAIN_S)
        finally:
            self._membership = None
            self._shared.fence.extend(float("-inf"))


class _Membership:
    """One connection to one leader."""

    def __init__(self, shared: Shared, name: str, fingerprint: str, stream: ByteStream) -> None:
        self._shared = shared
        self._name = name
        self._fingerprint = fingerprint
        self.has_joined = False
        self._lease_s = shared.config.limits.lease_s
        self._shares: dict[str, Budgets] = {}
        self._works: dict[str, Work] = {}
        self._queues: dict[str, MemoryObjectSendStream[tuple[int, Assignment]]] = {}
        self._at: dict[int, Work] = {}
        self._tasks: TaskGroup | None = None
        told = {"assign": self._assign, "revoke": self._revoke, "budgets": self._share}
        self._channel = Channel(stream, {}, told)

    async def run(self, token: str, stopping: anyio.Event) -> None:
        """Until the connection ends, or everything was given back. Raises ChannelClosedError, or RefusedError."""
        shared = self._shared
        shared.naming = await load_naming(shared.store, hashed=shared.config.keys == "hashed")
        hello = {"name": self._name, "token": token, "version": VERSION, "fingerprint": self._fingerprint}
        async with AsyncExitStack() as self._open, anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._serve)
            await self._granted("join", hello)
            self.has_joined = True
            structlog.get_logger().info("working for the leader")
            self._tasks.start_soon(self._beat)
            self._tasks.start_soon(self._tell)
            await stopping.wait()
            await self._leave()
            self._tasks.cancel_scope.cancel()

    async def ask(self, method: str, params: Params) -> Any:
        """The leader's answer."""
        return await self._channel.call(method, params)

    async def _serve(self) -> None:
        await self._channel.serve()
        raise ChannelClosedError("the connection has ended")

    async def _granted(self, method: str, params: Params) -> None:
        """Asks for leave to have requests under way, counted from before it was asked for."""
        asked_at = elapsed_s()
        try:
            with anyio.fail_after(self._lease_s):
                left_s = await self._channel.call(method, params)
        except TimeoutError as error:
            raise ChannelClosedError(method) from error
        self._shared.fence.extend(asked_at + left_s)

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self._lease_s / RENEWALS)
            reports = REPORTS.write({name: work.report for name, work in self._works.items()})
            await self._granted("beat", {"reports": reports})

    async def _tell(self) -> None:
        while True:
            await anyio.sleep(TELL_INTERVAL_S)
            for work in list(self._works.values()):
                await work.tell()

    async def _leave(self) -> None:
        await self._channel.call("leave", {})
        while any(not work.is_idle for work in self._works.values()):  # noqa: ASYNC110 — as long as each of them takes
            await anyio.sleep(TELL_INTERVAL_S)

    def _assign(self, params: Params) -> None:
        number, assignment = params["number"], ASSIGNMENT.read(params["assignment"])
        name = assignment.pipeline
        if name not in self._works:
            self._queues[name], received = anyio.create_memory_object_stream[tuple[int, Assignment]](math.inf)
            self._open.callback(self._queues[name].close)
            config = self._shared.config.pipelines[name]
            self._works[name] = Work(name, config, self._shared, self._channel, received)
            assert self._tasks is not None, "nothing is assigned before it has joined"  # noqa: S101
            self._works[name].limit(self._shares.get(name, Budgets()))
            self._tasks.start_soon(self._works[name].run)
        self._at[number] = self._works[name]
        self._queues[name].send_nowait((number, assignment))

    def _share(self, params: Params) -> None:
        self._shares = SHARES.read(params["shares"])
        for name, work in self._works.items():
            work.limit(self._shares[name])

    def _revoke(self, params: Params) -> None:
        work = self._at.pop(params["number"], None)
        if work is not None:
            work.revoke(params["number"])

"""The replica that leads: assigns partitions to the others, keeps the store for them, and takes back what they leave.

A member may start requests only while it is granted that, at each of its beats, and never for longer than the leader's
own lease on the state store lasts. So whoever takes the lease over after its end has waited for the members as well,
and a member that is not heard of any more is waited out for as long as it was granted.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import structlog
from anyio.abc import ByteStream

from replicator.clocks import elapsed_s
from replicator.config.models import ReplicasConfig
from replicator.delivery import Fence
from replicator.engine.pipeline import Pipeline
from replicator.engine.placing import Assigned, Assignment
from replicator.model import Checkpoint
from replicator.ports import StateStore
from replicator.replicas.channel import Params, RefusedError
from replicator.replicas.invitation import Invitation, invite, new_identity
from replicator.replicas.network import Network
from replicator.replicas.session import Session
from replicator.replicas.spread import surplus
from replicator.status import ReplicaStatus
from replicator.telemetry import Metrics

SPREAD_INTERVAL_S = 1.0

HERE = ""
"""This replica, among the names of the others."""


Answers = Callable[[Params], Awaitable[Params]]
"""What the HTTP interface answers to a request that came to another replica."""


async def _nothing(_: Params) -> Params:
    raise RefusedError("there is no HTTP interface")


class Leader:
    """`fingerprint` is of the config; `pipelines` are those that run here, from when they do."""

    def __init__(
        self,
        config: ReplicasConfig,
        store: StateStore,
        fence: Fence,
        name: str,
        fingerprint: str,
        network: Network,
        metrics: Metrics,
    ) -> None:
        self.answers: Answers = _nothing
        self.pipelines: Mapping[str, Pipeline[Any]] = {}
        self.sessions: dict[str, Session] = {}
        self._name = name
        self._metrics = metrics
        self._config = config
        self._store = store
        self._fence = fence
        self._fingerprint = fingerprint
        self._network = network
        self._granted_until = float("-inf")

    def assign(self, assignment: Assignment, advanced: Callable[[Checkpoint], None]) -> Assigned | None:
        """See `Cluster`."""
        counts = self.counts(assignment.pipeline)
        name = min(counts, key=lambda name: (counts[name], name != HERE))
        return None if name == HERE else self.sessions[name].give(assignment, advanced)

    def counts(self, pipeline: str | None = None) -> dict[str, int]:
        """How many partitions each replica runs; only of those that may be given some of this pipeline."""
        here = sum(len(p.placing.here) for p in self.pipelines.values())
        members = {name: len(s.given) for name, s in self.sessions.items() if s.is_willing(pipeline)}
        return {HERE: here, **members}

    def seen(self) -> list[ReplicaStatus]:
        """All that work together, this one first."""
        here = ReplicaStatus(name=self._name, leads=True, partitions=self.counts()[HERE], heard_s=0.0)
        members = self.sessions.items()
        return [
            here,
            *(ReplicaStatus(name=n, leads=False, partitions=len(s.given), heard_s=s.heard_s) for n, s in members),
        ]

    @property
    def granted_s(self) -> float:
        """For how long members may yet have requests under way; not at all when all partitions came back."""
        until = [self._granted_until, *(session.granted_until for session in self.sessions.values() if session.given)]
        return max(0.0, max(until) - elapsed_s())

    async def run(self) -> None:
        """Listens, and spreads the partitions, until cancelled. Raises ConfigurationError where it cannot listen."""
        identity = new_identity()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._spread)
            await self._network.listen(
                self._config, identity, self._listening, lambda stream: self._serve(stream, identity.token)
            )

    async def _listening(self, invitation: Invitation) -> None:
        await invite(self._store, invitation)
        structlog.get_logger().info("leading", address=f"{invitation.host}:{invitation.port}")

    async def _serve(self, stream: ByteStream, token: str) -> None:
        session = Session(
            stream,
            self._store,
            self._fence,
            token,
            self._fingerprint,
            self.pipelines,
            self.answers,
        )
        session.joined = lambda: self._joined(session)
        try:
            await session.serve()
        finally:
            if self.sessions.get(session.name) is session:
                del self.sessions[session.name]
                tell = structlog.get_logger().warning if session.given else structlog.get_logger().info
                tell("a replica has left", replica=session.name, partitions=len(session.given))
            if session.given:
                self._granted_until = max(self._granted_until, session.granted_until)
            session.lose()

    def _joined(self, session: Session) -> None:
        self.sessions[session.name] = session
        structlog.get_logger().info("a replica has joined", replica=session.name, replicas=1 + len(self.sessions))

    async def _spread(self) -> None:
        """Moves partitions from who has too many. One step after the other, so that none is moved twice."""
        while True:
            await anyio.sleep(SPREAD_INTERVAL_S)
            self._metrics.replicas.set(1 + len(self.sessions))
            self._share()
            if not self._is_moving:
                for name, count in surplus(self.counts()).items():
                    (self._give_away if name == HERE else self.sessions[name].revoke)(count)

    def _share(self) -> None:
        """What all together may take of a service, each may take a part of."""
        for pipeline in self.pipelines.values():
            pipeline.control.divide(1 + len(self.sessions))
        shares = {name: pipeline.control.share for name, pipeline in self.pipelines.items()}
        for session in self.sessions.values():
            session.share(shares)

    @property
    def _is_moving(self) -> bool:
        return any(p.placing.is_moving for p in self.pipelines.values()) or any(
            session.is_revoking for session in self.sessions.values()
        )

    def _give_away(self, count: int) -> None:
        for pipeline in self.pipelines.values():
            for id_ in pipeline.placing.movable(pipeline.partitions)[:count]:
                pipeline.placing.move(id_)
                count -= 1

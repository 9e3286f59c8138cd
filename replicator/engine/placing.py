"""Where each partition of a pipeline runs: here, or at another replica it is assigned to.

One replica leads. It alone keeps the state store, the phases, the guards, the watermark and everything an operator
asks for; the others read and write partitions for it. So a partition may be elsewhere only while nothing but its own
changes decides how they are written: not in mode sync, not while keys are guarded, not during a drain, not while it is
paused. When such a time begins all partitions are brought home first.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from replicator.engine.applying import NONE_REFUSED
from replicator.engine.halting import Refused
from replicator.model import Checkpoint, Rule


@dataclass(frozen=True, slots=True)
class Assignment:
    """One partition, and all that whoever runs it must know beyond the config. It never changes: other terms are
    another assignment.
    """

    pipeline: str
    checkpoint: Checkpoint
    skip_before: datetime | None
    rule: Rule


class Running(Protocol):
    """A partition's loop in this process."""

    def stop(self) -> None:
        """Nothing more is read; what was read is finished and saved."""


class Assigned(Protocol):
    """A partition that runs at another replica."""

    def revoke(self) -> None:
        """Asks for it back. Idempotent."""

    @property
    def was_lost(self) -> bool:
        """Whether the other replica was never heard of again, so that nobody knows what it has sent last."""

    async def released(self) -> Checkpoint:
        """Its last checkpoint, once no request of the other replica for it can take effect any more.

        Raises PositionLostError where the other one found that.
        """


class Cluster(Protocol):
    """The replicas, as the pipelines of the one that leads see them."""

    def assign(self, assignment: Assignment, advanced: Callable[[Checkpoint], None]) -> Assigned | None:
        """Gives a partition to the replica with the fewest; None when that is this one. `advanced` is told how far it
        has come, as the loop here would tell, but for its end: what continues it must wait until it is released.
        """


class Alone:
    """There is no other replica."""

    def assign(self, assignment: Assignment, advanced: Callable[[Checkpoint], None]) -> Assigned | None:
        return None


ALONE = Alone()


class Placing:
    """The partitions of one pipeline. `run_here` starts a loop, which calls `ended` when it is over.

    `assignment` is what another replica would be told of a partition, None where it has to stay. `has_lost`: another
    replica was lost with one of them.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        run_here: Callable[[Checkpoint, Refused], Running],
        assignment: Callable[[Checkpoint], Assignment | None],
        advanced: Callable[[Checkpoint], None],
    ) -> None:
        self.has_lost = False
        self.here: dict[str, Running] = {}
        self.elsewhere: dict[str, Assigned] = {}
        self._cluster = cluster
        self._run_here = run_here
        self._assignment = assignment
        self._advanced = advanced
        self._tasks: TaskGroup | None = None
        self._moving: set[str] = set()
        self._held = 0
        self._home = anyio.Event()
        self._home.set()

    def begin(self, tasks: TaskGroup) -> None:
        """Waits for what is elsewhere in this task group, which therefore ends only when all has come home."""
        self._tasks = tasks

    def start(self, checkpoint: Checkpoint, passed_over: Refused = NONE_REFUSED) -> None:
        """Runs a partition, wherever there is the most room for it."""
        assigned = None
        assignment = None if self._held or passed_over else self._assignment(checkpoint)
        if assignment is not None:
            assigned = self._cluster.assign(assignment, self._advanced)
        if assigned is None:
            self.here[checkpoint.partition.id] = self._run_here(checkpoint, passed_over)
            return
        assert self._tasks is not None, "begun"  # noqa: S101
        self._home = anyio.Event() if self._home.is_set() else self._home
        self.elsewhere[checkpoint.partition.id] = assigned
        self._tasks.start_soon(self._await, checkpoint.partition.id, assigned)

    def ended(self, checkpoint: Checkpoint) -> None:
        """Told of a loop that is over here: it goes on elsewhere where it was asked to move."""
        id_ = checkpoint.partition.id
        self.here.pop(id_, None)
        if id_ in self._moving:
            self._moving.discard(id_)
            if not checkpoint.finished and self._tasks is not None:
                self.start(checkpoint)

    @property
    def is_moving(self) -> bool:
        """Whether something is on its way from here."""
        return bool(self._moving)

    def movable(self, checkpoints: list[Checkpoint]) -> list[str]:
        """Ids of those that run here and need not stay."""
        if self._held:
            return []
        return [
            c.partition.id
            for c in checkpoints
            if c.partition.id in self.here and not c.finished and self._assignment(c) is not None
        ]

    def move(self, partition: str) -> None:
        """Ends its loop here as soon as what was read is saved, and places it anew."""
        if partition in self.here and partition not in self._moving:
            self._moving.add(partition)
            self.here[partition].stop()

    def revoke(self) -> None:
        """Asks for everything back. What comes back is placed anew."""
        for assigned in self.elsewhere.values():
            assigned.revoke()

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Within, every partition is here, and no request of another replica can take effect."""
        self._held += 1
        try:
            self.revoke()
            await self._home.wait()
            yield
        finally:
            self._held -= 1

    def close(self) -> None:
        """Nothing is started any more. What is elsewhere is asked for, and `begin`'s task group ends with it."""
        self._tasks = None
        self.revoke()

    def over(self) -> None:
        """The loops are over, be it that they were cut off, and nobody waits for what is elsewhere any more."""
        self.close()
        self.here.clear()
        self._moving.clear()

    async def _await(self, partition: str, assigned: Assigned) -> None:
        try:
            checkpoint = await assigned.released()
        finally:
            assigned.revoke()  # where the pipeline has failed meanwhile, nothing of it is to go on elsewhere
            del self.elsewhere[partition]
            self.has_lost = self.has_lost or assigned.was_lost
            if not self.elsewhere:
                self._home.set()
        if checkpoint.finished:
            self._advanced(checkpoint)
        elif self._tasks is not None:
            self.start(checkpoint)

"""The partitions of one pipeline at a member: its two sides, opened once, and a loop for each partition."""

from dataclasses import asdict
from typing import Any

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream

from replicator.clocks import elapsed_s
from replicator.config.models import PipelineConfig
from replicator.engine.applying import Applier
from replicator.engine.control import apply_budgets
from replicator.engine.gate import Gate
from replicator.engine.guards import Guards
from replicator.engine.ledger import Ledger
from replicator.engine.loop import PartitionLoop
from replicator.engine.opening import Shared, Sides, connect, open_sides
from replicator.engine.placing import Assignment
from replicator.engine.reconciling import Reconciler
from replicator.errors import PositionLostError, ReplicatorError
from replicator.model import Batch, Budgets
from replicator.replicas.channel import Channel
from replicator.replicas.keeping import Kept
from replicator.telemetry import Report

NEVER_HALTED = "only mode sync halts, which is never assigned"


class Work:
    """One pipeline's. `assigned` are its partitions, by number, as they come."""

    def __init__(
        self,
        name: str,
        config: PipelineConfig,
        shared: Shared,
        channel: Channel,
        assigned: MemoryObjectReceiveStream[tuple[int, Assignment]],
    ) -> None:
        self._name = name
        self._config = config
        self._shared = shared
        self._channel = channel
        self._assigned = assigned
        self._sides: Sides | None = None
        self._loops: dict[int, PartitionLoop[Any]] = {}
        self._kept: dict[int, Kept] = {}
        self._share = Budgets()
        self._revoked: set[int] = set()
        most = shared.config.limits.max_batches
        self._copy_slots, self._follow_slots = anyio.Semaphore(most // 2), anyio.Semaphore(most - most // 2)

    async def run(self) -> None:
        """Until there is nothing more to come. What cannot be opened here is declined: another replica may have more
        luck, and the leader has looked at both sides itself.
        """
        async with self._assigned:
            try:
                await self._run_all()
            finally:
                if self._sides is not None:
                    self._sides.telemetry.rest()

    async def _run_all(self) -> None:
        try:
            async with open_sides(self._name, self._config, self._shared) as sides:
                await connect(sides)
                self._sides = sides
                self.limit(self._share)
                reconciler = Reconciler(sides.source, sides.target, sides.delivery.suspects, sides.payloads)
                async with anyio.create_task_group() as loops:
                    async for number, assignment in self._assigned:
                        loops.start_soon(self._run, sides, reconciler, number, assignment)
        except* ReplicatorError as errors:
            for error in errors.exceptions:
                structlog.get_logger().error("cannot help with this pipeline", pipeline=self._name, error=str(error))
            for number in tuple(self._kept):
                await self._release(number, declined=True)
            self._kept.clear()
            async for number, _ in self._assigned:
                await self._release(number, declined=True)

    def limit(self, share: Budgets) -> None:
        """What it may take from now on, or once it is connected."""
        self._share = share
        if self._sides is not None:
            apply_budgets(self._sides.source, self._sides.delivery, share)

    def revoke(self, number: int) -> None:
        """What was read of it is finished, and it is given back."""
        self._revoked.add(number)
        if number in self._loops:
            self._loops[number].stop()

    async def tell(self) -> None:
        """Tells the leader how far each partition has come."""
        for kept in list(self._kept.values()):
            await kept.tell()

    @property
    def is_idle(self) -> bool:
        """Whether it has no partition."""
        return not self._kept

    @property
    def report(self) -> Report:
        """What was done so far, and how it is going."""
        if self._sides is None:
            return Report()
        telemetry, delivery = self._sides.telemetry, self._sides.delivery
        return Report(
            **asdict(telemetry.totals),
            suspects=len(delivery.suspects),
            concurrency=delivery.concurrency,
            throttled_at=telemetry.throttled_at,
            degraded=telemetry.degraded,
        )

    async def _run(self, sides: Sides, reconciler: Reconciler[Any], number: int, assignment: Assignment) -> None:
        kept = self._kept[number] = Kept(self._channel, number)
        loop = self._loops[number] = self._loop(sides, reconciler, kept, assignment)
        if number in self._revoked:
            loop.stop()
        problem = ""
        send, receive = anyio.create_memory_object_stream[Batch[Any]](1)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loop.read, send)
                tasks.start_soon(loop.write, receive)
        except* PositionLostError as lost:
            problem = str(lost.exceptions[0])
        self._revoked.discard(number)
        await self._release(number, lost=problem)
        del self._loops[number], self._kept[number]
        if self.is_idle:
            sides.telemetry.rest()

    def _loop(
        self, sides: Sides, reconciler: Reconciler[Any], kept: Kept, assignment: Assignment
    ) -> PartitionLoop[Any]:
        applier = Applier(
            pipeline=self._name,
            target=sides.target,
            reconciler=reconciler,
            guards=Guards(),
            store=kept,
            payloads=sides.payloads,
            naming=self._shared.naming,
            telemetry=sides.telemetry,
        )
        applier.rule = assignment.rule
        applier.has_dead_letters = applier.has_discards = True  # the leader knows
        return PartitionLoop(
            pipeline=self._name,
            checkpoint=assignment.checkpoint,
            skip_before=assignment.skip_before,
            source=sides.source,
            applier=applier,
            store=kept,
            slots=self._copy_slots if assignment.checkpoint.partition.bounded else self._follow_slots,
            ledger=Ledger(),
            noticed=_noticed,
            telemetry=sides.telemetry,
            advanced=kept.advanced,
            gate=Gate(),
            halted=_halted,
        )

    async def _release(self, number: int, *, lost: str = "", declined: bool = False) -> None:
        suspects = self._sides.delivery.suspects if self._sides else None
        linger_s = max(0.0, suspects.latest - elapsed_s()) if suspects else 0.0
        params = {"number": number, "linger_s": linger_s, "lost": lost, "declined": declined}
        await self._channel.call("released", params)


async def _noticed(_changes: object) -> bool:
    """Changes count as late only during a drain, when every partition is with the leader."""
    return True


def _halted(_checkpoint: object, _refused: object) -> None:
    raise AssertionError(NEVER_HALTED)

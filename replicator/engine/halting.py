"""Partitions that stand still at a change that was refused, so that nothing overtakes it: mode sync.

What is kept of one is little: its checkpoint, whose intent is saved, and which changes were refused. It goes on as it
would after a restart, from that checkpoint, when all of their dead letters are gone: retried, so that the target holds
what the source does now, or discarded, so that the change itself is passed over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from replicator.model import Change, Checkpoint, R
from replicator.ports import StateStore
from replicator.telemetry import PipelineTelemetry

LOOK_INTERVAL_S = 1.0
"""How often the store is asked whether dead letters are gone: whoever closes them tells nobody else."""

Refused = frozenset[tuple[str, str]]
"""Changes, by key and version."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Where a partition stands, and at which changes."""

    checkpoint: Checkpoint
    refused: Refused

    @property
    def keys(self) -> list[str]:
        """Whose dead letters are waited for."""
        return sorted({key for key, _ in self.refused})


class Halts:
    """Those of one pipeline. `go_on` runs a partition's loop again and is told which refusals are settled."""

    def __init__(
        self,
        *,
        pipeline: str,
        store: StateStore,
        go_on: Callable[[Checkpoint, Refused], None],
        telemetry: PipelineTelemetry,
    ) -> None:
        self.by_partition: dict[str, Halt] = {}
        self._passed_over: dict[str, Halt] = {}
        self._pipeline = pipeline
        self._store = store
        self._go_on = go_on
        self._telemetry = telemetry

    def add(self, checkpoint: Checkpoint, refused: Sequence[Change[R]]) -> None:
        """A partition has stopped; its dead letters are in the store."""
        self.by_partition[checkpoint.partition.id] = Halt(checkpoint, frozenset((c.key, c.version) for c in refused))
        self._telemetry.log.error(
            "partition has stopped at a change that was refused",
            partition=checkpoint.partition.id,
            dead_letters=len(refused),
        )

    async def run(self) -> None:
        """Lets partitions go on, until cancelled."""
        while True:
            for id_, halt in tuple(self.by_partition.items()):
                if not await self._store.dead_letters_of(self._pipeline, halt.keys):
                    del self.by_partition[id_]
                    self._telemetry.log.info("partition goes on", partition=id_)
                    passed_over = self._passed_over[id_] = self._with_those_before(halt)
                    self._go_on(halt.checkpoint, passed_over.refused)
            await anyio.sleep(LOOK_INTERVAL_S)

    def _with_those_before(self, halt: Halt) -> Halt:
        """What was passed over before in the range that is replayed now is so again."""
        before = self._passed_over.get(halt.checkpoint.partition.id)
        if before is None or before.checkpoint.intent != halt.checkpoint.intent:
            return halt
        return replace(halt, refused=halt.refused | before.refused)

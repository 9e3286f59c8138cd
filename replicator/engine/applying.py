"""How a batch becomes durable at the target: folded, guarded where it must be, refusals kept as dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic

from replicator.engine.folding import fold
from replicator.engine.guards import Decision, Guards
from replicator.engine.inflight import Inflight
from replicator.engine.payloads import Payloads, read_from
from replicator.engine.reconciling import Reconciler
from replicator.model import Batch, Change, DeadLetter, Operation, Partition, Payload, R, Rejection, Rule
from replicator.naming import Naming
from replicator.ports import StateStore, Target
from replicator.telemetry import PipelineTelemetry

COPY_KIND = "copy"
FOLLOW_KIND = "follow"


class Applier(Generic[R]):
    """Applies the batches of all partitions of one pipeline.

    `rule` is how changes of the stream are written at present; `repairing` makes every write a reconcile.
    `has_dead_letters` says that some may be open, `has_discards` that some were discarded.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        target: Target[R],
        reconciler: Reconciler[R],
        guards: Guards,
        store: StateStore,
        payloads: Payloads[R],
        naming: Naming,
        telemetry: PipelineTelemetry,
    ) -> None:
        self.rule = Rule.OVERLAP
        self.repairing = False
        self.has_dead_letters = False
        self.has_discards = False
        self.inflight = Inflight()
        self._pipeline = pipeline
        self._target = target
        self._reconciler = reconciler
        self._guards = guards
        self._store = store
        self._payloads = payloads
        self._naming = naming
        self._telemetry = telemetry

    async def apply(self, partition: Partition, batch: Batch[R]) -> set[str]:
        """Returns when every change is durable at the target or a durable dead letter: the keys of these."""
        last = await self._wanted(batch)
        made_up = await self._dead_letters([c.key for c in last if batch.receipts or c.operation is Operation.LOOK])
        with self.inflight.entered():
            looks = [c for c in last if c.operation is Operation.LOOK]
            changed = await self._changed(partition, looks)
            rejections = await self._reconciler.reconcile(changed, self.rule, lambda _keys, _interval: None)
            written = [c for c in last if c.operation is not Operation.LOOK]
            rejections += await (self._copy(written) if partition.bounded else self._follow(written))
            if rejections:
                told = self._described(rejections, partition, batch)
                rejections = await self._keep(partition.id, told, _first_commits(batch.changes))
        kind = COPY_KIND if partition.bounded else FOLLOW_KIND
        rejected = {rejection.key for rejection in rejections}
        if made_up:
            await self._store.resolve_dead_letters([letter for letter in made_up if letter.key not in rejected])
        equal = len(looks) - len(changed)
        read, done = len(batch.changes) - equal, len(last) - equal
        self._telemetry.batch_applied(kind, read=read, written=done, rejected=len(rejections))
        return rejected

    async def reconcile(self, origin: str, since: Mapping[str, datetime | None]) -> None:
        """The guarded procedure for these keys; what the target refuses becomes a dead letter of `origin`.

        `since` names, for each key, the commit time of the oldest change that may be missing; None where it is unknown.
        """
        with self.inflight.entered():
            rejections = await self._reconciler.reconcile(list(since), self.rule, self._guards.reconciled)
            if rejections:
                await self._keep(origin, rejections, since)

    async def _changed(self, partition: Partition, looks: Sequence[Change[R]]) -> list[str]:
        """Keys of records that may have changed. A listing shows their versions, so most are known to be equal."""
        keys = [change.key for change in looks]
        if not (partition.bounded and keys):
            return keys
        observed = await self._target.observe(keys)
        return [c.key for c in looks if not c.version or observed[c.key].version != c.version]

    async def _dead_letters(self, keys: Sequence[str]) -> list[DeadLetter]:
        """Those that are made up for when these keys are delivered, or looked at, after all."""
        if not (self.has_dead_letters and keys):
            return []
        return await self._store.dead_letters_of(self._pipeline, keys)

    async def _copy(self, rows: Sequence[Change[R]]) -> list[Rejection]:
        if self.repairing:
            return await self._reconciler.reconcile([r.key for r in rows], self.rule, self._guards.reconciled)
        return await self._target.apply(rows, Rule.COPY)

    async def _follow(self, changes: Sequence[Change[R]]) -> list[Rejection]:
        rejections: list[Rejection] = []
        if not self._guards.any:
            return await self._target.apply(changes, self.rule)
        decided = [(change, self._decide(change)) for change in changes]
        plain = [change for change, decision in decided if decision is Decision.WRITE]
        guarded = [change.key for change, decision in decided if decision is Decision.RECONCILE]
        if plain:
            rejections += await self._target.apply(plain, self.rule)
        if guarded:
            rejections += await self._reconciler.reconcile(guarded, self.rule, self._guards.reconciled)
        return rejections

    def _decide(self, change: Change[R]) -> Decision:
        """While repairing nothing is written plainly: a row's reconcile may be under way, and would be undone by it."""
        decision = self._guards.decide(change)
        return Decision.RECONCILE if self.repairing and decision is Decision.WRITE else decision

    async def _wanted(self, batch: Batch[R]) -> list[Change[R]]:
        """The last change of each key, but for messages that were discarded: they are settled without being sent."""
        last = fold(batch.changes)
        if not (self.has_discards and batch.receipts):
            return last
        delivered = [c.key for c in last if c.operation is not Operation.LOOK]
        discarded = await self._store.discarded(self._pipeline, delivered)
        return [c for c in last if c.operation is Operation.LOOK or c.key not in discarded]

    def _described(self, rejections: Sequence[Rejection], partition: Partition, batch: Batch[R]) -> list[Rejection]:
        """With what is to be kept of each; those that were reconciled have it already."""
        position = None if partition.bounded else batch.position
        changes = {c.key: c for c in batch.changes if c.operation is not Operation.LOOK}
        described: list[Rejection] = []
        for rejection in rejections:
            payload = rejection.payload
            if payload == Payload() and rejection.key in changes:
                payload = self._payloads.of(changes[rejection.key])
            described.append(replace(rejection, payload=read_from(payload, partition.id, position)))
        return described

    async def _keep(
        self, origin: str, rejections: Sequence[Rejection], since: Mapping[str, datetime | None]
    ) -> list[Rejection]:
        """Makes dead letters of them; returns those that were not discarded before, as the version they are."""
        keys = [r.key for r in rejections]
        discarded = await self._store.discarded(self._pipeline, keys) if self.has_discards else {}
        kept = [r for r in rejections if not (r.payload.version and discarded.get(r.key) == r.payload.version)]
        dated = [replace(r, committed_at=since[r.key], reason=self._naming.text(r.reason, keys)) for r in kept]
        if not dated:
            return []
        await self._store.add_dead_letters(self._pipeline, origin, dated)
        self.has_dead_letters = True
        self._telemetry.log.warning(
            "changes were refused and are kept as dead letters",
            partition=self._naming.partition(origin),
            count=len(dated),
            reason=dated[0].reason,
        )
        return dated


def _first_commits(changes: Sequence[Change[R]]) -> dict[str, datetime | None]:
    """When the first change of each key was committed: the last one is what is written, all of them may be missing."""
    first: dict[str, datetime | None] = {}
    for change in changes:
        first.setdefault(change.key, change.committed_at)
    return first

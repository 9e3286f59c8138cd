"""How a batch becomes durable at the target: folded or in order, guarded where it must be, refusals kept as dead
letters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic

from replicator.engine.folding import fold, runs
from replicator.engine.guards import Decision, Guards
from replicator.engine.halting import Refused
from replicator.engine.inflight import Inflight
from replicator.engine.payloads import Payloads, read_from
from replicator.engine.reconciling import Reconciler
from replicator.model import Batch, Change, DeadLetter, Operation, Partition, Payload, R, Rejection, Rule
from replicator.naming import Naming
from replicator.ports import PartitionStore, Target
from replicator.telemetry import PipelineTelemetry

COPY_KIND = "copy"
FOLLOW_KIND = "follow"

NONE_REFUSED: Refused = frozenset()


@dataclass(frozen=True, slots=True)
class Applied(Generic[R]):
    """What became of a batch, but for what is at the target: changes that are dead letters now, and the keys of
    messages that were discarded and so were not sent.
    """

    refused: list[Change[R]]
    discarded: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What became of a run: changes that were refused, and how many records were found to be equal already."""

    refused: list[Change[R]]
    equal: int


class Applier(Generic[R]):
    """Applies the batches of all partitions of one pipeline.

    `rule` is how changes of the stream are written at present; `repairing` makes every write a reconcile. `in_order`
    leaves none of them out; `halting` stops at one that is refused. `has_dead_letters` says that some may be open,
    `has_discards` that some were discarded.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        target: Target[R],
        reconciler: Reconciler[R],
        guards: Guards,
        store: PartitionStore,
        payloads: Payloads[R],
        naming: Naming,
        telemetry: PipelineTelemetry,
    ) -> None:
        self.rule = Rule.OVERLAP
        self.repairing = False
        self.in_order = False
        self.halting = False
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

    async def apply(
        self, partition: Partition, batch: Batch[R], *, replayed: bool = False, passed_over: Refused = NONE_REFUSED
    ) -> Applied[R]:
        """Returns when every change is durable at the target, a durable dead letter, or discarded.

        Where refusals halt, what comes after the first of them is not applied. What lies between a position and its
        intent is `replayed`, and folded in any case. Changes that are `passed_over` are not written: their dead letters
        are settled, and a later refusal of the key is another one.
        """
        batch = replace(batch, changes=tuple(c for c in batch.changes if (c.key, c.version) not in passed_over))
        planned = [await self._wanted(run, batch) for run in self._runs(partition, batch, replayed=replayed)]
        discarded = frozenset(c.key for c in batch.changes) - {c.key for run in planned for c in run}
        coalesced = len(batch.changes) - sum(map(len, planned))
        refused: list[Change[R]] = []
        written = 0
        for run in planned:
            since = _first_commits(batch.changes if len(planned) == 1 else run)
            outcome = await self._write(partition, batch, run, since)
            refused += outcome.refused
            written += len(run) - outcome.equal
            if refused and self.halting:
                break
        kind = COPY_KIND if partition.bounded else FOLLOW_KIND
        self._telemetry.batch_applied(kind, read=written + coalesced, written=written, rejected=len(refused))
        return Applied(refused, discarded)

    def _runs(self, partition: Partition, batch: Batch[R], *, replayed: bool) -> list[list[Change[R]]]:
        """What is to be written, no key twice in one run.

        A change that is not simply written brings its key to what the source holds now: those before it are left out.
        """
        if partition.bounded or batch.receipts or replayed or not self.in_order:
            return [fold(batch.changes)]
        kept: list[Change[R]] = []
        ahead: set[str] = set()
        for change in reversed(batch.changes):
            if change.key not in ahead:
                kept.append(change)
                if self._decide(change) is not Decision.WRITE:
                    ahead.add(change.key)
        return runs(reversed(kept))

    async def _write(
        self,
        partition: Partition,
        batch: Batch[R],
        run: Sequence[Change[R]],
        since: Mapping[str, datetime | None],
    ) -> "Outcome[R]":
        """Writes changes of different keys. `since`: when the first of each was committed that may be missing."""
        made_up = await self._dead_letters([c.key for c in run if batch.receipts or c.operation is Operation.LOOK])
        with self.inflight.entered([change.key for change in run]):
            looks = [c for c in run if c.operation is Operation.LOOK]
            changed = await self._changed(partition, looks, frozenset(letter.key for letter in made_up))
            rejections = await self._reconciler.reconcile(changed, self.rule, lambda _keys, _interval: None)
            written = [c for c in run if c.operation is not Operation.LOOK]
            rejections += await (self._copy(written) if partition.bounded else self._follow(written))
            reasons = {rejection.key: rejection for rejection in rejections}
            refused = [c for c in run if c.key in reasons]
            if refused:
                position = None if partition.bounded else batch.position
                told = [self._described(reasons[change.key], change, partition, position) for change in refused]
                kept = {rejection.key for rejection in await self._keep(partition.id, self._named(told), since)}
                refused = [change for change in refused if change.key in kept]
        if made_up:
            await self._store.resolve_dead_letters([letter for letter in made_up if letter.key not in reasons])
        return Outcome(refused, equal=len(looks) - len(changed))

    async def reconcile(self, origin: str, since: Mapping[str, datetime | None]) -> list[Rejection]:
        """The guarded procedure for these keys; what the target refuses, and is returned, becomes a dead letter of
        `origin`. Reasons are as they may be told.

        `since` names, for each key, the commit time of the oldest change that may be missing; None where it is unknown.
        """
        with self.inflight.entered(since):
            refused = await self._reconciler.reconcile(list(since), self.rule, self._guards.reconciled)
            rejections = self._named(refused)
            if rejections:
                await self._keep(origin, rejections, since)
        return rejections

    async def _changed(self, partition: Partition, looks: Sequence[Change[R]], refused: frozenset[str]) -> list[str]:
        """Keys of records that may have changed. A listing shows their versions, so most are known to be equal; not so
        what was refused before, which may be something that no listing shows.
        """
        keys = [change.key for change in looks]
        if not (partition.bounded and keys):
            return keys
        observed = await self._target.observe(keys)
        return [c.key for c in looks if not c.version or c.key in refused or observed[c.key].version != c.version]

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

    async def _wanted(self, run: list[Change[R]], batch: Batch[R]) -> list[Change[R]]:
        """Without messages that were discarded: they are settled without being sent."""
        if not (self.has_discards and batch.receipts):
            return run
        delivered = [c.key for c in run if c.operation is not Operation.LOOK]
        discarded = await self._store.discarded(self._pipeline, delivered)
        return [c for c in run if c.operation is Operation.LOOK or c.key not in discarded]

    def _described(
        self, rejection: Rejection, change: Change[R], partition: Partition, position: str | None
    ) -> Rejection:
        """With what is to be kept of the change; one that was reconciled has it already."""
        payload = rejection.payload
        if payload == Payload() and change.operation is not Operation.LOOK:
            payload = self._payloads.of(change)
        return replace(rejection, payload=read_from(payload, partition.id, position))

    def _named(self, rejections: Sequence[Rejection]) -> list[Rejection]:
        """With reasons as they may be told."""
        keys = [rejection.key for rejection in rejections]
        return [replace(r, reason=self._naming.text(r.reason, keys)) for r in rejections]

    async def _keep(
        self, origin: str, rejections: Sequence[Rejection], since: Mapping[str, datetime | None]
    ) -> list[Rejection]:
        """Makes dead letters of them; returns those that were not discarded before, as the version they are."""
        keys = [r.key for r in rejections]
        discarded = await self._store.discarded(self._pipeline, keys) if self.has_discards else {}
        kept = [r for r in rejections if not (r.payload.version and discarded.get(r.key) == r.payload.version)]
        dated = [replace(r, committed_at=since[r.key]) for r in kept]
        if not dated:
            return []
        self.has_dead_letters = True
        await self._store.add_dead_letters(self._pipeline, origin, dated)
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

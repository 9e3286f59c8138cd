"""The nouns of the engine: what a source hands out, what a target takes, what is remembered about both.

`R` is the record type of a pipeline (a document, an object or a message). The engine never looks inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

R = TypeVar("R")


class Operation(StrEnum):
    """What a change does to its record.

    LOOK says only that the record may have changed in any way, or be gone: the target is made equal to what the source
    holds when it is applied. Its `record` may be no more than what a listing shows.
    """

    UPSERT = "upsert"
    DELETE = "delete"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """One mutation of one record.

    `key` is the canonical text of the record's key; `record` is the whole record, or what identifies it when it is
    deleted. `version` is the source's own, opaque, empty where it has none (a copied row). `expires_at` is the instant
    from which the record counts as deleted. `written_at` is when somebody last wrote it, as far as is told; None for a
    copied row, and for what the service does by itself, as expiries are.
    """

    key: str
    operation: Operation
    record: R
    version: str = ""
    committed_at: datetime | None = None
    expires_at: datetime | None = None
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch(Generic[R]):
    """A run of changes of one partition, in order, and what is known once they are durable.

    `position` is where to resume after them; None where there is nothing new to resume from: an empty page, or the end
    of a bounded partition, which is read once more if it was not saved as finished.
    `replicated_through` claims that every change of this partition committed before that instant is in this batch or
    an earlier one; None claims nothing. `read` counts records taken from the source, those skipped included, `bytes`
    what they hold where that is known. `late` counts records that contradict an earlier claim. `pause_s` asks the
    engine to wait before the next read. `receipts` are what a queue needs to settle the batch; only the source that
    minted them looks inside.
    """

    changes: tuple[Change[R], ...]
    position: str | None = None
    replicated_through: datetime | None = None
    read: int = 0
    late: int = 0
    pause_s: float = 0.0
    bytes: int = 0
    receipts: tuple[object, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do for it at the target or at the source."""
        return not (self.changes or self.receipts)


@dataclass(frozen=True, slots=True)
class Partition:
    """The unit of order, ownership and resume.

    A bounded partition ends (copying); an unbounded one is followed until the source closes it. `parents` must be
    finished durably before it is read. `log` names the incarnation of the source's log: when another one appears, what
    was committed in between was never recorded.
    """

    id: str
    bounded: bool
    parents: tuple[str, ...] = ()
    log: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the state store remembers of a partition.

    `intent` is the end of the batch that was being applied: what lies between `position` and it may or may not be at
    the target, and is replayed folded. `finished` is durable: everything in it is at the target. `succeeded` says that
    a listing made long enough after that has shown the partitions that continue it. `records` and `bytes` count what
    was read.
    """

    partition: Partition
    position: str | None = None
    intent: str | None = None
    finished: bool = False
    succeeded: bool = False
    replicated_through: datetime | None = None
    records: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """Where and how a partition is to be read.

    After `position` (None: from its beginning); `replicated_through` is what was claimed when that was saved.
    Changes surely committed before `skip_before` may be left out. With `until`, reading ends exactly at that position.
    """

    position: str | None = None
    replicated_through: datetime | None = None
    skip_before: datetime | None = None
    until: str | None = None


class Rule(StrEnum):
    """How a target writes a batch.

    COPY: a record is created only if absent, never expires yet. OVERLAP: changes beside a copy: written
    unconditionally, a delete leaves a tombstone, expiry is held off. FOLLOW: written unconditionally, a delete deletes.
    """

    COPY = "copy"
    OVERLAP = "overlap"
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class Payload:
    """What is kept of a change that was refused: the source's version, what else finds it at the source, and what the
    record held, as text. None where that is not kept.
    """

    version: str = ""
    reference: Mapping[str, str] | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A change that the target will never take, and why. `reason` holds no part of the record's body.

    What is to be kept of it, the engine adds.
    """

    key: str
    reason: str
    committed_at: datetime | None = None
    payload: Payload = Payload()


@dataclass(frozen=True, slots=True)
class Observed:
    """What a target holds under a key: `guard` lets a write be conditional on it, None where there is nothing.

    `digest` is of the record as found, None where there is none or it cannot be read as one of ours. `version` is the
    source's version that it was made from, empty where that is unknown or it was changed since.
    """

    guard: str | None
    digest: str | None
    version: str = ""


ABSENT = Observed(guard=None, digest=None)


@dataclass(frozen=True, slots=True)
class GuardedResult:
    """What became of guarded writes: rejections, and the keys to look at again because the target had moved on."""

    rejections: tuple[Rejection, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of what a target holds: keys of our records, and entries that stand for none, as opaque handles.

    `foreign` ones are not ours; `leftovers` are, but not where a record of their key belongs: written under a config
    that was another one.
    """

    keys: tuple[str, ...]
    foreign: tuple[str, ...]
    position: str
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record at the target that is not of our making, or was changed since: its `name` for people, the key where it
    has one, and a handle by which the target finds it again.
    """

    name: str
    handle: str


@dataclass(frozen=True, slots=True)
class Watched:
    """A page of what was written to a target: how many records were looked at, which of them are foreign, and where to
    go on.
    """

    records: int
    foreign: tuple[Foreign, ...]
    position: str


class Mode(StrEnum):
    """What a pipeline is for. COPY: everything once, then it ends. ASYNC: copied and followed, changes of a key
    coalesced. SYNC: as ASYNC, but every change is applied, in order.
    """

    COPY = "copy"
    ASYNC = "async"
    SYNC = "sync"


class Barriers(StrEnum):
    """What of a source somebody may wait for until it is at the target.

    ALL: everything committed so far, or single records. KEYS: single records, since nothing proves that no change is
    still to come. NOTHING: records are passed on, and cannot be looked up on either side.
    """

    ALL = "all"
    KEYS = "keys"
    NOTHING = "nothing"


class Phase(StrEnum):
    """Where a pipeline stands. A repair is a `copying` too; `copied` is where mode copy ends.

    While `draining` it follows, and nobody is to write the source any more; `sealed` is the end: nothing is written to
    the target, and what happens at the source is only noticed.
    """

    COPYING = "copying"
    COPIED = "copied"
    FOLLOWING = "following"
    DRAINING = "draining"
    SEALED = "sealed"
    FAILED = "failed"

    @property
    def follows(self) -> bool:
        """Whether the target is brought up to the source's changes, and only moves forward."""
        return self in {Phase.FOLLOWING, Phase.DRAINING}

    @property
    def compares(self) -> bool:
        """Whether all that was at the source is meant to be at the target, so that both sides may be compared."""
        return self.follows or self is Phase.COPIED


class CopyStage(StrEnum):
    """How far the copy beside the stream has come.

    RUNNING: rows are being copied. FINISHED: all are, what was held off for their sake is still to be undone.
    SWEPT: no tombstone is left and every expiry is set.
    """

    RUNNING = "running"
    FINISHED = "finished"
    SWEPT = "swept"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a pipeline may take, in units of each service per second, and the requests that may be under way at once.

    Infinity is no limit. `source_units` is None for a source that has none. As what an operator has set, None is what
    is configured.
    """

    source_units: float | None = None
    target_units: float | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class PipelineState:
    """What the state store remembers of a pipeline beside its partitions.

    `repairing` says that the target was not empty when the copy began, so every write is a guarded reconcile until
    `following` is reached; `guarding` that some keys may have been reconciled to a state ahead of the stream. Instants
    are by the source's clock. `copied_records` and `copied_bytes` are of the copy, once it has finished.
    `proven_through`: whatever was committed before it was seen at the target by a walk over everything;
    `relisting_since`: when the walk that is under way began. `generation` is what the target's marker says,
    `pending_generation` what it is about to say. `paused` and `budgets` are an operator's doing. `fence`: when draining
    began, all that counts had been written; `released`: a queue that is held otherwise is taken from since;
    `drained_at`, of what is sealed: since when that was proven, None where it was forced; `sealed_at`: when it was
    sealed, by the daemon's clock.
    """

    epoch: int
    mode: Mode = Mode.ASYNC
    phase: Phase = Phase.COPYING
    copy_stage: CopyStage = CopyStage.RUNNING
    repairing: bool = False
    guarding: bool = False
    copy_started_at: datetime | None = None
    copy_finished_at: datetime | None = None
    copied_records: int = 0
    copied_bytes: int = 0
    proven_through: datetime | None = None
    relisting_since: datetime | None = None
    generation: str = ""
    pending_generation: str = ""
    failure: str = ""
    paused: bool = False
    budgets: Budgets = Budgets()
    fence: datetime | None = None
    released: bool = False
    drained_at: datetime | None = None
    sealed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A change that could not be applied, kept until it is resolved. One for each key: a later one counts it up.

    `committed_at` is when the first of them was committed at the source, None when a copied row is among them.
    """

    pipeline: str
    partition: str
    key: str
    reason: str
    committed_at: datetime | None
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    payload: Payload = Payload()

    @property
    def place(self) -> str:
        """Where it stands among all by age, so that a listing can go on behind it although it is gone."""
        return f"{self.first_seen.isoformat()} {self.pipeline} {self.key}"


class Outcome(StrEnum):
    """What has become of a dead letter. RESOLVED: the record is at the target as the source has it. DISCARDED: an
    operator did not want it. COMPARED: an adoption has begun, which compares everything.
    """

    OPEN = "open"
    RESOLVED = "resolved"
    DISCARDED = "discarded"
    COMPARED = "compared"


@dataclass(frozen=True, slots=True)
class LetterCount:
    """So many dead letters of one reason, in which no key is named, had this outcome."""

    reason: str
    outcome: Outcome
    count: int


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of taking dead letters up again: how many are resolved now, how many are still open, and the keys that
    have none.
    """

    resolved: int
    open: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discarded:
    """What came of discarding dead letters: how many are closed, how many were refused anew meanwhile, and the keys
    that have none.
    """

    discarded: int
    open: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """The open dead letters of a pipeline: how many, the oldest commit among them, and whether one is a copied row."""

    count: int = 0
    oldest_commit: datetime | None = None
    copied_row: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something that an operator did, for the audit log. `detail` holds neither secrets nor bodies.

    `pipeline` is empty where all are concerned; `place` orders them, 0 for one that is not stored yet.
    """

    at: datetime
    actor: str
    name: str
    pipeline: str = ""
    detail: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class Marker:
    """What a target says of who may write it. `generation` changes all the time, so that an older store is noticed.

    `obstacle` is why, in the target's own words, what it holds cannot be gone on with but only be adopted; empty where
    nothing stands against it. It is found when the marker is read, and no part of it.
    """

    migration: str
    epoch: int
    generation: str
    obstacle: str = field(default="", compare=False)


EVERYBODYS = Marker(migration="", epoch=0, generation="")
"""The marker of a target that passes records on and keeps none: nothing there could be undone, so it has no owner."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `check`: what was looked at, whether it is fine, and what to do if not."""

    severity: "Severity"
    where: str
    message: str
    fix: str = ""


class Severity(StrEnum):
    """How much a finding matters: only an error stops a run."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a source is, as far as it knows itself. None is unknown."""

    records: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a queue: messages that can be received now, that somebody has received, and that are delayed.

    `oldest_age_s` is how long the oldest of them has waited, None where that is unknown. `held` says that they are only
    watched: they wait for the drain. `parked` of those in flight were refused, and are kept back.
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_s: float | None = None
    held: bool = False
    parked: int = 0

    @property
    def messages(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed

    @property
    def waiting(self) -> int:
        """Those that are still to be passed on."""
        return max(0, self.messages - self.parked)

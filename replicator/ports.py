"""What the engine asks of the outside: sources, targets and the state store. Adding a connector means implementing
`Source` or `Target`; the engine does not change.

Every method may raise the errors of `replicator.errors`. Sources and targets repeat transient failures themselves, for
ever and with back-off, so that a transient error never reaches the engine; each call is bounded in time. All of them
may be cancelled at any await.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from replicator.clocks import ServiceClock
from replicator.model import (
    Action,
    Barriers,
    Batch,
    Change,
    Checkpoint,
    DeadLetter,
    DeadLetterSummary,
    Depth,
    Finding,
    Foreign,
    GuardedResult,
    LetterCount,
    Listed,
    Marker,
    Observed,
    Partition,
    PipelineState,
    Rejection,
    Resume,
    Rule,
    Size,
    Watched,
)
from replicator.state.contents import Entry, Standings
from replicator.triggers.model import TriggerState

R = TypeVar("R")


class ReadBudget(Protocol):
    """What copying, comparing and looking up may take from a source, in its own units per second."""

    @property
    def limit_per_s(self) -> float:
        """At most this."""

    def set_limit(self, per_s: float) -> None:
        """From now on at most this."""


class Source(Protocol[R]):
    """Where changes come from."""

    async def connect(self) -> None:
        """Looks at the source without changing it; called once before all else.

        Raises ConfigurationError when it is missing, forbidden or of the wrong shape.
        """

    @property
    def clock(self) -> ServiceClock:
        """The source's own clock, known once connected."""

    async def size(self) -> Size:
        """How much there is to copy, as far as the source knows."""

    async def copy_partitions(self) -> tuple[Partition, ...]:
        """The bounded partitions whose records together are the whole source. Asked once per copy, then remembered."""

    async def follow_partitions(self) -> tuple[Partition, ...]:
        """A complete listing of the unbounded partitions the source knows now, parents named."""

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[R], None]:
        """Reads a partition in order until it ends, is closed by the source, or `resume.until` is reached.

        An empty batch may be handed out to prove time. Raises PositionLostError when something after the position is
        gone.
        """

    def can_move(self, partition: Partition) -> bool:
        """Whether another process may read this partition while this one reads others: they share nothing but the
        service. Pure.
        """

    async def settle(self, batch: Batch[R], rejected: Collection[str]) -> None:
        """Told of every batch with receipts once each of its changes is durable at the target, or a durable dead letter
        (`rejected`, by key). What was delivered is not delivered again then; nothing is settled in any other way.
        """

    async def redeliver(self, keys: Collection[str]) -> bool:
        """Makes the source deliver again what was rejected under these keys; False where they are looked up instead."""

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[R]]:
        """The records of these keys as they are now, read consistently: an upsert, or a delete where there is none.

        Every key asked for is in the answer. Never called where `redeliver` answers True.
        """

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        """Those of these keys for which there is no record now or, with `since`, none that was surely there then: it
        may have been made again. Never asked for where `stale_rows`.

        Best asked for many at once, as a target lists them: one listing may answer for a run of keys.
        """

    async def content_digest(self, change: Change[R]) -> str | None:
        """SHA-256, in hexadecimal digits, of what belongs to a record that was looked up and is no part of it: the
        bytes of an object, read in bounded blocks. None where nothing does; empty where it has changed since or may not
        be read.
        """

    @property
    def stale_rows(self) -> bool:
        """Whether a copied row may be older than what was already followed, so that it may only be created."""

    @property
    def relist_interval(self) -> timedelta | None:
        """How often all partitions of the copy are to be read again since changes may go unnoticed; None for never."""

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URLs that are called, for `check`."""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the attributes that make up a record's key, known once connected; empty where it has none."""

    @property
    def ordered_groups(self) -> bool:
        """Whether its records belong to groups whose order must be kept beyond that of a key, known once connected."""

    @property
    def barriers(self) -> Barriers:
        """What may be waited for until it is at the target."""

    def is_key(self, text: str) -> bool:
        """Whether this is the canonical text of a key that a record there may have, so that it can be looked up. Pure,
        known once connected.
        """

    @property
    def retention(self) -> timedelta | None:
        """How long the source keeps a change that was not read yet; None for ever."""

    @property
    def settling(self) -> timedelta:
        """How long after its last change the source takes, at least, to prove that there was no other."""

    @property
    def budget(self) -> ReadBudget | None:
        """What reading may take, known once connected; None where reading costs production nothing."""

    async def take(self, taking: bool | None) -> None:
        """Whether messages are taken from a queue from now on; None is as configured. Elsewhere nothing is taken."""

    async def unfinished(self) -> list[str]:
        """What is under way there and will be a change later without any sign until then, in words, a line each."""

    async def depth(self) -> Depth | None:
        """What waits to be received; None where nothing is received."""

    async def sample(self, count: int) -> list[Change[R]]:
        """A few records as they are now, for `check`; none where to read is to take."""

    async def check(self) -> list[Finding]:
        """Findings for the operator: permissions and settings, each looked at without changing anything."""


class Target(Protocol[R]):
    """Where changes go."""

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        """Looks at the target without changing it; called once before all else, with the source's `key_names` and
        `ordered_groups`.

        Raises ConfigurationError when it is missing (and may not be created), forbidden or of the wrong shape.
        """

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URLs that are called, for `check`."""

    async def create(self) -> None:
        """Creates what is missing and may be created; idempotent. Called when every source and target has connected."""

    async def is_empty(self) -> bool:
        """Whether nothing at all is held."""

    async def apply(self, changes: Sequence[Change[R]], rule: Rule) -> list[Rejection]:
        """Writes changes of different keys, in parallel; returns when all are durable or rejected. Idempotent.

        The same change may be written again at once after an unknown outcome; a later change of that key waits until
        no earlier request can still take effect. Never given a LOOK. Messages of one group are written in the order
        given; one that is rejected takes those behind it along.
        """

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        """What is held under each of these keys; every key asked for is in the answer."""

    async def replace(
        self, changes: Mapping[str, Change[R]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        """Writes each change on the condition that the target still is as observed; skips what is equal already.

        A write whose outcome stayed unknown is a conflict, reported only when it can no longer take effect.
        """

    async def content_digest(self, key: str) -> str | None:
        """What `Source.content_digest` is of what is held under the key now; None where nothing is."""

    def fingerprint(self, change: Change[R]) -> str | None:
        """What `observe` gives as the digest of a record that equals this change; None where nothing is to be held.

        Raises ValueError for what the target can never hold, or could not give back as it was. Pure.
        """

    def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        """Pages through everything held, resuming after `position`."""

    def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        """Pages through what was written since `position`, by whomever, and ends when it has reached the present; by a
        target that keeps no log, through everything. Deletions do not show.
        """

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        """Those of these that are there, and still not ours."""

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        """Removes foreign entries or leftovers, on the condition that they have not changed since they were listed."""

    async def sweep(self, removed: Callable[[int], None]) -> None:
        """Undoes what the OVERLAP rule held off: purges tombstones, sets expiries, each conditionally.

        Called when no OVERLAP write can take effect any more. Idempotent; reports progress as counts.
        """

    async def read_marker(self) -> Marker | None:
        """Who may write this target, None when nobody has claimed it. One that was made again is nobody's.

        `EVERYBODYS` where it keeps no record that somebody else's write could harm.
        """

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        """Replaces the marker on the condition that it still is `previous`; False when it is not.

        A repeated call after an unknown outcome answers True when the marker is as asked. Raises ForeignOwnerError when
        the target was deleted, or deleted and made again, since it was connected or created.
        """

    async def check(self) -> list[Finding]:
        """Findings for the operator: permissions, settings, limits."""


class PartitionStore(Protocol):
    """What whoever runs a partition needs of the state store. Every method that changes something returns when it is
    durable.
    """

    async def save_checkpoints(self, pipeline: str, checkpoints: Sequence[Checkpoint]) -> None:
        """Saves these, in one step."""

    async def add_dead_letters(self, pipeline: str, partition: str, rejections: Sequence[Rejection]) -> None:
        """Records rejections; one for a key that has one already replaces it and counts up."""

    async def dead_letters_of(self, pipeline: str, keys: Sequence[str]) -> list[DeadLetter]:
        """The open ones of these keys, oldest first."""

    async def resolve_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        """Closes these, each unless it has been counted up since it was read; returns how many."""

    async def discarded(self, pipeline: str, keys: Sequence[str] | None = None) -> dict[str, str]:
        """The versions that are not wanted, of these keys; of some key of the pipeline where none are named."""


class StateStore(PartitionStore, Protocol):
    """What survives a restart. Every method that changes something returns when it is durable.

    One daemon at a time uses it, the holder of its lease. Once the lease was acquired through this object, each save,
    removal and resolution raises LeaseLostError from the moment at which somebody else has taken it, and changes
    nothing: whoever stood still in between must not undo what the other one has saved.
    """

    async def migration_id(self) -> str:
        """The identity of this migration, minted on first use."""

    async def load_pipeline(self, pipeline: str) -> PipelineState | None:
        """None when this pipeline has never been started."""

    async def save_pipeline(self, pipeline: str, state: PipelineState) -> None:
        """Replaces what is remembered of the pipeline."""

    async def begin_epoch(self, pipeline: str, state: PipelineState) -> None:
        """Saves the state and forgets every checkpoint, dead letter and note of the pipeline, in one step."""

    async def load_checkpoints(self, pipeline: str) -> list[Checkpoint]:
        """All partitions ever saved and not forgotten."""

    async def forget_partitions(self, pipeline: str, partitions: Sequence[str]) -> None:
        """Drops checkpoints that nothing refers to any more."""

    async def load_note(self, pipeline: str, name: str) -> str | None:
        """What a part of the engine has written down under this name, None when it has not."""

    async def save_note(self, pipeline: str, name: str, text: str) -> None:
        """Replaces a note. Whoever writes it bounds its size."""

    async def add_action(self, action: Action) -> None:
        """Appends to the audit log."""

    async def actions(self, limit: int = 1000, after: int = 0) -> list[Action]:
        """The audit log, oldest first, behind the place `after`."""

    async def dead_letters(
        self, pipeline: str | None = None, limit: int = 1000, after: str | None = None
    ) -> list[DeadLetter]:
        """The open ones, oldest first, of one pipeline or of all; those behind the place `after` (`DeadLetter.place`).

        Raises ValueError when that is no place.
        """

    async def dead_letter_summary(self, pipeline: str) -> DeadLetterSummary:
        """How many are open and since when the changes they stand for are missing."""

    async def discard_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        """As `resolve_dead_letters`, and remembers of each that this version of its key is not wanted."""

    async def count_letters(self, pipeline: str) -> list[LetterCount]:
        """All there ever were, by reason and outcome: a bounded number of reasons, none of which names its key."""

    async def expire_payloads(self, before: datetime) -> int:
        """Forgets what records held whose dead letters were last refused before then; returns how many."""

    async def acquire_lease(self, owner: str, duration_s: float) -> float:
        """Takes or renews the lease; returns 0, or the seconds after which to ask again when another holds it.

        Raises LeaseLostError when it was held by `owner` and somebody else has taken it since, even if it is free now.
        """

    async def release_lease(self, owner: str, linger_s: float) -> None:
        """Lets the lease end `linger_s` from now instead of at its end; nothing when another has taken it."""

    async def lease_owner(self) -> str | None:
        """Who holds or last held the lease."""

    async def standings(self) -> Standings:
        """Whether it may be worked with, or is moved from or to."""

    async def set_standings(self, standings: Standings) -> None:
        """Replaces that."""

    def contents(self) -> AsyncGenerator[Sequence[Entry], None]:
        """Everything that is kept, but the lease and the standings: a bounded number at a time, those of the audit log
        in its order. Only the holder of the lease finds all of it as it is at one moment.
        """

    async def restore(self, entries: Sequence[Entry]) -> None:
        """Adds what the `contents` of another store gave, in the order in which they did, to one that was empty."""

    async def clear(self) -> None:
        """Forgets everything but the lease and the standings; repeatable where it was cut short."""


class Trigger(Protocol):
    """What lets functions run at one side of an entry point: a mapping, a rule, a setting, or a person.

    Unlike sources and targets it repeats a failing call only a few times, bounded in time: whoever switches waits.
    Every method raises ConfigurationError then, which names what failed and what to do.
    """

    async def observe(self) -> TriggerState:
        """As it is now. Changes nothing."""

    async def set_enabled(self, enabled: bool) -> None:
        """Asks for it to be on or off; idempotent. Returns when that was taken up, of a hook when it is in force. Not
        called while `manual` says something.
        """

    async def restore(self, saved: str) -> None:
        """Asks for exactly what was observed, and nothing else; idempotent. `saved` is that of a state whose `enabled`
        was known.
        """

    async def settle(self, enabled: bool) -> None:
        """Returns when what was asked for is in force, which made it on or off. Several may be waited for at once."""

    def manual(self, *, enabled: bool) -> str:
        """What a person has to do to turn it on or off; empty where `set_enabled` does it. Pure."""

    async def check(self) -> list[Finding]:
        """Findings for the operator: existence and permissions, each looked at without changing anything."""


Connected = AbstractAsyncContextManager
"""Sources and targets are made by factories that are async context managers: leaving closes their connections."""

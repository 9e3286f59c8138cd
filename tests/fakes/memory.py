"""A target in memory: the service, which keeps what has landed and may answer late or not at all, and its client."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

import anyio
import anyio.lowlevel

from fakes.records import number_in
from replicator.clocks import elapsed_s
from replicator.delivery import Delivery
from replicator.documents import Document, digest
from replicator.errors import AmbiguousError, TransientError
from replicator.model import (
    ABSENT,
    Change,
    Finding,
    Foreign,
    GuardedResult,
    Listed,
    Marker,
    Observed,
    Operation,
    Rejection,
    Rule,
    Watched,
)

T = TypeVar("T")

NEVER_LANDS = float("inf")


class Conflict(Enum):
    """The service's answer to a conditional write whose condition does not hold."""

    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a request: when it takes effect, when its caller hears of it, and what.

    `lands_s` may be later than `answers_s`, as long as it is within the lifetime of a request. Without `error` the
    answer comes once both have passed.
    """

    lands_s: float = 0.0
    answers_s: float = 0.0
    error: TransientError | None = None


FINE = Fate()


def refused(error: TransientError) -> Fate:
    """Without effect."""
    return Fate(NEVER_LANDS, 0.0, error)


def lost(lands_s: float, answers_s: float = 0.0) -> Fate:
    """The answer never comes; the effect does after `lands_s`, or not at all."""
    return Fate(lands_s, answers_s, AmbiguousError("the connection was lost"))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is held under a key. No `record` is a tombstone; `expires_at` counts only once `armed`.

    A `leftover` is a record of ours under a key that is not its own.
    """

    etag: str
    record: Document | None
    expires_at: datetime | None = None
    armed: bool = True
    foreign: bool = False
    leftover: bool = False


@dataclass
class MemoryService:
    """Survives its clients. `fate` decides about each request by its kind and key; `step` is told before and after.

    `log` records every state that a reader could have seen, by key: the record's number, None where there is none.
    """

    fate: Callable[[str, str], Fate] = lambda _kind, _key: FINE
    step: Callable[[str], None] = lambda _: None
    epoch_s: float = 0.0
    entries: dict[str, Entry] = field(default_factory=dict)
    marker: Marker | None = None
    refuses: Callable[[Change[Document]], str | None] = lambda _: None
    contents: dict[str, str] = field(default_factory=dict)
    log: dict[str, list[int | None]] = field(default_factory=dict)
    etags: "itertools.count[int]" = field(default_factory=itertools.count)

    def now(self) -> datetime:
        """The service's own clock."""
        return datetime.fromtimestamp(elapsed_s() + self.epoch_s, UTC)

    def visible(self, key: str) -> Document | None:
        """What a reader finds."""
        entry = self.entries.get(key)
        if entry is None or (entry.armed and entry.expires_at is not None and entry.expires_at <= self.now()):
            return None
        return entry.record

    def put(self, key: str, record: Document | None, expires_at: datetime | None = None, *, armed: bool = True) -> None:
        """Writes unconditionally; None leaves a tombstone. Not armed: the expiry is held off."""
        self.entries[key] = Entry(f"e{next(self.etags)}", record, expires_at, armed or expires_at is None)
        self._seen(key, record)

    def remove(self, key: str) -> None:
        """Deletes unconditionally; nothing there is fine."""
        self.entries.pop(key, None)
        self._seen(key, None)

    def guarded(self, key: str, guard: str | None, write: Callable[[], None]) -> Conflict | None:
        """Writes only if the entry's etag is `guard`, None for no entry."""
        held = self.entries.get(key)
        if (None if held is None else held.etag) != guard:
            return Conflict.CONFLICT
        write()
        return None

    async def request(self, kind: str, key: str, effect: Callable[[], T]) -> T:
        """One request over the network. Its effect does not care whether the caller is still there."""
        self.step(f"before {kind}")
        await anyio.lowlevel.checkpoint()
        fate, landed, answer = self.fate(kind, key), anyio.Event(), list[T]()

        def land() -> None:
            answer.append(effect())
            landed.set()

        if fate.lands_s == 0:
            land()
        elif fate.lands_s != NEVER_LANDS:
            asyncio.get_running_loop().call_later(fate.lands_s, land)
        await anyio.sleep(fate.answers_s)
        self.step(f"after {kind}")
        await anyio.lowlevel.checkpoint()
        if fate.error is not None:
            raise fate.error
        await landed.wait()
        return answer[0]

    def _seen(self, key: str, record: Document | None) -> None:
        state = None if record is None else number_in(record)
        history = self.log.setdefault(key, [])
        if (history[-1] if history else None) != state:
            history.append(state)


class MemoryTarget:
    """The client of one process."""

    def __init__(self, service: MemoryService, delivery: Delivery, page: int = 3) -> None:
        self._service = service
        self._delivery = delivery
        self._page = page

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        await self._read("connect", lambda: None)

    @property
    def endpoints(self) -> tuple[str, ...]:
        return ()

    async def create(self) -> None:
        return

    async def is_empty(self) -> bool:
        return await self._read("is_empty", lambda: not self._service.entries)

    async def apply(self, changes: Sequence[Change[Document]], rule: Rule) -> list[Rejection]:
        rejections = [Rejection(c.key, reason) for c in changes if (reason := self._service.refuses(c))]
        rejected = {rejection.key for rejection in rejections}
        async with anyio.create_task_group() as tasks:
            for change in changes:
                if change.key not in rejected:
                    tasks.start_soon(self._write, change, rule)
        return rejections

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        def look() -> dict[str, Observed]:
            return {key: _observed(self._service.entries.get(key)) for key in keys}

        return await self._read("observe", look)

    async def replace(
        self, changes: Mapping[str, Change[Document]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        rejections: list[Rejection] = []
        conflicts: list[str] = []

        async def one(change: Change[Document]) -> None:
            if reason := self._service.refuses(change):
                rejections.append(Rejection(change.key, reason))
            elif await self._replace(change, observed[change.key], rule) is Conflict.CONFLICT:
                conflicts.append(change.key)

        async with anyio.create_task_group() as tasks:
            for change in changes.values():
                tasks.start_soon(one, change)
        return GuardedResult(tuple(rejections), tuple(conflicts))

    async def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        while True:
            after = position

            def look(after: str | None = after) -> list[str]:
                return sorted(k for k in self._service.entries if after is None or k > after)[: self._page]

            keys = await self._read("scan", look)
            if not keys:
                return
            position = keys[-1]
            entries = {k: self._service.entries[k] for k in keys if k in self._service.entries}
            foreign = tuple(f"{k} {e.etag}" for k, e in entries.items() if e.foreign)
            leftovers = tuple(f"{k} {e.etag}" for k, e in entries.items() if e.leftover)
            apart = {k for k, e in entries.items() if e.foreign or e.leftover}
            yield Listed(tuple(k for k in keys if k not in apart), foreign, position, leftovers)

    async def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        """In the order of keys, as a listing: there is no log."""
        keys = await self._read("watch", lambda: sorted(self._service.entries))
        for start in range(0, len(keys), self._page):
            page = keys[start : start + self._page]
            entries = await self._read("watch", lambda page=page: {k: self._service.entries.get(k) for k in page})  # type: ignore[misc]
            foreign = tuple(Foreign(k, k) for k, e in entries.items() if e is not None and e.foreign)
            yield Watched(len(entries), foreign, "")

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        entries = await self._read("still_foreign", lambda: dict(self._service.entries))
        return [record for record in records if (e := entries.get(record.handle)) is not None and e.foreign]

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        for handle in handles:
            key, _, etag = handle.rpartition(" ")
            while key in self._service.entries and self._service.entries[key].etag == etag:
                await self._guarded(key, etag, lambda key=key: self._service.remove(key))  # type: ignore[misc]

    async def sweep(self, removed: Callable[[int], None]) -> None:
        while held := {k: e for k, e in self._service.entries.items() if e.record is None or not e.armed}:
            for key, entry in held.items():
                if await self._release(key, entry) is None:
                    removed(1)

    async def read_marker(self) -> Marker | None:
        return await self._read("read_marker", lambda: self._service.marker)

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        def swap() -> bool:
            if self._service.marker == previous:
                self._service.marker = marker
            return self._service.marker == marker

        return await self._delivery.write([], lambda: self._service.request("write_marker", "", swap))

    async def check(self) -> list[Finding]:
        return []

    async def content_digest(self, key: str) -> str | None:
        return await self._read("content", lambda: self._service.contents.get(key))

    def fingerprint(self, change: Change[Document]) -> str | None:
        if reason := self._service.refuses(change):
            raise ValueError(reason)
        return None if _is_gone(self._service, change) else digest(change.record)

    async def _write(self, change: Change[Document], rule: Rule) -> None:
        def effect() -> None:
            absent = change.key not in self._service.entries and not _is_gone(self._service, change)
            if rule is not Rule.COPY or absent:
                _effect(self._service, change, rule)

        await self._delivery.write([change.key], lambda: self._service.request("write", change.key, effect))

    async def _replace(self, change: Change[Document], observed: Observed, rule: Rule) -> Conflict | None:
        deleting = _is_gone(self._service, change)
        if deleting and observed.guard is None and rule is Rule.FOLLOW:
            return None
        if not deleting and observed.digest == digest(change.record):
            return None
        return await self._guarded(change.key, observed.guard, lambda: _effect(self._service, change, rule))

    async def _release(self, key: str, entry: Entry) -> Conflict | None:
        """Undoes what was held off; a conflict where the outcome is unknown, or somebody else has done it."""

        def undo() -> None:
            if entry.record is None:
                self._service.remove(key)
            else:
                self._service.put(key, entry.record, entry.expires_at)

        return await self._guarded(key, entry.etag, undo)

    async def _guarded(self, key: str, guard: str | None, write: Callable[[], None]) -> Conflict | None:
        def effect() -> Conflict | None:
            return self._service.guarded(key, guard, write)

        try:
            return await self._delivery.write_once([key], lambda: self._service.request("guarded", key, effect))
        except AmbiguousError:
            return Conflict.CONFLICT

    async def _read(self, kind: str, look: Callable[[], T]) -> T:
        return await self._delivery.read(lambda: self._service.request(kind, "", look))


def _effect(service: MemoryService, change: Change[Document], rule: Rule) -> None:
    if not _is_gone(service, change):
        service.put(change.key, change.record, change.expires_at, armed=rule is Rule.FOLLOW)
    elif rule is Rule.FOLLOW:
        service.remove(change.key)
    else:
        service.put(change.key, None)


def _is_gone(service: MemoryService, change: Change[Document]) -> bool:
    """A record past its expiry counts as deleted."""
    expired = change.expires_at is not None and change.expires_at <= service.now()
    return expired or change.operation is Operation.DELETE


def _observed(entry: Entry | None) -> Observed:
    if entry is None:
        return ABSENT
    if entry.record is None or entry.foreign:
        return Observed(entry.etag, None)
    return Observed(entry.etag, digest(entry.record), str(number_in(entry.record)))

"""A table with a sharded log, following a script: the ground truth, and a source that reads it like a distant service.

The service rounds commit times down, shows them late (within `VISIBLE_WITHIN_S`), hands out empty pages before data,
splits, merges and trims. Its clock is its own.
"""

import random
from bisect import bisect_right
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zlib import crc32

import anyio

from fakes.records import delete, document, key_of, upsert
from replicator.clocks import ServiceClock, elapsed_s
from replicator.documents import Document, key_text, parse_key
from replicator.errors import PositionLostError
from replicator.model import Barriers, Batch, Change, Depth, Finding, Operation, Partition, Resume, Size
from replicator.ports import ReadBudget

KEY_SPACE = 2**32
VISIBLE_WITHIN_S = 0.8
"""Every change is readable so long after its commit."""

EMPTY_PAGES_BEFORE_DATA = 2
IDLE_PAGES = 4
IDLE_MARGIN_S = 1.0
"""A run of so many empty pages, over such a time, proves that nothing was committed before its beginning less that."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change in the log. `at` is the service's true time; no number is a deletion, `by_service` or not."""

    name: str
    number: int | None
    at: float
    visible_at: float
    by_service: bool = False


@dataclass
class Shard:
    """Part of the log: the names whose hash lies in [low, high)."""

    id: str
    low: int
    high: int
    parents: tuple[str, ...] = ()
    listed_at: float = 0.0
    closed_at: float | None = None
    vanished: bool = False
    trimmed: int = 0
    entries: list[Entry] = field(default_factory=list)


class ScriptedTable:
    """The ground truth. `ahead_s`: how far the service's clock is ahead of ours."""

    def __init__(self, rng: random.Random, shards: int = 1, ahead_s: float = 0.0, segments: int = 2) -> None:
        self.rng = rng
        self.ahead_s = ahead_s
        self.segments = segments
        self.rows: dict[str, int] = {}
        self.history: dict[str, list[tuple[float, int | None]]] = {}
        self.expiries: dict[str, datetime] = {}
        self.contents: dict[str, str] = {}
        self.log = ""
        self.visible_within_s = VISIBLE_WITHIN_S
        edges = [KEY_SPACE * i // shards for i in range(shards + 1)]
        self.shards = {f"s{i}": Shard(f"s{i}", low, high) for i, (low, high) in enumerate(pairwise(edges))}
        self._numbers = 0

    def now(self) -> float:
        """The service's time."""
        return elapsed_s() + self.ahead_s

    def put(self, name: str, number: int | None = None, *, logged: bool = True) -> int:
        """Brings a record to a state, one that no record was ever in unless a number is given."""
        self._numbers = self._numbers + 1 if number is None else number
        self.rows[name] = self._numbers
        self._record(name, self._numbers, logged=logged)
        return self._numbers

    def delete(self, name: str) -> None:
        """Deletes a record; where there is none, the log says nothing."""
        if self.rows.pop(name, None) is not None:
            self._record(name, None)

    def expire(self, name: str) -> None:
        """As `delete`, by the service itself."""
        self.delete(name)
        for shard in self.open_shards():
            if shard.entries and shard.entries[-1].name == name:
                shard.entries[-1] = replace(shard.entries[-1], by_service=True)

    def split(self, id_: str, *, listed_after_s: tuple[float, ...] = (0.0, 0.0)) -> list[str]:
        """Closes a shard; its names go to as many children as there are delays before each is listed."""
        old = self._close(id_)
        count = len(listed_after_s)
        edges = [old.low + (old.high - old.low) * i // count for i in range(count + 1)]
        return [
            self._add(low, high, (id_,), self.now() + late)
            for (low, high), late in zip(pairwise(edges), listed_after_s, strict=True)
        ]

    def merge(self, one: str, other: str) -> str:
        """Closes two neighbours; one child takes the names of both."""
        shards = [self._close(one), self._close(other)]
        return self._add(min(s.low for s in shards), max(s.high for s in shards), (one, other), self.now())

    def trim(self, id_: str, count: int | None = None) -> None:
        """Forgets the first `count` entries; all of them, and the shard itself when it is closed, without a count."""
        shard = self.shards[id_]
        shard.trimmed = len(shard.entries) if count is None else count
        shard.vanished = count is None and shard.closed_at is not None

    def open_shards(self) -> list[Shard]:
        """Those that take new changes."""
        return [shard for shard in self.shards.values() if shard.closed_at is None]

    def shard_of(self, name: str) -> Shard:
        """The open one that takes the changes of this name."""
        (shard,) = (s for s in self.open_shards() if s.low <= crc32(name.encode()) < s.high)
        return shard

    def change(self, name: str) -> Change[Document]:
        """A record as it is now."""
        number = self.rows.get(name)
        if number is None:
            return delete(name)
        return replace(upsert(name, number, expires_at=self.expiries.get(name)), version="")

    def expected(self) -> dict[str, Document]:
        """What a target must hold in the end."""
        return {key_of(name): document(name, number) for name, number in self.rows.items()}

    def _record(self, name: str, number: int | None, *, logged: bool = True) -> None:
        now = self.now()
        self.history.setdefault(name, []).append((now, number))
        if logged:
            shard = self.shard_of(name)
            last = shard.entries[-1].visible_at if shard.entries else 0.0
            visible_at = max(last, now + self.rng.uniform(0, self.visible_within_s))
            shard.entries.append(Entry(name, number, now, visible_at))

    def _close(self, id_: str) -> Shard:
        shard = self.shards[id_]
        shard.closed_at = self.now()
        return shard

    def _add(self, low: int, high: int, parents: tuple[str, ...], listed_at: float) -> str:
        id_ = f"s{len(self.shards)}"
        listed_at = max(listed_at, *(self.shards[parent].listed_at for parent in parents))
        self.shards[id_] = Shard(id_, low, high, parents, listed_at)
        return id_


class ScriptedSource:
    """Reads a scripted table, in pages of at most `page` records.

    `slow_rows_s`: rows read by the copy are handed out up to so much later.
    """

    def __init__(
        self, table: ScriptedTable, *, page: int = 6, latency_s: float = 0.05, slow_rows_s: float = 0.0,
        pause_s: float = 0.2,
    ) -> None:  # fmt: skip
        self.clock = ServiceClock()
        self.endpoints: tuple[str, ...] = ()
        self.key_names: tuple[str, ...] = ("id",)
        self.ordered_groups = False
        self.retention: timedelta | None = timedelta(hours=24)
        self.settling = timedelta(seconds=IDLE_MARGIN_S)
        self.barriers = Barriers.ALL
        self.stale_rows = True
        self.relist_interval: timedelta | None = None
        self.contents = table.contents
        self.budget: ReadBudget | None = None
        self.taking: bool | None = None
        self.open_uploads: list[str] = []
        self._table = table
        self._page = page
        self._latency_s = latency_s
        self._slow_rows_s = slow_rows_s
        self._pause_s = pause_s
        self._empty_pages: dict[str, int] = {}

    async def connect(self) -> None:
        await self._call()

    def is_key(self, text: str) -> bool:
        try:
            key = parse_key(text)
        except ValueError:
            return False
        return key.keys() == {"id"} and isinstance(key["id"], str) and key_text(key) == text

    async def size(self) -> Size:
        await self._call()
        return Size(records=len(self._table.rows))

    async def copy_partitions(self) -> tuple[Partition, ...]:
        await self._call()
        return tuple(Partition(f"scan-{i}", bounded=True) for i in range(self._table.segments))

    async def follow_partitions(self) -> tuple[Partition, ...]:
        await self._call()
        now = self._table.now()
        listed = [s for s in self._table.shards.values() if s.listed_at <= now and not s.vanished]
        self._table.rng.shuffle(listed)
        return tuple(Partition(s.id, bounded=False, parents=s.parents, log=self._table.log) for s in listed)

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        return self._scan(partition, resume) if partition.bounded else self._follow(partition, resume)

    def can_move(self, partition: Partition) -> bool:
        """Each is read by itself."""
        return True

    async def settle(self, batch: Batch[Document], rejected: Collection[str]) -> None:
        """A log forgets by itself."""

    async def redeliver(self, keys: Collection[str]) -> bool:
        return False

    async def take(self, taking: bool | None) -> None:
        self.taking = taking

    async def unfinished(self) -> list[str]:
        return list(self.open_uploads)

    async def depth(self) -> Depth | None:
        return None

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        found = await self.lookup(keys)
        return {key for key in keys if found[key].operation is Operation.DELETE}

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[Document]]:
        await self._call()
        found = {key: self._table.change(str(parse_key(key)["id"])) for key in keys}
        await anyio.sleep(self._latency_s / 2)
        return found

    async def content_digest(self, change: Change[Document]) -> str | None:
        return self.contents.get(change.key)

    async def sample(self, count: int) -> list[Change[Document]]:
        return [self._table.change(name) for name in sorted(self._table.rows)[:count]]

    async def check(self) -> list[Finding]:
        return []

    async def _call(self) -> None:
        """One request: the service's clock is seen in its answer."""
        sent, rng = elapsed_s(), self._table.rng
        await anyio.sleep(rng.uniform(0, self._latency_s / 2))
        stamp = datetime.fromtimestamp(int(self._table.now()), UTC)
        await anyio.sleep(rng.uniform(0, self._latency_s / 2))
        self.clock.observe(stamp, sent, elapsed_s())

    async def _scan(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        segment, after = int(partition.id.removeprefix("scan-")), resume.position or ""
        while True:
            await self._call()
            mine = (n for n in self._table.rows if crc32(n.encode()) % self._table.segments == segment and n > after)
            names = sorted(mine)[: self._page]
            rows = tuple(self._table.change(name) for name in names)
            await anyio.sleep(self._table.rng.uniform(0, self._slow_rows_s))
            if not rows:
                return
            after = names[-1]
            yield Batch(rows, after, read=len(rows))

    async def _follow(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        shard = self._table.shards[partition.id]
        until = len(shard.entries) if resume.until is None else int(resume.until)
        start = 0 if resume.position is None else int(resume.position)
        self._check_trimmed(shard, start, resume)
        index, idle = max(start, shard.trimmed), _Idle()
        while resume.until is None or index < until:
            began = elapsed_s()
            await self._call()
            self._check_trimmed(shard, index, resume)
            entries = self._visible(shard, index, None if resume.until is None else until)
            if entries:
                index, idle = index + len(entries), _Idle()
                yield self._batch(entries, index, resume)
            elif self._ended(shard, index):
                return
            else:
                idle.page(began)
                proven = idle.proven_at()
                through = None if proven is None else self.clock.earliest(proven) - timedelta(seconds=IDLE_MARGIN_S)
                yield Batch((), str(index), through, pause_s=self._pause_s)

    def _visible(self, shard: Shard, index: int, until: int | None) -> list[Entry]:
        now, waiting = self._table.now(), shard.entries[index:until]
        waiting = waiting[: bisect_right([e.visible_at for e in waiting], now)][
            : self._table.rng.randint(1, self._page)
        ]
        empty = self._empty_pages.get(shard.id, 0)
        if waiting and empty < EMPTY_PAGES_BEFORE_DATA and self._table.rng.random() < 0.5:
            self._empty_pages[shard.id] = empty + 1
            return []
        self._empty_pages[shard.id] = 0
        return waiting

    def _ended(self, shard: Shard, index: int) -> bool:
        if shard.closed_at is None or index < len(shard.entries):
            return False
        return shard.closed_at + self._table.visible_within_s <= self._table.now()

    def _batch(self, entries: list[Entry], index: int, resume: Resume) -> Batch[Document]:
        changes = [c for e in entries if not _surely_before(c := _change(e), resume.skip_before)]
        return Batch(tuple(changes), str(index), _stamp(entries[-1].at), read=len(entries))

    def _check_trimmed(self, shard: Shard, index: int, resume: Resume) -> None:
        """Trimmed entries are lost unless reading begins here and the parents' end, if they were read, came later."""
        if index >= shard.trimmed:
            return
        last, parents_end = _stamp(shard.entries[shard.trimmed - 1].at), resume.replicated_through
        if resume.position is not None or (parents_end is not None and last >= parents_end):
            raise PositionLostError(f"{shard.id}: trimmed up to {shard.trimmed}, position {index}")


@dataclass
class _Idle:
    """A run of empty pages, by the moments at which each was asked for."""

    pages: list[float] = field(default_factory=list)

    def page(self, began: float) -> None:
        self.pages.append(began)

    def proven_at(self) -> float | None:
        """The latest moment that begins a long enough run ending now."""
        long = [p for p in self.pages[: 1 - IDLE_PAGES] if self.pages[-1] - p >= IDLE_MARGIN_S]
        if not long:
            return None
        self.pages = self.pages[self.pages.index(long[-1]) :]
        return long[-1]


def _change(entry: Entry) -> Change[Document]:
    committed = _stamp(entry.at)
    if entry.number is None:
        return replace(delete(entry.name, committed), written_at=None if entry.by_service else committed)
    return upsert(entry.name, entry.number, committed)


def _stamp(at: float) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)


def _surely_before(change: Change[Document], moment: datetime | None) -> bool:
    assert change.committed_at is not None
    return moment is not None and change.committed_at + timedelta(seconds=1) < moment

"""The state store in one SQLite file, for one daemon or several processes of one host.

Each change is one transaction, on disk before the call returns (`synchronous=FULL`): an intent that was lost with the
page cache would let a replay go backwards.
"""

import json
import sqlite3
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from replicator.clocks import utc_now
from replicator.errors import ConfigurationError
from replicator.model import (
    Action,
    Checkpoint,
    DeadLetter,
    DeadLetterSummary,
    LetterCount,
    Outcome,
    PipelineState,
    Rejection,
)
from replicator.state import carrying
from replicator.state.contents import Entry, Standings, read_standings
from replicator.state.lease import Lease
from replicator.state.letters import close_all, count, tally
from replicator.state.rows import (
    action_row,
    checkpoint_row,
    instant,
    payload_text,
    place_columns,
    read_action,
    read_checkpoint,
    read_dead_letter,
    read_state,
    state_text,
    text,
)
from replicator.state.schema import BUSY_S, migrate, unusable, unwritable

T = TypeVar("T")

PRIMARY_CODE = 0xFF
"""The bits of SQLite's error codes that tell the kind; the others tell the cause."""

UNWRITABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""What the disk is to blame for."""

RESOLVE = "DELETE FROM dead_letters WHERE (pipeline, key, count, first_seen, last_seen) = (?,?,?,?,?)"
"""Closes a dead letter unless it has been counted up since it was read."""


class SqliteStore:
    """Opened with `async with`; see `replicator.ports.StateStore` for what each method promises.

    `told_as` is the path that messages name, where the file is a copy of another one.
    """

    def __init__(self, path: Path, told_as: Path | None = None) -> None:
        self._path = path
        self._told_as = told_as or path
        self._thread = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._lease = Lease()

    async def __aenter__(self) -> Self:
        await self._run(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._run(self._close)

    async def migration_id(self) -> str:
        def mint(db: sqlite3.Connection) -> str:
            db.execute("INSERT INTO migration SELECT ? WHERE NOT EXISTS (SELECT 1 FROM migration)", (uuid.uuid4().hex,))
            return str(db.execute("SELECT id FROM migration").fetchone()[0])

        return await self._write(mint)

    async def load_pipeline(self, pipeline: str) -> PipelineState | None:
        row = await self._row("SELECT state FROM pipelines WHERE name = ?", pipeline)
        return None if row is None else read_state(row[0])

    async def save_pipeline(self, pipeline: str, state: PipelineState) -> None:
        await self._save(lambda db: _save_state(db, pipeline, state))

    async def begin_epoch(self, pipeline: str, state: PipelineState) -> None:
        def begin(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM checkpoints WHERE pipeline = ?", (pipeline,))
            close_all(db, pipeline, Outcome.COMPARED)
            db.execute("DELETE FROM discarded WHERE pipeline = ?", (pipeline,))
            db.execute("DELETE FROM notes WHERE pipeline = ?", (pipeline,))
            _save_state(db, pipeline, state)

        await self._save(begin)

    async def load_checkpoints(self, pipeline: str) -> list[Checkpoint]:
        rows = await self._rows("SELECT * FROM checkpoints WHERE pipeline = ?", pipeline)
        return [read_checkpoint(row) for row in rows]

    async def save_checkpoints(self, pipeline: str, checkpoints: Sequence[Checkpoint]) -> None:
        rows = [(pipeline, *checkpoint_row(c)) for c in checkpoints]
        if rows:
            sql = "INSERT OR REPLACE INTO checkpoints VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
            await self._save(lambda db: db.executemany(sql, rows))

    async def forget_partitions(self, pipeline: str, partitions: Sequence[str]) -> None:
        rows = [(pipeline, id_) for id_ in partitions]
        sql = "DELETE FROM checkpoints WHERE pipeline = ? AND partition = ?"
        await self._save(lambda db: db.executemany(sql, rows))

    async def load_note(self, pipeline: str, name: str) -> str | None:
        row = await self._row("SELECT note FROM notes WHERE pipeline = ? AND name = ?", pipeline, name)
        return None if row is None else str(row[0])

    async def save_note(self, pipeline: str, name: str, text: str) -> None:
        row = (pipeline, name, text)
        await self._save(lambda db: db.execute("INSERT OR REPLACE INTO notes VALUES (?,?,?)", row))

    async def add_action(self, action: Action) -> None:
        row = action_row(action)
        await self._save(lambda db: db.execute("INSERT INTO actions VALUES (NULL,?,?,?,?,?)", row))

    async def actions(self, limit: int = 1000, after: int = 0) -> list[Action]:
        sql = "SELECT * FROM actions WHERE place > ? ORDER BY place LIMIT ?"
        return [read_action(row) for row in await self._rows(sql, after, limit)]

    async def add_dead_letters(self, pipeline: str, partition: str, rejections: Sequence[Rejection]) -> None:
        now = utc_now().isoformat()
        rows = [
            (pipeline, partition, r.key, r.reason, text(r.committed_at), now, now, payload_text(r.payload))
            for r in rejections
        ]
        sql = """INSERT INTO dead_letters VALUES (?,?,?,?,?,?,?,1,?) ON CONFLICT DO UPDATE SET
            payload = excluded.payload, partition = excluded.partition,
            reason = excluded.reason, last_seen = excluded.last_seen,
            count = count + 1, committed_at = MIN(committed_at, excluded.committed_at)"""
        await self._save(lambda db: db.executemany(sql, rows))

    async def dead_letters(
        self, pipeline: str | None = None, limit: int = 1000, after: str | None = None
    ) -> list[DeadLetter]:
        sql = """SELECT * FROM dead_letters
            WHERE (first_seen, pipeline, key) > (?, ?, ?) AND pipeline = COALESCE(?, pipeline)
            ORDER BY first_seen, pipeline, key LIMIT ?"""
        behind = ("", "", "") if after is None else place_columns(after)
        return [read_dead_letter(row) for row in await self._rows(sql, *behind, pipeline, limit)]

    async def dead_letters_of(self, pipeline: str, keys: Sequence[str]) -> list[DeadLetter]:
        sql = """SELECT * FROM dead_letters WHERE pipeline = ? AND key IN (SELECT value FROM json_each(?))
            ORDER BY first_seen, key"""
        return [read_dead_letter(row) for row in await self._rows(sql, pipeline, json.dumps(list(keys)))]

    async def dead_letter_summary(self, pipeline: str) -> DeadLetterSummary:
        row = await self._row(
            "SELECT COUNT(*), MIN(committed_at), SUM(committed_at IS NULL) FROM dead_letters WHERE pipeline = ?",
            pipeline,
        )
        return DeadLetterSummary(row[0], instant(row[1]), bool(row[2])) if row else DeadLetterSummary()

    async def resolve_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        return await self._save(lambda db: len(_close(db, letters, Outcome.RESOLVED)))

    async def discard_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        def discard(db: sqlite3.Connection) -> int:
            closed = _close(db, letters, Outcome.DISCARDED)
            rows = [(d.pipeline, d.key, d.payload.version) for d in closed]
            db.executemany("INSERT OR REPLACE INTO discarded VALUES (?,?,?)", rows)
            return len(closed)

        return await self._save(discard)

    async def count_letters(self, pipeline: str) -> list[LetterCount]:
        return await self._run(lambda: count(self._db(), pipeline))

    async def discarded(self, pipeline: str, keys: Sequence[str] | None = None) -> dict[str, str]:
        if keys is None:
            rows = await self._rows("SELECT * FROM discarded WHERE pipeline = ? LIMIT 1", pipeline)
        else:
            sql = "SELECT * FROM discarded WHERE pipeline = ? AND key IN (SELECT value FROM json_each(?))"
            rows = await self._rows(sql, pipeline, json.dumps(list(keys)))
        return {row["key"]: row["version"] for row in rows}

    async def expire_payloads(self, before: datetime) -> int:
        sql = """UPDATE dead_letters SET payload = json_remove(payload, '$.body')
            WHERE last_seen < ? AND json_extract(payload, '$.body') IS NOT NULL"""
        return await self._save(lambda db: db.execute(sql, (before.isoformat(),)).rowcount)

    async def acquire_lease(self, owner: str, duration_s: float) -> float:
        return await self._write(lambda db: self._lease.acquire(db, owner, duration_s))

    async def release_lease(self, owner: str, linger_s: float) -> None:
        await self._write(lambda db: self._lease.release(db, owner, linger_s))

    async def lease_owner(self) -> str | None:
        row = await self._row("SELECT owner FROM lease")
        return None if row is None else str(row[0])

    async def standings(self) -> Standings:
        row = await self._row("SELECT written FROM standings")
        return read_standings(None if row is None else str(row[0]))

    async def set_standings(self, standings: Standings) -> None:
        sql = "INSERT OR REPLACE INTO standings VALUES (1, ?)"
        await self._save(lambda db: db.execute(sql, (standings.text(),)))

    async def contents(self) -> AsyncGenerator[Sequence[Entry], None]:
        for table in carrying.TABLES:
            after = 0
            while (found := await self._run(partial(self._page, table, after)))[0]:
                entries, after = found
                yield entries

    async def restore(self, entries: Sequence[Entry]) -> None:
        await self._save(lambda db: carrying.write(db, entries))

    async def clear(self) -> None:
        await self._save(carrying.clear)

    def _page(self, table: carrying.Table, after: int) -> tuple[list[Entry], int]:
        return carrying.page(self._db(), table, after)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = db = sqlite3.connect(
                self._path, check_same_thread=False, isolation_level=None, timeout=BUSY_S
            )
            db.row_factory = sqlite3.Row
            with self._told():
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")  # bodies that have expired are gone from the file too
            with self._transaction() as db:
                migrate(db, self._told_as)
        except ConfigurationError:
            self._close()
            raise
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise unusable(self._told_as, error) from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _save(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """A change of what the holder of the lease remembers. Raises LeaseLostError when we are no longer that."""

        def fenced(db: sqlite3.Connection) -> T:
            self._lease.require(db)
            return change(db)

        return await self._write(fenced)

    async def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with self._transaction() as db:
                return change(db)

        return await self._run(run)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits, or rolls back on any exception."""
        db = self._db()
        with self._told():
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # where the disk is full SQLite has ended it by itself
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises ConfigurationError where another process holds the file up for too long, or it cannot be written."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & PRIMARY_CODE
            if code == sqlite3.SQLITE_BUSY:
                raise self._locked() from error
            if code not in UNWRITABLE:
                raise
            raise unwritable(self._told_as, error) from error

    def _locked(self) -> ConfigurationError:
        """As a rule reading is possible meanwhile, so it can be said who that probably is."""
        try:
            held = self._db().execute("SELECT owner FROM lease").fetchone()
        except sqlite3.Error:  # it is not even a state store yet
            held = None
        last = f", maybe the daemon that was the last to use it, {held[0]} (host:process)" if held else ""
        return ConfigurationError(
            "state.path",
            f"{self._told_as} has been locked by another process for {BUSY_S:g} s{last}",
            "End that process, or let it go on if it has been stopped or paused",
        )

    async def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        return await self._run(lambda: self._db().execute(sql, parameters).fetchall())

    async def _row(self, sql: str, *parameters: object) -> sqlite3.Row | None:
        rows = await self._rows(sql, *parameters)
        return rows[0] if rows else None

    async def _run(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(call, limiter=self._thread)

    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is open"  # noqa: S101
        return self._connection


def _close(db: sqlite3.Connection, letters: Sequence[DeadLetter], outcome: Outcome) -> list[DeadLetter]:
    """Those of these that have been closed so."""
    closed = [letter for letter in letters if db.execute(RESOLVE, _seen(letter)).rowcount]
    tally(db, closed, outcome)
    return closed


def _seen(letter: DeadLetter) -> tuple[object, ...]:
    """What `RESOLVE` is given."""
    return (
        letter.pipeline, letter.key, letter.count, letter.first_seen.isoformat(), letter.last_seen.isoformat()
    )  # fmt: skip


def _save_state(db: sqlite3.Connection, pipeline: str, state: PipelineState) -> None:
    db.execute("INSERT OR REPLACE INTO pipelines VALUES (?, ?)", (pipeline, state_text(state)))

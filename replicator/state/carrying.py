"""Everything that a SQLite file holds, read and written as `replicator.state.contents` tells it."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replicator.model import Action, DeadLetter, LetterCount, Outcome
from replicator.state.contents import Closed, Entry, Identity, Noted, Reached, Remembered, Unwanted
from replicator.state.rows import (
    Row,
    action_row,
    checkpoint_row,
    payload_text,
    read_action,
    read_checkpoint,
    read_dead_letter,
    read_state,
    state_text,
    text,
)

PAGE = 500
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are entries."""

    name: str
    read: Callable[[Row], Entry]


TABLES = (
    Table("migration", lambda row: Identity(row["id"])),
    Table("pipelines", lambda row: Remembered(row["name"], read_state(row["state"]))),
    Table("checkpoints", lambda row: Reached(row["pipeline"], read_checkpoint(row))),
    Table("notes", lambda row: Noted(row["pipeline"], row["name"], row["note"])),
    Table("dead_letters", read_dead_letter),
    Table("discarded", lambda row: Unwanted(row["pipeline"], row["key"], row["version"])),
    Table("closed_letters", lambda row: Closed(row["pipeline"], _count(row))),
    Table("actions", read_action),
)
"""All but the lease, and how the store stands; the audit log in its order."""


def page(db: sqlite3.Connection, table: Table, after: int) -> tuple[list[Entry], int]:
    """Entries of a table behind a row, and the last one's."""
    sql = f"SELECT rowid AS row, * FROM {table.name} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608 — ours
    rows = db.execute(sql, (after, PAGE)).fetchall()
    return [table.read(row) for row in rows], rows[-1]["row"] if rows else after


def write(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Adds or replaces these."""
    for entry in entries:
        sql, row = _written(entry)
        db.execute(sql, row)


def clear(db: sqlite3.Connection) -> None:
    """Removes all of them."""
    for table in TABLES:
        db.execute(f"DELETE FROM {table.name}")  # noqa: S608 — a name of ours
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'actions'")


def _written(entry: Entry) -> tuple[str, tuple[object, ...]]:
    match entry:
        case Identity(migration):
            return "INSERT OR REPLACE INTO migration VALUES (?)", (migration,)
        case Remembered(pipeline, state):
            return "INSERT OR REPLACE INTO pipelines VALUES (?,?)", (pipeline, state_text(state))
        case Reached(pipeline, checkpoint):
            row = (pipeline, *checkpoint_row(checkpoint))
            return "INSERT OR REPLACE INTO checkpoints VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row
        case Noted(pipeline, name, note):
            return "INSERT OR REPLACE INTO notes VALUES (?,?,?)", (pipeline, name, note)
        case Unwanted(pipeline, key, version):
            return "INSERT OR REPLACE INTO discarded VALUES (?,?,?)", (pipeline, key, version)
        case Closed(pipeline, count):
            row = (pipeline, count.reason, count.outcome.value, count.count)
            return "INSERT OR REPLACE INTO closed_letters VALUES (?,?,?,?)", row
        case DeadLetter():
            return "INSERT OR REPLACE INTO dead_letters VALUES (?,?,?,?,?,?,?,?,?)", _letter_row(entry)
        case Action():
            return "INSERT OR REPLACE INTO actions VALUES (?,?,?,?,?,?)", (entry.place, *action_row(entry))


def _letter_row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.pipeline,
        letter.partition,
        letter.key,
        letter.reason,
        text(letter.committed_at),
        letter.first_seen.isoformat(),
        letter.last_seen.isoformat(),
        letter.count,
        payload_text(letter.payload),
    )


def _count(row: Row) -> LetterCount:
    return LetterCount(row["reason"], Outcome(row["outcome"]), row["count"])

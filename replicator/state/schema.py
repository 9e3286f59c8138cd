"""The tables of the state store's file, and how a file of an older version becomes one of this."""

import sqlite3
from pathlib import Path

from replicator.errors import ConfigurationError

SCHEMA_VERSION = 5

UPGRADES = {
    1: "ALTER TABLE checkpoints ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0",
    2: "ALTER TABLE dead_letters ADD COLUMN payload TEXT",
    3: "",
    4: "",
}
"""What makes a file of each older version one of the next, beside the tables that are new."""

BUSY_S = 10.0
"""How long another process may hold the file up."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS migration (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pipelines (name TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
    pipeline TEXT NOT NULL, partition TEXT NOT NULL, log TEXT NOT NULL, bounded INTEGER NOT NULL, parents TEXT NOT NULL,
    position TEXT, intent TEXT, finished INTEGER NOT NULL, succeeded INTEGER NOT NULL,
    replicated_through TEXT, records INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline, partition));
CREATE TABLE IF NOT EXISTS dead_letters (
    pipeline TEXT NOT NULL, partition TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL, committed_at TEXT,
    first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, count INTEGER NOT NULL, payload TEXT,
    PRIMARY KEY (pipeline, key));
CREATE INDEX IF NOT EXISTS dead_letters_by_age ON dead_letters (first_seen, pipeline, key);
CREATE TABLE IF NOT EXISTS discarded (
    pipeline TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (pipeline, key));
CREATE TABLE IF NOT EXISTS closed_letters (
    pipeline TEXT NOT NULL, reason TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (pipeline, reason, outcome));
CREATE TABLE IF NOT EXISTS notes (
    pipeline TEXT NOT NULL, name TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (pipeline, name));
CREATE TABLE IF NOT EXISTS actions (
    place INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, actor TEXT NOT NULL, name TEXT NOT NULL,
    pipeline TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS standings (only INTEGER PRIMARY KEY CHECK (only = 1), written TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lease (
    only INTEGER PRIMARY KEY CHECK (only = 1), owner TEXT NOT NULL, boot TEXT NOT NULL, ends_at REAL NOT NULL,
    duration_s REAL NOT NULL, serial INTEGER NOT NULL);
"""


def migrate(db: sqlite3.Connection, told_as: Path) -> None:
    """Makes all tables of this version, within a transaction of the caller's. `told_as` is the path that messages name.

    Raises ConfigurationError for a file of a newer version.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            "state.path", f"{told_as} was written by a newer version", "Run that version, or name another file"
        )
    for older in range(version, SCHEMA_VERSION) if version else ():
        db.execute(UPGRADES[older])
    for statement in SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def unusable(path: Path, error: Exception) -> ConfigurationError:
    """What the operator is told of a file that is no state store."""
    return ConfigurationError(
        "state.path", f"{path} cannot be used as the state store ({error})", "Name a writable file"
    )


def unwritable(path: Path, error: Exception) -> ConfigurationError:
    """What the operator is told where the disk takes no more, or fails."""
    return ConfigurationError(
        "state.path", f"{path} cannot be written ({error})", "Look at its disk, make room there, then start again"
    )

"""SQLite as a kind of state store: how one is opened, looked at and checked."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread

from replicator.config.models import SqliteStateConfig
from replicator.model import Finding, Severity
from replicator.ports import StateStore
from replicator.registry import StateKind
from replicator.state.copying import copy_state
from replicator.state.disk import MOUNTS, storage
from replicator.state.sqlite import SqliteStore

WHERE = "state.path"


def sqlite() -> StateKind:
    """The kind that a config means where it names none."""
    return StateKind(SqliteStateConfig, _open, _look, _check)


@asynccontextmanager
async def throw_away() -> AsyncIterator[StateStore]:
    """An empty store that is gone afterwards."""
    with TemporaryDirectory() as folder:
        async with SqliteStore(Path(folder) / "state.sqlite") as store:
            yield store


def _open(config: SqliteStateConfig) -> AbstractAsyncContextManager[StateStore]:
    return SqliteStore(config.path)


@asynccontextmanager
async def _look(config: SqliteStateConfig) -> AsyncIterator[StateStore]:
    """At a copy."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "state.sqlite"
        await anyio.to_thread.run_sync(copy_state, config.path, copy)
        async with SqliteStore(copy, told_as=config.path) as store:
            yield store


async def _check(config: SqliteStateConfig) -> list[Finding]:
    mounts = MOUNTS.read_text() if MOUNTS.exists() else ""
    return [_writable(config.path), *storage(config.path, mounts)]


def _writable(path: Path) -> Finding:
    """Whether the file can be written; what is in it has been read already."""
    place = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(place, os.W_OK) or (place != path and not place.is_dir()):
        problem = f"{path} cannot be used as the state store ({place} is not writable)"
        return Finding(Severity.ERROR, WHERE, problem, "Name a writable file")
    return Finding(Severity.OK, WHERE, f"the state is kept in {path}" + ("" if place == path else ", to be made"))

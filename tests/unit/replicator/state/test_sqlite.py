"""Promises of the SQLite store beyond the contract of every store: files, versions, machines and durability."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.clocks import utc_now
from replicator.errors import ConfigurationError
from replicator.model import Action, Checkpoint, Partition, Rejection
from replicator.state import sqlite
from replicator.state.copying import copy_state
from replicator.state.lease import Lease
from replicator.state.schema import SCHEMA, SCHEMA_VERSION
from replicator.state.sqlite import SqliteStore

DURATION_S = 30.0
CHECKPOINTS = [Checkpoint(Partition("a", bounded=True))]


def raw(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    db = raw(path)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        async with SqliteStore(path):
            pass
    db = raw(path)
    assert db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1
    assert db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
    db.close()


async def test_what_is_no_database_is_a_configuration_error(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database, but long enough to have a header" * 100)
    for path in (garbage, tmp_path, garbage / "below"):
        with pytest.raises(ConfigurationError, match=r"state\.path"):
            async with SqliteStore(path):
                pass


async def test_a_file_that_another_process_keeps_locked_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was stopped in the middle of a change, for instance; at the start as well as later."""
    monkeypatch.setattr(sqlite, "BUSY_S", 0.02)
    path = tmp_path / "state.sqlite"
    async with SqliteStore(path) as store:
        assert await store.acquire_lease("host:4711:x", DURATION_S) == 0
        other = raw(path)
        other.execute("BEGIN IMMEDIATE")
        for attempt in (SqliteStore(path).__aenter__, lambda: store.save_checkpoints("p", CHECKPOINTS)):
            with pytest.raises(ConfigurationError, match=r"state\.path: .* has been locked .*host:4711:x.* End that"):
                await attempt()
        other.execute("ROLLBACK")
        await store.save_checkpoints("p", CHECKPOINTS)
        assert await store.load_checkpoints("p") == CHECKPOINTS
        other.close()


async def test_a_full_disk_is_said_to_be_and_what_was_saved_before_is_there(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "state.sqlite") as store:
        await store.acquire_lease("host:4711:x", DURATION_S)
        await store.save_checkpoints("p", CHECKPOINTS)
        store._db().execute("PRAGMA max_page_count = 1")  # it is that many already
        with pytest.raises(ConfigurationError, match=r"state\.path: .* cannot be written \(database or disk is full\)"):
            await store.add_action(Action(utc_now(), "somebody", "talks", "", "x" * 1_000_000))
        assert await store.load_checkpoints("p") == CHECKPOINTS
        store._db().execute("PRAGMA max_page_count = 10000")
        await store.save_checkpoints("q", CHECKPOINTS)
        assert await store.load_checkpoints("q") == CHECKPOINTS


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
async def test_a_file_that_is_locked_before_it_has_become_a_store_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 0.02)
    other = raw(tmp_path / "state.sqlite")
    other.execute(f"PRAGMA journal_mode = {mode}")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigurationError, match=r"has been locked by another process for 0\.02 s\. End that"):
        await SqliteStore(tmp_path / "state.sqlite").__aenter__()
    other.close()


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    """An intent that was lost with the page cache would let a replay go backwards."""
    async with SqliteStore(tmp_path / "deep" / "state.sqlite") as store:
        db = store._db()
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder; SQLite's index of its log is shared memory, in which readers leave marks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


async def test_a_copy_holds_everything_and_leaves_no_trace(tmp_path: Path) -> None:
    """While the store is in use, what was committed last is in a file beside it."""
    folder = tmp_path / "original"
    path = folder / "state.sqlite"
    async with SqliteStore(path) as store:
        await store.save_checkpoints("orders", [Checkpoint(Partition("a", bounded=True))])
        before = files(folder)
        copy_state(path, tmp_path / "in use")
        assert files(folder) == before
        assert set(before) == {"state.sqlite", "state.sqlite-wal"}
    before = files(folder)
    copy_state(path, tmp_path / "at rest")
    assert files(folder) == before
    assert set(before) == {"state.sqlite"}
    for copy in ("in use", "at rest"):
        async with SqliteStore(tmp_path / copy, told_as=path) as store:
            assert [c.partition.id for c in await store.load_checkpoints("orders")] == ["a"]


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    copy_state(tmp_path / "none.sqlite", tmp_path / "copy.sqlite")
    assert list(tmp_path.iterdir()) == []


async def test_messages_about_a_copy_name_the_original(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not a database, but long enough to have a header" * 100)
    with pytest.raises(ConfigurationError, match=r"garbage cannot be used as the state store"):
        copy_state(garbage, tmp_path / "copy")
    db = raw(tmp_path / "newer")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    copy_state(tmp_path / "newer", tmp_path / "copy of it")
    with pytest.raises(ConfigurationError, match=r"/newer was written by a newer version"):
        async with SqliteStore(tmp_path / "copy of it", told_as=tmp_path / "newer"):
            pass


async def test_a_save_that_fails_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    broken = Checkpoint(Partition("b", bounded=True), position=cast("str", object()))
    async with SqliteStore(tmp_path / "state.sqlite") as store:
        with pytest.raises(sqlite3.Error):
            await store.save_checkpoints("orders", [Checkpoint(Partition("a", bounded=True)), broken])
        assert await store.load_checkpoints("orders") == []
        await store.save_checkpoints("orders", [Checkpoint(Partition("a", bounded=True))])
        assert len(await store.load_checkpoints("orders")) == 1


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = raw(Path(":memory:"))
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


@in_virtual_time
async def test_a_lease_of_another_boot_is_waited_for_in_full(db: sqlite3.Connection) -> None:
    """There is no clock in common: only a full duration without a renewal proves that its holder is gone."""
    before, after = Lease("boot 1"), Lease("boot 2")
    before.acquire(db, "one", DURATION_S)
    await anyio.sleep(DURATION_S * 10)
    assert after.acquire(db, "two", DURATION_S) == pytest.approx(DURATION_S)
    await anyio.sleep(DURATION_S / 2)
    assert after.acquire(db, "two", DURATION_S) == pytest.approx(DURATION_S / 2)
    await anyio.sleep(DURATION_S / 2 + 0.001)
    assert after.acquire(db, "two", DURATION_S) == 0


@in_virtual_time
async def test_a_renewal_on_another_boot_starts_the_wait_anew(db: sqlite3.Connection) -> None:
    one, two = Lease("boot 1"), Lease("boot 2")
    one.acquire(db, "one", DURATION_S)
    for _ in range(5):
        assert two.acquire(db, "two", DURATION_S) > 0
        await anyio.sleep(DURATION_S * 0.9)
        one.acquire(db, "one", DURATION_S)
    assert two.acquire(db, "two", DURATION_S) == pytest.approx(DURATION_S)


@in_virtual_time
async def test_an_expired_lease_that_nobody_took_is_renewed() -> None:
    async with InlineStore() as store:
        assert await store.acquire_lease("one", 1) == 0
        await anyio.sleep(100)
        assert await store.acquire_lease("one", 1) == 0
        assert await store.acquire_lease("two", 1) == pytest.approx(1)


async def test_a_file_of_the_version_before_is_taken_up(tmp_path: Path) -> None:
    path, checkpoint = tmp_path / "old.sqlite", Checkpoint(Partition("scan-0", bounded=True), "p", records=7)
    async with SqliteStore(path) as store:
        await store.save_checkpoints("orders", [checkpoint])
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE checkpoints DROP COLUMN bytes")
        db.execute("ALTER TABLE dead_letters DROP COLUMN payload")
        db.execute("PRAGMA user_version = 1")
    async with SqliteStore(path) as store:
        assert await store.load_checkpoints("orders") == [checkpoint]
        await store.save_checkpoints("orders", [replace(checkpoint, bytes=9)])
        assert await store.load_checkpoints("orders") == [replace(checkpoint, bytes=9)]
        await store.add_dead_letters("orders", "scan-0", [Rejection("k", "too large")])
        assert (await store.dead_letter_summary("orders")).count == 1

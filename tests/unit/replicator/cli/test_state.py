"""Promise: `state move` moves what the one config names to where the other one does, and a dry run changes nothing."""

import json
from pathlib import Path

import anyio
import pytest
import yaml

from replicator.cli.ending import Exit
from replicator.cli.state import run_move
from replicator.errors import ConfigurationError
from replicator.model import PipelineState
from replicator.state.sqlite import SqliteStore

PIPELINE = {
    "source": {"type": "dynamodb", "table": "orders", "region": "eu-central-1"},
    "target": {"type": "cosmos", "endpoint": "https://shop.example", "database": "shop", "container": "orders"},
}


def config(folder: Path, name: str) -> Path:
    """One that keeps its state in a file of this name."""
    path = folder / f"{name}.yaml"
    tree = {"migration": "shop", "state": {"path": f"{name}.sqlite"}, "pipelines": {"orders": PIPELINE}}
    path.write_text(yaml.safe_dump(tree))
    return path


async def _work(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.migration_id()
        await store.save_pipeline("orders", PipelineState(epoch=4))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Has been run."""
    path = config(tmp_path, "old")
    anyio.run(_work, tmp_path / "old.sqlite")
    return path


def epoch(path: Path) -> int | None:
    async def look() -> int | None:
        async with SqliteStore(path) as store:
            state = await store.load_pipeline("orders")
            return None if state is None else state.epoch

    return anyio.run(look)


def test_the_state_is_where_the_new_config_says(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And said to be, also by a repetition."""
    new = config(tmp_path, "new")
    for _ in range(2):
        assert run_move(old, new, dry_run=False, as_json=True) == Exit.OK
        told = json.loads(capsys.readouterr().out)
        assert (told["from"], told["to"]) == (str(tmp_path / "old.sqlite"), str(tmp_path / "new.sqlite"))
        assert told["moved"]
        assert (told["entries"]["identity"], told["entries"]["pipelines"]) == (1, 1)
    assert epoch(tmp_path / "new.sqlite") == 4


def test_a_dry_run_changes_nothing(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tmp_path / "old.sqlite").read_bytes()
    assert run_move(old, config(tmp_path, "new"), dry_run=True, as_json=False) == Exit.OK
    out = capsys.readouterr().out
    assert "1  pipelines" in out
    assert "would be moved" in out
    assert (tmp_path / "old.sqlite").read_bytes() == before
    assert {path.name for path in tmp_path.glob("*.sqlite*")} == {"old.sqlite"}


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_not_there_is_neither_moved_nor_made(tmp_path: Path, dry_run: bool) -> None:
    with pytest.raises(ConfigurationError, match="holds no state"):
        run_move(config(tmp_path, "never"), config(tmp_path, "new"), dry_run=dry_run, as_json=False)
    assert not list(tmp_path.glob("*.sqlite*"))


def test_a_store_is_not_moved_to_itself(old: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.yaml"
    same.write_text(old.read_text())
    with pytest.raises(ConfigurationError, match="names the same state"):
        run_move(old, same, dry_run=False, as_json=False)


def test_a_dry_run_says_that_a_daemon_is_in_the_way(old: Path, tmp_path: Path) -> None:
    async def hold() -> None:
        async with SqliteStore(tmp_path / "old.sqlite") as store:
            assert await store.acquire_lease("host:1", 60) == 0

    anyio.run(hold)
    with pytest.raises(ConfigurationError, match=r"a daemon \(host:1\) is running on it"):
        run_move(old, config(tmp_path, "new"), dry_run=True, as_json=False)

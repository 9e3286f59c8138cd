"""Promises of the demo and the sandbox when something is in their way: it is said, and nobody's files are touched."""

from pathlib import Path

import pytest

from fakes.served import run_command
from replicator.cli import demo, sandbox
from sandbox.aws import AwsServerError


class Unwilling:
    """A local AWS that does not start."""

    def __init__(self, port: int = 0) -> None:
        raise AwsServerError("port 4566 of 127.0.0.1 is not free")


@pytest.mark.parametrize("command", [["demo"], ["sandbox", "up"]], ids=" ".join)
def test_clouds_that_do_not_start_are_named(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sandbox, "AwsServer", Unwilling)
    assert run_command(*command) == 2
    error = capsys.readouterr().err
    assert "sandbox: the local clouds do not start (port 4566 of 127.0.0.1 is not free)" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("equal", [True, False])
def test_the_exit_code_is_the_verdict(equal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda **_: equal)
    assert run_command("demo") == (0 if equal else 1)


def test_what_an_earlier_run_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".demo"
    (folder / "mine").mkdir(parents=True)
    for name in ("migration.yaml", "state.sqlite", "state.sqlite-wal", "daemon.log", "notes.txt"):
        (folder / name).touch()
    with demo.room():
        assert {path.name for path in folder.iterdir()} == {"mine", "notes.txt", "lock"}


def test_two_demos_in_one_folder_would_compare_each_other_s_clouds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with demo.room():
        (tmp_path / ".demo/daemon.log").touch()
        assert run_command("demo") == 2
        assert (tmp_path / ".demo/daemon.log").exists()
    assert "another demo is running in this folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".demo").touch()
    assert run_command("demo") == 2
    assert ".demo: cannot be written" in capsys.readouterr().err

"""Promises of the demo and the sandbox when something is in their way: it is said, and nobody's files are touched."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fakes.served import run_command
from fakes.statuses import FINE, but
from replicator.cli import demo, sandbox
from replicator.engine.comparing import Comparison
from sandbox.aws import AwsServer, AwsServerError

COUNTS = [field.name for field in fields(Comparison) if field.name != "named"]


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
    assert "sandbox: the local AWS does not start: port 4566 of 127.0.0.1 is not free" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("equal", [True, False])
def test_the_exit_code_is_the_verdict(equal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda **_: equal)
    assert run_command("demo") == (0 if equal else 1)


def outcome(*, caught_up: bool = True, **found: int) -> demo.Outcome:
    counts: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), **found}
    comparison = Comparison(**counts)
    return demo.Outcome(demo.Followed(50, caught_up, 120.0, but(FINE, copied=3)), 10_000_000, comparison)


@pytest.mark.parametrize(
    ("ended", "code", "said"),
    [
        (outcome(equal=3), 0, "EQUAL: 3 records are the same on both sides"),
        (outcome(equal=2, missing=1), 1, "NOT EQUAL: 2 records are the same"),
        (outcome(equal=3, caught_up=False), 1, "NOT CAUGHT UP within 120 s; the log is .demo/daemon.log"),
    ],
)
def test_a_demo_is_good_only_if_it_caught_up_and_both_sides_are_equal(
    ended: demo.Outcome,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run(*_: object) -> demo.Outcome:
        return ended

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo.Demo, "run", run)
    assert run_command("demo", "--json") == code
    printed = json.loads(capsys.readouterr().out)
    assert (printed["equal"], printed["caught_up"]) == (ended.found.is_equal, ended.followed.caught_up)
    assert printed["pipelines"]["orders"]["copied"] == 3
    assert said in ended.verdict[0]


def test_the_ways_to_look_are_commands_that_work_in_another_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """They name this program as it was started, and bring the credentials that they need."""
    monkeypatch.setattr(sys, "argv", ["replicator/__main__.py", "demo"])
    clouds = sandbox.LocalClouds(AwsServer(port=4566), "http://127.0.0.1:8081", "key")
    status, scan, _ = demo.ways_to_look(clouds, "http://127.0.0.1:8080")
    assert status == f"{sys.executable} -m replicator status --watch --url http://127.0.0.1:8080"
    *variables, aws, _, _, _, _, option, endpoint = scan.split()
    assert dict(v.split("=") for v in variables) == clouds.aws.environment
    assert (aws, option, endpoint) == ("aws", "--endpoint-url", "http://127.0.0.1:4566")


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

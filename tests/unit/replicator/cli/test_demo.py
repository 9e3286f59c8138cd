"""Promises of the demo and the sandbox when something is in their way: it is said, and nobody's files are touched."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.served import run_command
from fakes.statuses import FINE, but
from replicator.cli import demo, sandbox
from replicator.cli.demo.daemon import Followed
from replicator.cli.demo.lingering import ways_to_look
from replicator.cli.demo.objects import compare_objects
from replicator.cli.demo.outcome import Migrated, Outcome
from replicator.cli.demo.queue import compared_messages
from replicator.cli.demo.room import room
from replicator.cli.demo.running import Demo
from replicator.cli.demo.workload import compared_records
from replicator.engine.comparing import Comparison
from sandbox.aws import AwsServer, AwsServerError
from sandbox.workload import HeldObject
from sandbox.workload import Outcome as Arrived

SAME = "3 items are the same on both sides; 0 different, 0 missing, 0 extra, 0 foreign"


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


def outcome(*, caught_up: bool = True, **found: Any) -> Outcome:
    """Of a table and a queue, which is fine."""
    following = Followed(caught_up=caught_up, catch_up_s=120.0, last=but(FINE, copied=3))
    records = replace(Comparison(source_records=3, target_records=3), **found)
    done = Followed(caught_up=True, catch_up_s=2.5, last=but(FINE, copied=0))
    messages = compared_messages(Arrived(received=7, duplicates=2), 5, ordered=True)
    pipelines = {
        "orders": Migrated(50, following, compared_records(records, "item")),
        "payments": Migrated(4, done, messages),
    }
    return Outcome(pipelines, 10_000_000)


@pytest.mark.parametrize(
    ("ended", "code", "first", "last"),
    [
        (
            outcome(equal=3),
            0,
            f"orders: EQUAL, {SAME}; caught up in 120.0 s",
            "EQUAL: everything is on the other side.",
        ),
        (outcome(equal=2, missing=1), 1, "orders: NOT EQUAL, 2 items are the same", "NOT EQUAL: not everything is"),
        (
            outcome(equal=3, caught_up=False),
            1,
            f"orders: EQUAL, {SAME}; NOT CAUGHT UP within 120 s",
            "EQUAL: everything is on the other side. NOT CAUGHT UP within 120 s; the log is .demo/daemon.log",
        ),
    ],
)
def test_a_demo_is_good_only_if_it_caught_up_and_everything_is_equal(
    ended: Outcome,
    code: int,
    first: str,
    last: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run(*_: object) -> Outcome:
        return ended

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Demo, "run", run)
    assert run_command("demo", "--json") == code
    printed = json.loads(capsys.readouterr().out)
    assert (printed["equal"], printed["caught_up"]) == (ended.is_equal, ended.caught_up)
    orders = printed["pipelines"]["orders"]
    assert (orders["copied"], orders["writes"], orders["is_equal"]) == (3, 50, ended.is_equal)
    assert printed["catch_up_s"] == 120.0, "that of the last one"
    assert ended.verdict[0].startswith(first)
    assert ended.verdict[-1].startswith(last)


def test_duplicates_of_messages_are_counted_and_not_wrong() -> None:
    migrated = outcome(equal=3).pipelines["payments"]
    assert migrated.is_good
    assert migrated.as_json()["duplicates"] == 2
    (line,) = migrated.verdict("payments")
    assert line.startswith("payments: EQUAL, 5 messages sent, 7 received; 0 missing, 0 different, 0 extra")
    assert line.endswith("0 out of order in their groups; 2 duplicates; caught up in 2.5 s")


@pytest.mark.parametrize("wrong", ["missing", "different", "extra", "disordered"])
def test_whatever_is_wrong_with_messages_is_named(wrong: str) -> None:
    found = Arrived(named=["m1 is wrong"])
    setattr(found, wrong, 1)
    migrated = Migrated(0, Followed(caught_up=True, catch_up_s=1.0), compared_messages(found, 5, ordered=True))
    assert not migrated.is_good
    assert migrated.verdict("payments")[1:] == ["  m1 is wrong"]


HELD = HeldObject(3, "0" * 32, {"owner": "a"}, {"team": "b"}, {"ContentType": "text/plain"})


OTHERS = (
    replace(HELD, size=4),
    replace(HELD, md5="1"),
    replace(HELD, metadata={}),
    replace(HELD, tags={}),
    replace(HELD, headers={}),
)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ({"x": HELD}, {"equal": 1, "target_records": 1}),
        ({}, {"missing": 1}),
        ({"x": None}, {"missing": 1, "foreign": 1}),
        ({"x": HELD, "y": HELD}, {"equal": 1, "extra": 1, "target_records": 2}),
        ({"x": HELD, "y": None}, {"equal": 1, "foreign": 1, "target_records": 1}),
        *(({"x": other}, {"different": 1, "target_records": 1}) for other in OTHERS),
    ],
)
def test_objects_are_equal_only_in_everything(target: dict[str, HeldObject | None], counts: dict[str, Any]) -> None:
    found = compare_objects({"x": HELD}, target)
    assert found == replace(Comparison(source_records=1, named=found.named), **counts)
    assert found.is_equal is (counts == {"equal": 1, "target_records": 1})
    assert bool(found.named) is not found.is_equal


def test_the_ways_to_look_are_commands_that_work_in_another_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """They name this program as it was started, and bring the credentials that they need."""
    monkeypatch.setattr(sys, "argv", ["replicator/__main__.py", "demo"])
    clouds = sandbox.LocalClouds(AwsServer(port=4566), "http://127.0.0.1:8081", "key")
    status, *commands = ways_to_look(clouds, "http://127.0.0.1:8080")
    assert status == f"{sys.executable} -m replicator status --watch --url http://127.0.0.1:8080"
    at_aws = [command.partition(" aws ") for command in commands if " aws " in command]
    assert [rest.split()[0] for _, _, rest in at_aws] == ["dynamodb", "s3api", "sqs"]
    for variables, _, rest in at_aws:
        assert dict(v.split("=") for v in variables.split()) == clouds.aws.environment
        assert rest.endswith("--endpoint-url http://127.0.0.1:4566")


def test_what_an_earlier_run_left_is_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".demo"
    (folder / "mine").mkdir(parents=True)
    for name in ("migration.yaml", "state.sqlite", "state.sqlite-wal", "daemon.log", "notes.txt"):
        (folder / name).touch()
    with room():
        assert {path.name for path in folder.iterdir()} == {"mine", "notes.txt", "lock"}


def test_two_demos_in_one_folder_would_compare_each_other_s_clouds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with room():
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

"""Promises of the command line itself: whoever asks is told how, and what makes no sense is refused in one line."""

import sys
from importlib.metadata import version
from unittest.mock import patch

import pytest

from replicator.cli import main

COMMANDS = [
    [], ["run"], ["check"], ["status"], ["estimate"], ["schema"], ["demo"], ["sandbox"], ["sandbox", "up"],
    ["dead-letters"], ["dead-letters", "list"], ["dead-letters", "retry"], ["verify"],
]  # fmt: skip


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    with patch.object(sys, "argv", ["anything", *arguments]), pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_and_group_has_help_with_an_example(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output, _ = ended(capsys, *command, option)
    assert code == 0
    assert output.startswith(f"Usage: {' '.join(['replicator', *command])} ")
    assert f"Example: {' '.join(['replicator', *command])}" in output


def test_every_command_is_listed_with_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ([], ["sandbox"], ["dead-letters"]):
        _, output, _ = ended(capsys, *group, "--help")
        listed = output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        assert listed
        assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(capsys, "--version") == (0, f"replicator {version('replicator')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["run"], "Missing argument 'CONFIG'"),
        (["run", "a", "b"], "unexpected extra argument"),
        (["run", "a", "--adpot"], "No such option: --adpot"),
        (["demo", "--items", "5"], "--items"),
        (["status", "--watch", "--json"], "--watch is for people"),
        (["dead-letters", "retry", "orders"], "give either --key"),
        (["run", "/nonexistent/migration.yaml"], "/nonexistent/migration.yaml: cannot be read"),
        (["status", "--url", "foo"], "foo is no http address"),
        (["status", "--url", "localhost:8080"], "localhost:8080 is no http address"),
        (["status", "--url", "file:///etc/passwd"], "no http address"),
        (["status", "--url", "http://"], "no http address"),
        (["status", "--url", "http://[::1"], "no http address"),
        (["status", "--url", "http://127.0.0.1:port"], "no http address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, error = ended(capsys, *arguments)
    assert code == 2
    assert output == ""
    assert said in error
    assert "Traceback" not in error

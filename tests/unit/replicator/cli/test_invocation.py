"""Promise: what people are told to type starts this very program."""

import subprocess
import sys
from pathlib import Path

import pytest

from replicator.cli.invocation import own_command


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed one, below the working directory."""
    path = tmp_path / "here" / ".venv/bin/replicator"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\necho started\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return path


def started(command: str) -> str:
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602 — ours


@pytest.mark.parametrize("told", [".venv/bin/replicator", "{folder}/.venv/bin/replicator"])
def test_a_program_below_this_folder_is_named_from_here(
    told: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [told.format(folder=tmp_path / "here")])
    assert own_command() == ".venv/bin/replicator"
    assert started(own_command()) == "started\n"


def test_a_program_that_the_shell_finds_is_named_alone(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert own_command() == "replicator"
    assert started(own_command()) == "started\n"


def test_a_program_elsewhere_is_named_whole_and_quoted(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "my tools"
    elsewhere.mkdir()
    program.rename(elsewhere / "replicator")
    monkeypatch.setattr(sys, "argv", [str(elsewhere / "replicator")])
    assert own_command() == f"'{elsewhere}/replicator'"
    assert started(own_command()) == "started\n"


@pytest.mark.parametrize("told", ["-c", "-m", "/nowhere/replicator/__main__.py"])
def test_a_module_is_started_by_the_same_python(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [told])
    assert own_command() == f"{sys.executable} -m replicator"

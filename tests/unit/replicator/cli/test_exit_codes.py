"""Promise: a process ends with the exit code that the errors and the commands' page name, and says why in one line."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from unit.docs.pages import rows, sections, text

from fakes.served import run_command
from replicator import errors
from replicator.cli import main
from replicator.cli import run as run_module

SAID = re.compile(r"── (\w+Error) +(.+?)(?=(?:\n *│|\n *├|\n *└|\n\n))", re.DOTALL)


def _classes(root: type[errors.ReplicatorError]) -> Iterator[type[errors.ReplicatorError]]:
    yield root
    for below in root.__subclasses__():
        yield from _classes(below)


SAMPLES: dict[str, errors.ReplicatorError] = {
    "ConfigurationError": errors.ConfigurationError("pipelines.a", "is wrong", "Mend it"),
    "LeaseLostError": errors.LeaseLostError("somebody else has it"),
    "ForeignOwnerError": errors.ForeignOwnerError("somebody else has written"),
    "TransientError": errors.TransientError("503"),
    "ThrottledError": errors.ThrottledError("429"),
    "AmbiguousError": errors.AmbiguousError("cut"),
    "AccessError": errors.AccessError("403"),
    "UnreachableError": errors.UnreachableError("refused"),
    "PositionLostError": errors.PositionLostError("a gap"),
}

REACTIONS = {name: " ".join(text.replace("│", " ").split()) for name, text in SAID.findall(errors.__doc__ or "")}
"""What the docstring of the errors says that each class does."""

BUG = "3"


def exit_code_of(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> str:
    """With which `replicator run` ends when its daemon raises this."""

    def raising(*_: object, **__: object) -> bool:
        raise error

    monkeypatch.setattr(run_module, "run_daemon", raising)
    monkeypatch.setattr(sys, "argv", ["replicator", "run", "migration.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    return str(int(ended.value.code or 0))


def test_every_error_has_its_reaction() -> None:
    named = {c.__name__ for c in _classes(errors.ReplicatorError) if c.__module__ == errors.__name__}
    assert set(REACTIONS) == named - {"ReplicatorError"} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_error_ends_the_process_as_its_docstring_says(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What never leaves the engine is a bug where it does."""
    promised = re.search(r"exit code (\d)", REACTIONS[name])
    code = exit_code_of(ExceptionGroup("tasks", [ExceptionGroup("more", [SAMPLES[name]])]), monkeypatch)
    said = capsys.readouterr().err
    assert code == (promised[1] if promised else BUG)
    if promised:
        assert said == f"replicator: {SAMPLES[name]}\n"
    else:
        assert "Traceback" in said


@pytest.mark.parametrize("name", ["ConfigurationError", "LeaseLostError"])
def test_an_error_without_a_group_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"exit code {exit_code_of(SAMPLES[name], monkeypatch)}" in REACTIONS[name]


def test_what_must_be_mended_counts_more_than_what_a_restart_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ExceptionGroup("tasks", [SAMPLES["LeaseLostError"], SAMPLES["ForeignOwnerError"]])
    assert exit_code_of(both, monkeypatch) == "2"


def test_what_several_tasks_stumble_over_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them notice that the lease is lost."""
    lost = [errors.LeaseLostError("somebody else has it") for _ in range(3)]
    assert exit_code_of(ExceptionGroup("tasks", [*lost, SAMPLES["ForeignOwnerError"]]), monkeypatch) == "2"
    said = capsys.readouterr().err
    assert said == "replicator: somebody else has it\nreplicator: somebody else has written\n"


def run_until(
    error: Exception, log_format: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and standard error of a daemon that ends with this error, once its log is set up."""

    async def ending(*_: object, **__: object) -> bool:
        raise error

    monkeypatch.setattr(run_module, "_run", ending)
    monkeypatch.setenv("COSMOS_KEY", "c2VjcmV0")
    monkeypatch.setenv("REPLICATOR_TOKEN", "sixteen characters")
    config = yaml.safe_load(text("docs/config.example.yaml"))
    path = folder / "migration.yaml"
    path.write_text(yaml.safe_dump({**config, "http": {"listen": "127.0.0.1:0"}, "log": {"format": log_format}}))
    return run_command("run", str(path)), capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("ConfigurationError", 2), ("LeaseLostError", 1)])
def test_a_log_of_json_holds_the_last_error_too_and_nothing_else_is_said(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, said = run_until(ExceptionGroup("tasks", [SAMPLES[name]] * 2), "json", tmp_path, monkeypatch, capsys)
    (line,) = map(json.loads, said.splitlines())
    assert ended == code
    assert (line["event"], line["level"], line["exit_code"]) == ("ended by an error", "error", code)
    assert line["error"] == str(SAMPLES[name])


def test_a_log_of_json_holds_the_traceback_of_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, said = run_until(ZeroDivisionError("oh"), "json", tmp_path, monkeypatch, capsys)
    (line,) = map(json.loads, said.splitlines())
    assert ended == line["exit_code"] == int(BUG)
    assert "ZeroDivisionError: oh" in line["exception"]
    assert "Traceback" in line["exception"]


def test_a_log_for_people_ends_with_a_plain_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, said = run_until(SAMPLES["ConfigurationError"], "console", tmp_path, monkeypatch, capsys)
    assert ended == 2
    assert said == f"replicator: {SAMPLES['ConfigurationError']}\n"


@pytest.mark.parametrize("beside", [[], ["ConfigurationError"]])
def test_anything_else_is_a_bug_and_shows_where(
    beside: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also beside an error that is none: a code that means "warnings" elsewhere must not be taken for one."""
    bug = ExceptionGroup("tasks", [ZeroDivisionError("oh"), *(SAMPLES[name] for name in beside)])
    assert exit_code_of(bug, monkeypatch) == BUG
    said = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in said
    assert "Traceback" in said


def test_the_commands_page_names_every_code_of_run() -> None:
    documented = {row[0] for row in rows(sections("docs/commands.md")["replicator run"]) if row[0].isdigit()}
    assert documented == {"0", "1", "2", "3"}

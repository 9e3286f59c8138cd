"""Promise: a process ends with the exit code that the errors and the commands' page name, and says why in one line."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.docs.pages import rows, sections

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

    def raising(path: Path, *, adopt: bool) -> bool:
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

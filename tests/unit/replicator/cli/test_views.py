"""Promises of what people see: numbers never better than they are, nothing cut, unknowns called unknown."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fakes.statuses import FINE, but, told
from replicator.cli.views import attention, copied_text, duration_text, lag_text, open_view, phase_text, render
from replicator.status import MigrationStatus

UNITS = {"s": 1, "min": 60, "h": 3600}

PIPELINE = but(
    FINE,
    phase="copying",
    repairing=True,
    copy_stage="running",
    copied=1_234_567,
    copy_total=98_765_432,
    copy_eta_s=4000.0,
    applied=3,
    applied_per_s=1.0,
    lag_s=None,
    stream_lag_s=2.0,
    dead_letters=1,
    problems=["1 dead letter is open", "target is failing: [429] busy"],
)


def drawn(shown: MigrationStatus, width: int, *, terminal: bool) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=terminal, color_system=None, soft_wrap=True)
    console.print(render(shown, console))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_bytes_are_shown_where_a_source_tells_them() -> None:
    copying = but(FINE, copy_stage="running", copied=5, copy_total=10, copied_bytes=2_500_000, copy_eta_s=None)
    assert copied_text(but(copying, copy_total_bytes=5_000_000)).endswith("5 of 10 (2.5 of 5.0 MB)")
    assert copied_text(copying).endswith("5 of 10 (2.5 MB)")
    assert copied_text(but(copying, copy_stage="swept")) == "5 done (2.5 MB)"
    assert copied_text(but(FINE, copied=5)) == "5 done"


def test_where_nothing_was_to_be_copied_that_is_said() -> None:
    """As of a queue, which is only passed on."""
    assert copied_text(but(FINE, copied=0)) == "nothing"


def test_what_waits_in_a_queue_is_named_and_a_held_one_has_no_lag() -> None:
    depth = {"visible": 3, "in_flight": 1, "delayed": 0, "oldest_age_s": None, "held": False}
    assert lag_text(but(FINE, lag_s=3.0, queue=depth)) == "3.0 s, 4 messages wait"
    assert lag_text(but(FINE, lag_s=None, queue={**depth, "held": True})) == "held, 4 messages wait"


@given(st.floats(0, 1e8))
def test_a_duration_is_never_less_than_it_is_and_hardly_more(seconds: float) -> None:
    amount, unit = duration_text(seconds).split()
    told = float(amount) * UNITS[unit]
    assert seconds * (1 - 1e-9) <= told <= max(seconds * 1.07, seconds + 0.1000001)
    assert unit == "h" or float(amount) <= 100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.01, "0.1 s"), (18, "18.0 s"), (100, "100.0 s"), (100.1, "1.7 min"), (86_400, "24.0 h")],
)
def test_durations_read_easily(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_an_unknown_lag_is_called_so() -> None:
    assert lag_text(but(FINE, lag_s=None, stream_lag_s=None)) == "unknown"
    assert lag_text(but(FINE, lag_s=None, stream_lag_s=2.0)) == "unknown (stream 2.0 s)"
    assert lag_text(but(FINE, lag_s=3.0, stream_lag_s=2.0)) == "3.0 s"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "░░░░░░░░░░ 1,234,567 of 98,765,432 66.7 min left"),
        ({"copy_eta_s": None}, "░░░░░░░░░░ 1,234,567 of 98,765,432"),
        ({"copied": 98_765_432}, "██████████ 98,765,432 of 98,765,432 66.7 min left"),
        ({"copy_total": None}, "1,234,567 of ?"),
        ({"copy_stage": "swept"}, "1,234,567 done"),
    ],
)
def test_how_far_the_copy_is(changes: dict[str, Any], text: str) -> None:
    assert copied_text(but(PIPELINE, **changes)) == text


@pytest.mark.parametrize(("width", "terminal"), [(400, True), (40, True), (40, False), (400, False)])
def test_nothing_is_cut_however_narrow_it_is(width: int, terminal: bool) -> None:
    name = "a-pipeline-with-a-name-of-some-length"
    text = drawn(told(**{name: PIPELINE}), width, terminal=terminal)
    for part in (name, "copying (repairing)", "1,234,567 of 98,765,432", "unknown (stream 2.0 s)"):
        assert part in text
    assert f"{name}: 1 dead letter is open\n" in text
    assert f"{name}: target is failing: [429] busy\n" in text
    assert ("┃" in text) is (terminal and width == 400), "a table where it fits"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Draws on a terminal of some width, and gives the lines that are on it at the end."""

    def seen(width: int, shown: MigrationStatus, *said: str) -> list[str]:
        for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(width), "LINES": "50"}.items():
            monkeypatch.setenv(name, value)
        with open_view(to_stderr=False) as view:
            for text in said:
                view.say(text)
            view.show(shown)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).splitlines()

    return seen


@pytest.mark.parametrize("width", [40, 60, 80, 100, 400])
def test_a_live_view_cuts_nothing_however_narrow_it_is(width: int, terminal: Callable[..., list[str]]) -> None:
    """A line that does not fit is broken between words; what belongs to a pipeline stands below its name."""
    lines = terminal(width, told(orders=PIPELINE, customers=but(PIPELINE, problems=[])))
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    parts = ("copying (repairing)", "1,234,567 of 98,765,432", "66.7 min left", "unknown (stream 2.0 s)")
    for part in (*parts, "orders: target is failing: [429] busy"):
        assert part in text
    if width < 100:
        assert "orders" in lines
        assert "  phase copying (repairing)" in lines


def test_what_is_said_is_shown_as_it_is(
    terminal: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither markup nor emoji, and never broken: it may be a command to copy."""
    said = f"[bold]replicator[/bold] :key: {'x' * 100}"
    monkeypatch.setenv("COLUMNS", "40")
    with open_view(to_stderr=False) as view:
        view.say(said)
    assert capsys.readouterr().out == f"{said}\n"
    assert said in terminal(40, told(), said)


def test_a_repair_that_has_not_begun_says_when_it_does() -> None:
    assert phase_text(but(PIPELINE, begins_in_s=29.01)) == "copying (repair begins in 29.1 s)"
    assert phase_text(PIPELINE) == "copying (repairing)"
    assert phase_text(but(PIPELINE, repairing=False)) == "copying"


def test_a_daemon_that_is_starting_needs_attention() -> None:
    """What is not known is never shown as good."""
    assert attention(told()) == ["shop: starting, nothing is known yet"]
    assert drawn(told(), 80, terminal=True) == "shop: starting, nothing is known yet\n"

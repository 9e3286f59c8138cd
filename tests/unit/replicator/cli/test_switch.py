"""Promises of the switch on a terminal: each step is told once, and what somebody must do is told at once."""

from typing import Any

import pytest

from replicator.cli.cutover import Teller

BEGAN = "2026-01-01T00:00:00+00:00"


def answer(*steps: str, stage: str = "running", waiting_for: str = "") -> dict[str, Any]:
    taken: list[dict[str, Any]] = [
        {"step": step, "began_at": BEGAN, "ended_at": BEGAN, "expected_s": None} for step in steps[:-1]
    ]
    taken += [{"step": step, "began_at": BEGAN, "ended_at": None, "expected_s": 2.0} for step in steps[-1:]]
    return {"steps": taken, "stage": stage, "waiting_for": waiting_for}


def test_steps_are_told_once_and_what_is_waited_for_not_over_and_over(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    sign = "dns.aws: turn DNS (sign it off)"
    assert teller.tell(answer("cordon"))
    assert teller.tell(answer("cordon", waiting_for=sign))
    assert teller.tell(answer("cordon", waiting_for=sign))
    assert teller.tell(answer("cordon", "drain", waiting_for="through 1"))
    assert teller.tell(answer("cordon", "drain", waiting_for="through 2"))
    assert not teller.tell(answer("cordon", "drain", stage="undone"))
    assert capsys.readouterr().err.splitlines() == [
        "cordon: begun, expected 2.0 s", f"waiting: {sign}", "cordon: done in 0.0 s", "drain: begun, expected 2.0 s",
        "waiting: through 1",
    ]  # fmt: skip


def test_a_daemon_that_does_not_answer_is_said_to_be_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    for _ in range(3):
        teller.waits("the daemon does not answer")
    assert capsys.readouterr().err == "waiting: the daemon does not answer\n"

"""Promises of the switch on a terminal: each step is told once, and what somebody must do is told at once."""

from typing import Any

import pytest

from replicator.cli.cutover import Teller, seal, switch
from replicator.cli.ending import Exit
from replicator.errors import ConfigurationError

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


def script(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | str) -> None:
    """What the daemon answers, one after the other; a text is why it does not."""
    left = list(answers)

    def call(*_: object) -> dict[str, Any]:
        answer = left.pop(0)
        if isinstance(answer, str):
            raise ConfigurationError("--url", answer, "Start it")
        return answer

    monkeypatch.setattr("replicator.cli.cutover.call", call)
    monkeypatch.setattr("replicator.cli.cutover.STEP_INTERVAL_S", 0.0)


def over(*, failing: bool, stage: str | None = "done") -> dict[str, Any]:
    """A switch that is over, and what clients see."""
    probe = {"failing": failing, "pause_s": 2.0, "attempts": 9, "failures": 4}
    told: dict[str, Any] = {"stage": stage, "steps": [], "waiting_for": "", "reason": "", "paused_s": 1.0}
    return {**told, "probe": None if stage is None else probe}


def test_a_restart_of_the_daemon_ends_no_switch_that_is_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether steps are under way or clients are waited for; one that has only begun knows of no switch yet."""
    down, starting = "no daemon answers", over(failing=False, stage=None)
    script(
        monkeypatch,
        answer("cordon"), down, starting, over(failing=True), over(failing=True), down, starting, over(failing=False),
    )  # fmt: skip
    assert switch("http://nowhere", max_pause_s=5, dry_run=False, as_json=False) is Exit.OK
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "switched; the pause was 1.0 s of 5 s", "clients saw a pause of 2.0 s: 4 of 9 requests failed",
    ]  # fmt: skip
    assert "no daemon answers; one that is restarted goes on" in said.err


def test_clients_are_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("replicator.cli.cutover.CLIENTS_WITHIN_S", 0.0)
    script(monkeypatch, over(failing=True))
    assert switch("http://nowhere", max_pause_s=5, dry_run=False, as_json=False) is Exit.OK
    assert "clients are not served: no request of the probe has worked for 2.0 s" in capsys.readouterr().out


def fences(*under_way: str) -> dict[str, Any]:
    """As after a seal."""
    return {"pipelines": {"orders": {"under_way": list(under_way)}, "copied": None}}


def test_a_seal_says_what_may_still_be_written_and_ends_when_nothing_may(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing = fences("changes are being written, and the target is failing: no answer")
    script(monkeypatch, writing, writing, "no daemon answers", {"pipelines": {}}, writing, fences())
    seal("http://nowhere", force=False, reason="", as_json=False)
    said = capsys.readouterr()
    assert said.out == "sealed: nothing is written to the targets any more\n"
    first, second, *_ = said.err.splitlines()
    told = "waiting: orders is sealed: changes are being written, and the target is failing: no answer"
    assert (first, second) == (told, "waiting: no daemon answers")


def test_a_seal_of_nothing_that_follows_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, {"pipelines": {"copied": None}})
    seal("http://nowhere", force=False, reason="", as_json=False)

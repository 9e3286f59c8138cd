"""Promises of `replicator cutover status`: its exit code is the answer, and what it says is why."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.evidence import HELD, READY, UNREHEARSED
from fakes.served import Served, run_command, served
from fakes.statuses import but
from replicator.config.models import CutoverConfig
from replicator.cutover import Cutover, Watch
from replicator.status import PipelineStatus


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        at_once = CutoverConfig(steady_s=0, rehearsal=UNREHEARSED)
        up.daemon.watch = Watch(up.daemon.config.model_copy(update={"cutover": at_once}))
        yield up


def both(orders: PipelineStatus, customers: PipelineStatus = READY) -> dict[str, PipelineStatus]:
    return {"orders": orders, "customers": customers}


def test_ready_is_exit_code_0_and_every_check_is_told(place: Served) -> None:
    place.daemon.statuses = both(READY, HELD)
    said = place.replicator("cutover", "status").splitlines()
    assert said[0].startswith("orders: ready, replicated through 2026-11-23 11:59:58+00:00, drain about ")
    assert "  pass     dead_letters: 0 (limit 0)" in said
    assert any(line.startswith("customers: ready, held, to be drained") for line in said)
    assert said[-1].startswith("ready; a drain would take: about ")


def test_not_ready_is_exit_code_1_and_says_what_to_do(place: Served) -> None:
    place.daemon.statuses = both(but(READY, dead_letters=2))
    said = place.replicator("cutover", "status", expect=1)
    assert "  fail     dead_letters: 2 (limit 0); replicator dead-letters list says why" in said
    assert said.splitlines()[-1].startswith("not ready; ")
    answer = json.loads(place.replicator("cutover", "status", "--json", expect=1))
    assert answer["ready"] is False
    (reason,) = answer["reasons"]
    assert reason.startswith("orders: dead_letters fails: replicator dead-letters list says why")
    assert answer["pipelines"]["customers"]["ready"] is True


def test_a_dry_run_says_so_where_the_drain_would_not_fit_into_the_pause(place: Served) -> None:
    slow = but(READY, lag_s=1.0, read_per_s=100.0, applied_per_s=1.0)
    place.daemon.statuses = both(slow)
    said = place.replicator("cutover", "switch", "--dry-run", "--max-pause", "5", expect=1)
    assert "it would be refused: a drain is expected to take " in said
    assert "longer than the 5 s of the pause" in said
    assert "refused" not in place.replicator("cutover", "switch", "--dry-run", "--max-pause", "3600")


def test_a_daemon_that_is_starting_is_not_ready(place: Served) -> None:
    assert "shop: starting, nothing is known yet" in place.replicator("cutover", "status", expect=1)


def test_to_wait_ends_as_soon_as_it_is_ready(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    place.daemon.statuses = both(but(READY, suspect_keys=1))
    judge = place.daemon.cutover

    def mended_when_asked() -> Cutover:
        judged = judge()
        place.daemon.statuses = both(READY)
        return judged

    monkeypatch.setattr(place.daemon, "cutover", mended_when_asked)
    out, err = place.said("cutover", "status", "--wait", "--timeout", "60")
    assert out.splitlines()[-1].startswith("ready")
    assert "waiting: orders: suspect_keys fails" in err


def test_to_wait_in_vain_is_exit_code_1(place: Served) -> None:
    place.daemon.statuses = both(but(READY, unread=1))
    out, _ = place.said("cutover", "status", "--wait", "--timeout", "0.1", expect=1)
    assert out.splitlines()[-1].startswith("not ready")


@pytest.mark.parametrize("wait", [[], ["--wait", "--timeout", "60"]])
def test_a_daemon_that_does_not_answer_is_exit_code_2(wait: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """At once: an address that was never right is not waited for."""
    assert run_command("cutover", "status", *wait, "--url", "http://127.0.0.1:9") == 2
    assert "no daemon answers" in capsys.readouterr().err

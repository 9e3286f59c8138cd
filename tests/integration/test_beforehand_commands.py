"""Promises of recording what was done before: it must fit this config, and shows in readiness and in the report."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.evidence import READY
from fakes.served import Served, run_command, served
from replicator.clocks import utc_now

CONFIG = """
migration: shop
pipelines:
  orders:
    source: {type: sqs, queue: q}
    target: {type: servicebus, queue: q, namespace: a.example}
"""


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        up.daemon.statuses = {"orders": READY, "customers": READY}
        yield up


def rehearsal(place: Served, folder: Path, records: int = 3, **changes: Any) -> Path:
    """The report of one that was sealed by a switch yesterday, of the daemon's own config."""
    place.replicator("report", "--out", str(folder))
    report = json.loads((folder / "report.json").read_text())
    sealed = (utc_now() - timedelta(days=1)).isoformat()
    drain: dict[str, Any] = {
        "fence": sealed,
        "drained_at": sealed,
        "in_the_way": [],
        "late": None,
        "sealed_at": sealed,
        "forced": False,
    }
    for pipeline in report["pipelines"].values():
        pipeline |= {"drain": drain, "late_writes": {"count": 0, "last_at": None, "first": []}}
        pipeline["copied"]["records"] = records
    report["migration"] = "rehearsal"
    report["switch"] = {
        "by_hand": False, "attempt": 1, "stage": "done", "began_at": sealed, "by": "ann", "reason": "",
        "undone_at": None, "pause": None, "steps": [], "earlier": [], "triggers": [], "sealed_at": sealed,
        "forced": "", **changes,
    }  # fmt: skip
    path = folder / "rehearsal.json"
    path.write_text(json.dumps(report))
    return path


def rehearsed(place: Served) -> dict[str, Any]:
    told = json.loads(place.said("cutover", "status", "--json", expect=1)[0])
    (check,) = told["checks"]
    found: dict[str, Any] = check
    return found


def test_a_rehearsal_on_record_passes_the_check_and_is_told(place: Served, tmp_path: Path) -> None:
    assert rehearsed(place)["measured"] == "none was recorded"
    assert "shop, all of it:\n  fail     rehearsed: none was recorded" in place.said("cutover", "status", expect=1)[0]
    assert place.replicator("rehearsal", "record", str(rehearsal(place, tmp_path))).startswith("recorded: rehearsal")
    assert rehearsed(place)["outcome"] == "pass"
    assert [name for name, _, _ in place.daemon.recorded] == ["record a rehearsal"]
    place.replicator("report", "--out", str(tmp_path / "after"))
    told = json.loads((tmp_path / "after/report.json").read_text())["rehearsed"]
    assert (told["recorded"]["migration"], told["is_rehearsal"]) == ("rehearsal", False)
    assert "Rehearsal: <strong>rehearsal</strong>" in (tmp_path / "after/report.html").read_text()


def test_one_that_does_not_count_is_refused_with_every_reason(place: Served, tmp_path: Path) -> None:
    path = rehearsal(place, tmp_path, stage="undone")
    report = json.loads(path.read_text())
    report["rehearsed"]["fingerprint"]["fields"]["pipelines.orders.mode"] = '"sync"'
    path.write_text(json.dumps(report))
    _, said = place.said("rehearsal", "record", str(path), expect=2)
    for reason in ("the report was changed", "differs in pipelines.orders.mode", "its switch is undone"):
        assert reason in said
    assert rehearsed(place)["outcome"] == "fail"
    assert "record a rehearsal" not in str(place.daemon.recorded)


def test_one_in_which_nothing_was_moved_is_refused(place: Served, tmp_path: Path) -> None:
    _, said = place.said("rehearsal", "record", str(rehearsal(place, tmp_path, records=0)), expect=2)
    assert "orders has moved no record, so nothing of it was rehearsed" in said
    assert "customers has moved no record" in said


@pytest.mark.parametrize(
    ("text", "why"), [("{", "is no JSON"), ("{}", "is no report"), ("[]", "is no report"), (None, "cannot be read")]
)
def test_what_is_no_report_is_said_to_be_none(place: Served, tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    assert why in place.said("rehearsal", "record", str(path), expect=2)[1]


def test_a_report_that_names_no_config_is_refused(place: Served, tmp_path: Path) -> None:
    place.replicator("report", "--out", str(tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    del report["rehearsed"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert "which config" in place.said("rehearsal", "record", str(tmp_path / "report.json"), expect=2)[1]


def estimate(folder: Path, **changes: Any) -> Path:
    steps = [{"step": "copy", "seconds": 40.0, "never": False}, {"step": "catch-up", "seconds": None, "never": True}]
    made = {"migration": "shop", "made_at": "2026-01-01T00:00:00+00:00", "pipelines": {"orders": {"steps": steps}}}
    path = folder / "estimate.json"
    path.write_text(json.dumps({**made, **changes}))
    return path


def test_an_estimate_that_was_made_earlier_stands_beside_reality(place: Served, tmp_path: Path) -> None:
    (tmp_path / "migration.yaml").write_text(CONFIG)
    command = ("estimate", str(tmp_path / "migration.yaml"), "--record", str(estimate(tmp_path)))
    assert place.replicator(*command).startswith("recorded for 1 of 1 pipelines")
    place.replicator("report", "--out", str(tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["estimated_at"] == "2026-01-01T00:00:00+00:00"
    found = {r["step"]: r["estimated_s"] for r in report["pipelines"]["orders"]["estimates"]}
    assert found == {"copy": 40, "catch-up": None, "verification": None, "drain": None}
    assert ("record an estimate", "", "made at 2026-01-01T00:00:00+00:00") in place.daemon.recorded


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"migration": "other"}, "is of migration other"),
        ({"made_at": None}, "refuses"),
        ({"pipelines": {"nobody": {"steps": []}}}, "there is no such pipeline"),
        ({"pipelines": 3}, "is no estimate"),
    ],
)
def test_an_estimate_of_something_else_is_refused(
    place: Served, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    (tmp_path / "migration.yaml").write_text(CONFIG)
    command = ("estimate", str(tmp_path / "migration.yaml"), "--record", str(estimate(tmp_path, **changes)))
    assert why in place.said(*command, expect=2)[1]


def test_a_daemon_that_does_not_answer_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "migration.yaml").write_text(CONFIG)
    arguments = ("estimate", str(tmp_path / "migration.yaml"), "--record", str(estimate(tmp_path)))
    assert run_command(*arguments, "--url", "http://127.0.0.1:9") == 2
    assert "no daemon answers" in capsys.readouterr().err

"""Promise: every alert fires and clears when it should, names metrics that exist, and has its runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.docs.pages import ROOT, anchors, sections

from replicator.telemetry import Metrics
from tools import tool

FOLDER = ROOT / "deploy/prometheus"

RULES = sorted((FOLDER / "rules").glob("*.yaml"))

TESTS = sorted((FOLDER / "tests").glob("*.yaml"))

RUNBOOK = "docs/operations.md"


def _rules(kind: str) -> list[dict[str, Any]]:
    """All of this kind, `alert` or `record`, of all files."""
    read = [yaml.safe_load(path.read_text()) for path in RULES]
    return [rule for file in read for group in file["groups"] for rule in group["rules"] if kind in rule]


ALERTS = {rule["alert"]: rule for rule in _rules("alert")}


def _promtool(*arguments: str) -> str:
    command = [tool("promtool"), *arguments]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)  # noqa: S603 -- ours
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_rules_and_config() -> None:
    _promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    assert "2 rule files found" in _promtool("check", "config", "prometheus.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_clear(path: Path) -> None:
    """In time that promtool makes: each check names all alerts that fire."""
    assert "SUCCESS" in _promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_seen_to_fire_and_to_clear(alert: str) -> None:
    """Some test expects it, and expects nothing of it later or, what rings by the state of another, earlier."""
    cases = [case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]]
    steps = [[f'"{alert}"' in str(check.get("exp_samples", "")) for check in c["promql_expr_test"]] for c in cases]
    assert [fires for fires in steps if True in fires and False in fires]


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} == set(alert["annotations"])
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == RUNBOOK
    assert anchor in anchors(ROOT / RUNBOOK)


def test_every_runbook_answers_the_same_questions_and_is_of_an_alert() -> None:
    section = sections(RUNBOOK)["Alerts"]
    _, *parts = re.split(r"^### (.+)\n", section, flags=re.MULTILINE)
    runbooks = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(runbooks) == set(ALERTS)
    for name, text in runbooks.items():
        assert re.findall(r"^- \*\*(.+?)\*\*", text, flags=re.MULTILINE) == QUESTIONS, name


QUESTIONS = ["It means", "Seen", "By itself", "To do"]


def test_every_metric_that_a_rule_names_exists() -> None:
    families = {m.name: m for m in Metrics().registry.collect()}
    known = {name for m in families.values() for name in (m.name, f"{m.name}_total", f"{m.name}_count")}
    known |= {rule["record"] for rule in _rules("record")} | {"up"}
    for rule in _rules("alert") + _rules("record"):
        named = set(re.findall(r"[\w:]*\breplicator_[\w:]+", rule["expr"]))
        assert named <= known, named - known

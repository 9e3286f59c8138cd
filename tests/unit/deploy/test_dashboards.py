"""Promise: the dashboards that are committed are what the code makes, and what Grafana's own schema takes."""

import json
from typing import Any

import jsonschema_rs
import pytest
from unit.docs.pages import ROOT

from dashboards import FOLDER, documents

SCHEMAS = ROOT / "deploy/grafana/schema"

NAMES = sorted(documents())


def _schema(name: str, member: str) -> jsonschema_rs.Validator:
    """For one member of what `make.sh` has made a schema of."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    part = schema["definitions"]["Checked"]["properties"][member]
    return jsonschema_rs.validator_for({**part, "$schema": schema["$schema"], "definitions": schema["definitions"]})


def _violations(schema: jsonschema_rs.Validator, value: Any) -> list[str]:
    return [f"{list(error.instance_path)}: {error.message}" for error in schema.iter_errors(value)]


def _committed(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return read


def test_what_is_committed_is_what_the_code_makes() -> None:
    """`make dashboards` writes it anew."""
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == documents()


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_schema_takes_it(name: str) -> None:
    """The whole strictly, and of each panel and variable what the whole leaves open."""
    found = _committed(name)
    assert _violations(_schema("dashboard", "dashboard"), found) == []
    for variable in found["templating"]["list"]:
        assert _violations(_schema("dashboard", "variable"), variable) == []
    for panel in found["panels"]:
        assert _violations(_schema("dashboard", "panel"), panel) == []
        assert _violations(_schema(panel["type"], "options"), panel["options"]) == [], panel["title"]
        custom = panel["fieldConfig"]["defaults"].get("custom")
        assert custom is None or _violations(_schema(panel["type"], "custom"), custom) == [], panel["title"]


def test_the_schema_refuses_what_is_wrong() -> None:
    panel = _committed(NAMES[0])["panels"][0]
    assert _violations(_schema("dashboard", "panel"), {**panel, "titel": "x"})
    assert _violations(_schema(panel["type"], "options"), {**panel["options"], "colorMode": "none at all"})


@pytest.mark.parametrize("name", NAMES)
def test_panels_are_told_apart_and_do_not_overlap(name: str) -> None:
    panels = _committed(name)["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(panel["description"] for panel in panels)

"""The dashboards of Grafana, as code: `python -m dashboards` writes what is in `../json` (make dashboards)."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.overview import overview
from dashboards.pipeline import pipeline

FOLDER = Path(__file__).parents[1] / "json"


OF_INTERVALS = ("auto", "auto_count", "auto_min")
"""Members that the builder gives every variable, and Grafana's schema none: they are about intervals."""


def documents() -> dict[str, str]:
    """Every dashboard by the name of its file."""
    built = {"replicator-overview.json": overview(), "replicator-pipeline.json": pipeline()}
    return {name: _text(builder.build()) for name, builder in built.items()}


def _text(built: Dashboard) -> str:
    """Its JSON, with the panels numbered in order."""
    tree = json.loads(json.dumps(built, cls=JSONEncoder))
    for number, panel in enumerate(tree["panels"], start=1):
        panel["id"] = number
    for variable in tree["templating"]["list"]:
        for member in OF_INTERVALS:
            variable.pop(member, None)
    return json.dumps(tree, indent=2, sort_keys=True) + "\n"

"""`replicator status`: one snapshot, or a table that is kept up to date."""

import json
import time
from typing import Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from replicator.cli.client import call

REFRESH_S = 1.0


def show_status(url: str, *, as_json: bool, watch: bool) -> int:
    """0 when nothing needs attention, 1 otherwise."""
    snapshot = call(url, "/v1/status", "pipelines")
    if as_json:
        typer.echo(json.dumps(snapshot))
    elif watch:
        snapshot = _watch(url, snapshot)
    else:
        Console().print(render(snapshot))
    return 1 if any(p["problems"] for p in snapshot["pipelines"].values()) else 0


def _watch(url: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    try:
        with Live(render(snapshot), auto_refresh=False) as live:
            while True:
                time.sleep(REFRESH_S)
                snapshot = call(url, "/v1/status", "pipelines")
                live.update(render(snapshot), refresh=True)
    except KeyboardInterrupt:
        return snapshot


def render(snapshot: dict[str, Any]) -> Group:
    """The table of all pipelines, problems below it."""
    table = Table(
        "pipeline", "phase", "copied", "applied", "per second", "lag", "dead letters", title=snapshot["migration"]
    )
    problems: list[Text] = []
    for name, pipeline in snapshot["pipelines"].items():
        table.add_row(
            name,
            phase_text(pipeline),
            copied_text(pipeline),
            f"{pipeline['applied']:,}",
            f"{pipeline['applied_per_s']:,.0f}",
            lag_text(pipeline),
            str(pipeline["dead_letters"]),
        )
        problems += [Text(f"{name}: {problem}", style="red") for problem in pipeline["problems"]]
    return Group(table, *problems)


def phase_text(pipeline: dict[str, Any]) -> str:
    """The phase, and whether it is a repair."""
    return f"{pipeline['phase']} (repairing)" if pipeline["repairing"] else str(pipeline["phase"])


def copied_text(pipeline: dict[str, Any]) -> str:
    """Copied of total, with a bar and the time left where both are known."""
    copied, total = pipeline["copied"], pipeline["copy_total"]
    if pipeline["copy_stage"] != "running":
        return f"{copied:,} done"
    if not total:
        return f"{copied:,} of ?"
    filled = round(10 * copied / total)
    eta = pipeline["copy_eta_s"]
    left = "" if eta is None else f" {eta:.0f} s left"
    return f"{'█' * filled}{'░' * (10 - filled)} {copied:,} of {total:,}{left}"


def lag_text(pipeline: dict[str, Any]) -> str:
    """The lag; while copying, that of the stream alone."""
    if pipeline["lag_s"] is not None:
        return f"{pipeline['lag_s']:.1f} s"
    if pipeline["stream_lag_s"] is not None:
        return f"unknown (stream {pipeline['stream_lag_s']:.1f} s)"
    return "unknown"

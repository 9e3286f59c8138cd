"""`replicator pause`, `resume` and `budget`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import typer

from replicator.cli.client import call
from replicator.cli.status import fetch
from replicator.errors import ConfigurationError
from replicator.model import Phase

WORDS = ("none", "config")


def set_paused(url: str, pipelines: Sequence[str], *, paused: bool, as_json: bool) -> None:
    """Those named, or all that have not failed. Raises ConfigurationError where one cannot be."""
    names = list(pipelines) or _working(url)
    verb = "pause" if paused else "resume"
    done = {name: call(url, f"/v1/pipelines/{quote(name, safe='')}/{verb}", "paused", {}) for name in names}
    if as_json:
        typer.echo(json.dumps(done))
        return
    for name in done:
        typer.echo(f"{name}: {'paused; what was read is finished and saved' if paused else 'goes on'}")


def change_budgets(url: str, pipeline: str, wanted: Mapping[str, str | None], *, as_json: bool) -> None:
    """Shows them when nothing is to be changed. Raises ConfigurationError where that is refused."""
    changes = {name: _value(name, text) for name, text in wanted.items() if text is not None}
    path = f"/v1/pipelines/{quote(pipeline, safe='')}/budgets"
    answer = call(url, path, "target_units", changes or None)
    if as_json:
        typer.echo(json.dumps(answer))
        return
    for name, limit in answer.items():
        typer.echo(f"{name.replace('_', ' '):<13} {_told(limit)}")


def _working(url: str) -> list[str]:
    pipelines = fetch(url).pipelines
    if not pipelines:
        raise ConfigurationError(url, "the daemon is still starting", "Try again when the status shows its pipelines")
    return [name for name, status in pipelines.items() if status.phase != Phase.FAILED]


def _value(name: str, text: str) -> float | int | str:
    if text in WORDS:
        return text
    try:
        return int(text) if name == "concurrency" else float(text)
    except ValueError:
        option = f"--{name.replace('_', '-')}"
        raise ConfigurationError(option, f"{text} is no number", f"Give one, or {' or '.join(WORDS)}") from None


def _told(limit: Mapping[str, Any] | None) -> str:
    if limit is None:
        return "none: reading costs production nothing"
    now, configured = (_amount(limit[member]) for member in ("now", "configured"))
    return now if now == configured else f"{now} (configured: {configured})"


def _amount(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,g}"

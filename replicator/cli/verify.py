"""`replicator verify`: asks the daemon for a round, watches it, and tells what it has found."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from replicator.cli.client import call
from replicator.cli.dead_letters import shown
from replicator.cli.status import fetch
from replicator.cli.views import duration_text
from replicator.engine.rounds import Ask
from replicator.errors import ConfigurationError
from replicator.model import Phase
from replicator.wording import counted

LOOK_INTERVAL_S = 1.0

LINE_INTERVAL_S = 5.0
"""Without a terminal what is shown stays, so not all of it is."""

FINDINGS_AT_ONCE = 1000

Found = Mapping[str, Any]
"""A round as `GET /v1/verification` gives it."""


class Progress(Protocol):
    """Where it is shown how far the rounds have come."""

    def show(self, text: str) -> None:
        """What is known now."""


def verify(url: str, pipeline: str | None, ask: Ask, *, as_json: bool) -> int:
    """0 when all are clean, 1 when something differs or is unsettled. Raises ConfigurationError."""
    asked = {
        "pipeline": pipeline, "repair": ask.repair, "sample": ask.sample, "bytes": ask.contents, "fast": ask.fast,
    }  # fmt: skip
    begun = call(url, "/v1/verification", "rounds", asked)["rounds"]
    rounds = _watch(url, list(begun), ask)
    findings = {name: list(_findings(url, name)) for name in rounds}
    if as_json:
        whole = {name: {**found, "findings": findings[name]} for name, found in rounds.items()}
        typer.echo(json.dumps({"clean": _is_clean(rounds), "pipelines": whole}))
    else:
        for name, found in rounds.items():
            typer.echo(summary(name, found))
            for each in findings[name]:
                typer.echo(describe(each))
    return 0 if _is_clean(rounds) else 1


def summary(name: str, found: Found) -> str:
    """What came of one round, in a line."""
    parts = [f"{found['compared']:,} records compared"]
    if sum(found["messages"].values()):
        parts.append(f"{counted(found['messages']['forwarded'], 'message')} of the latest forwarded")
    for member, word in (("differences", "differ"), ("repaired", "repaired"), ("unsettled", "unsettled")):
        parts += [f"{found[member]:,} {word}"] if found[member] else []
    if found["foreign"]:
        parts.append(f"{counted(found['foreign'], 'entry', 'entries')} at the target not ours")
    if sum(found[member] for member in ("differences", "repaired", "unsettled", "foreign")) > found["named"]:
        parts.append(f"the first {found['named']:,} are named")
    verdict = "CLEAN" if found["clean"] else "NOT CLEAN"
    scope = " (a sample)" if found["sample"] else ""
    return f"{name}: {verdict}{scope}, {', '.join(parts)}; as of {found['began_at']}"


def describe(found: Found) -> str:
    """One difference in lines that are never shortened."""
    kind = f"{found['kind']}, repaired" if found["repaired"] else found["kind"]
    reason = f"\n    reason  {shown(found['reason'])}" if found["reason"] else ""
    return (
        f"  {kind}: {shown(found['key'])}\n    source  {shown(found['source'])}\n"
        f"    target  {shown(found['target'])}{reason}"
    )


def progress_text(rounds: Mapping[str, Found]) -> str:
    """A line for each round that is under way."""
    return "\n".join(_progress(name, found) for name, found in rounds.items() if found["running"])


def _progress(name: str, found: Found) -> str:
    total = "?" if found["total"] is None else f"{found['total']:,}"
    doubted = f", {found['in_doubt']:,} waiting for a second look" if found["in_doubt"] else ""
    differ = f", {found['differences']:,} differ" if found["differences"] else ""
    left = "" if found["eta_s"] is None else f", about {duration_text(found['eta_s'])} left"
    return f"{name}: compared {found['compared']:,} of {total}, then {found['scanned']:,} back{doubted}{differ}{left}"


def _watch(url: str, names: Sequence[str], ask: Ask) -> dict[str, Found]:
    """Until the latest round of each has ended. Raises ConfigurationError where one never will, or is another one."""
    with _open_progress() as progress:
        while True:
            told: Mapping[str, Found | None] = call(url, "/v1/verification", "rounds")["rounds"]
            rounds = {name: found for name in names if (found := told.get(name))}
            _require_asked(rounds, ask)
            if len(rounds) == len(names) and not any(found["running"] for found in rounds.values()):
                return rounds
            _require_working(url, names)
            progress.show(progress_text(rounds))
            time.sleep(LOOK_INTERVAL_S)


def _require_asked(rounds: Mapping[str, Found], ask: Ask) -> None:
    for name, found in rounds.items():
        if not Ask(found["sample"], found["bytes"], found["repair"], found["fast"]).covers(ask):
            raise ConfigurationError(
                f"pipelines.{name}", "another round has taken its place, which does less", "Verify again after that"
            )


def _require_working(url: str, names: Sequence[str]) -> None:
    for name, status in fetch(url).pipelines.items():
        if name in names and status.phase == Phase.FAILED:
            raise ConfigurationError(
                f"pipelines.{name}", "has failed, so its round does not go on", "See replicator status"
            )


def _findings(url: str, pipeline: str) -> Iterator[Found]:
    query = {"pipeline": pipeline, "limit": FINDINGS_AT_ONCE}
    while True:
        page = call(url, f"/v1/verification/findings?{urlencode(query)}", "findings")
        yield from page["findings"]
        if page["next"] is None:
            return
        query["after"] = page["next"]


def _is_clean(rounds: Mapping[str, Found]) -> bool:
    return all(found["clean"] for found in rounds.values())


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = float("-inf")

    def show(self, text: str) -> None:
        if text and time.monotonic() - self._shown_at >= LINE_INTERVAL_S:
            self._shown_at = time.monotonic()
            self._console.print(Text(text), soft_wrap=True)


class _Kept:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, text: str) -> None:
        self._live.update(Text(text), refresh=True)


@contextmanager
def _open_progress() -> Iterator[Progress]:
    """On standard error, since the results are on standard output; kept up to date in place on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _Kept(live)

"""How a daemon's status is shown to people: a live table on a terminal, plain lines elsewhere."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from replicator.model import CopyStage
from replicator.status import MigrationStatus, PipelineStatus, ReplicaStatus
from replicator.wording import counted

LINE_INTERVAL_S = 2.0
"""Without a terminal what is shown stays, so not every status is."""

ANY_WIDTH = 10_000


class View(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def show(self, status: MigrationStatus) -> None:
        """The daemon's status."""


class LiveView:
    """A table kept up to date below the lines."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def say(self, text: str) -> None:
        self._live.console.print(Text(text), soft_wrap=True)

    def show(self, status: MigrationStatus) -> None:
        self._live.update(render(status, self._live.console), refresh=True)


class PlainView:
    """Some lines now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = float("-inf")

    def say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def show(self, status: MigrationStatus) -> None:
        if monotonic() - self._shown_at >= LINE_INTERVAL_S:
            self._shown_at = monotonic()
            self._console.print(render(status, self._console), soft_wrap=True)


@contextmanager
def open_view(*, to_stderr: bool) -> Iterator[View]:
    """The view that fits the terminal, or its absence."""
    console = Console(stderr=to_stderr)
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveView(live)


def attention(status: MigrationStatus) -> list[str]:
    """What needs somebody's; that nothing is known yet does, too."""
    if not status.pipelines:
        return [f"{status.migration}: starting, nothing is known yet"]
    return [f"{name}: {problem}" for name, pipeline in status.pipelines.items() for problem in pipeline.problems]


def render(status: MigrationStatus, console: Console) -> Group:
    """A table of all pipelines on a terminal where it fits, or else a line for each, or else a few lines for each; what
    needs attention below. Without a terminal always a line for each.
    """
    pipelines = status.pipelines.items()
    table = _table(status)
    shown: list[RenderableType] = [Text(line(name, pipeline)) for name, pipeline in pipelines]
    if shown and console.is_terminal:
        if _width(table, console) <= console.width:
            shown = [table]
        elif any(_width(text, console) > console.width for text in shown):
            shown = [Text(block(name, pipeline)) for name, pipeline in pipelines]
    if status.replicas:
        shown.append(Text(replicas_text(status.replicas)))
    return Group(*shown, *(Text(text, style="red") for text in attention(status)))


def replicas_text(replicas: Sequence[ReplicaStatus]) -> str:
    """Who works together, and how much each has."""
    told = [f"{r.name} ({'leads, ' if r.leads else ''}{counted(r.partitions, 'partition')})" for r in replicas]
    return f"{counted(len(replicas), 'replica')}: {', '.join(told)}"


def _width(shown: RenderableType, console: Console) -> int:
    """What it needs so that no line of it is broken."""
    return Measurement.get(console, console.options.update(max_width=ANY_WIDTH), shown).maximum


def line(name: str, pipeline: PipelineStatus) -> str:
    """One pipeline where there is no room for a table."""
    phase, *parts = _parts(pipeline)
    return f"{name}: {', '.join([phase, *parts])}"


def block(name: str, pipeline: PipelineStatus) -> str:
    """One pipeline where there is no room for its line."""
    phase, *parts = _parts(pipeline)
    return "\n  ".join([name, f"phase {phase}", *parts])


def _parts(pipeline: PipelineStatus) -> list[str]:
    letters = pipeline.dead_letters
    return [
        phase_text(pipeline),
        f"copied {copied_text(pipeline)}",
        f"applied {pipeline.applied:,} ({pipeline.applied_per_s:,.0f}/s)",
        f"lag {lag_text(pipeline)}",
        *([counted(letters, "dead letter")] if letters else []),
    ]


def phase_text(pipeline: PipelineStatus) -> str:
    """The phase, and whether it is paused, a repair, or waits for one to begin."""
    if pipeline.begins_in_s:
        return f"{pipeline.phase} (repair begins in {duration_text(pipeline.begins_in_s)})"
    notes = [*(["paused"] if pipeline.paused else []), *(["repairing"] if pipeline.repairing else [])]
    return f"{pipeline.phase} ({', '.join(notes)})" if notes else pipeline.phase


def copied_text(pipeline: PipelineStatus) -> str:
    """Copied of total, with a bar and the time left where both are known."""
    copied, total = pipeline.copied, pipeline.copy_total
    if pipeline.copy_stage != CopyStage.RUNNING:
        if not copied:
            return "nothing"
        return f"{copied:,} done{_bytes_text(pipeline)}"
    if not total:
        return f"{copied:,} of ?{_bytes_text(pipeline)}"
    filled = round(10 * copied / total)
    eta = pipeline.copy_eta_s
    left = "" if eta is None else f" {duration_text(eta)} left"
    return f"{'█' * filled}{'░' * (10 - filled)} {copied:,} of {total:,}{_bytes_text(pipeline)}{left}"


def _bytes_text(pipeline: PipelineStatus) -> str:
    """What the copied records hold, where that is known."""
    if pipeline.copied_bytes is None:
        return ""
    whole = pipeline.copy_total_bytes if pipeline.copy_stage == CopyStage.RUNNING else None
    of = "" if whole is None else f" of {whole / 1e6:,.1f}"
    return f" ({pipeline.copied_bytes / 1e6:,.1f}{of} MB)"


def lag_text(pipeline: PipelineStatus) -> str:
    """The lag; while copying, that of the stream alone. What waits in a queue is named beside it."""
    queue = pipeline.queue
    if queue is None:
        return _lag_text(pipeline)
    waiting = f"{counted(queue.messages, 'message waits', 'messages wait')}"
    return f"held, {waiting}" if queue.held else f"{_lag_text(pipeline)}, {waiting}"


def _lag_text(pipeline: PipelineStatus) -> str:
    if pipeline.lag_s is not None:
        return duration_text(pipeline.lag_s)
    if pipeline.stream_lag_s is not None:
        return f"unknown (stream {duration_text(pipeline.stream_lag_s)})"
    return "unknown"


def duration_text(seconds: float) -> str:
    """In the unit that reads most easily; rounded up, since no lag may look better than it is."""
    amount, unit = seconds, "s"
    if seconds > 100 * 60:
        amount, unit = seconds / 3600, "h"
    elif seconds > 100:
        amount, unit = seconds / 60, "min"
    return f"{math.ceil(amount * 10) / 10:.1f} {unit}"


def _table(status: MigrationStatus) -> Table:
    heads = ("pipeline", "phase", "copied", "applied", "per second", "lag", "dead letters")
    table = Table(*heads, title=status.migration)
    for name, pipeline in status.pipelines.items():
        table.add_row(
            name,
            phase_text(pipeline),
            copied_text(pipeline),
            f"{pipeline.applied:,}",
            f"{pipeline.applied_per_s:,.0f}",
            lag_text(pipeline),
            f"{pipeline.dead_letters:,}",
        )
    return table

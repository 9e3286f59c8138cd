"""How the demo shows itself: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from replicator.cli.status import copied_text, lag_text, phase_text, render

LINE_INTERVAL_S = 2.0


class View(Protocol):
    """Where the demo's progress goes."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def show(self, snapshot: dict[str, Any]) -> None:
        """The daemon's status."""


class LiveView:
    """A table kept up to date below the lines."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def say(self, text: str) -> None:
        self._live.console.print(text, highlight=False)

    def show(self, snapshot: dict[str, Any]) -> None:
        self._live.update(render(snapshot), refresh=True)


class PlainView:
    """One line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = float("-inf")

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def show(self, snapshot: dict[str, Any]) -> None:
        if monotonic() - self._shown_at < LINE_INTERVAL_S:
            return
        self._shown_at = monotonic()
        for name, pipeline in snapshot["pipelines"].items():
            self.say(
                f"{name}: {phase_text(pipeline)}, copied {copied_text(pipeline)}, applied {pipeline['applied']:,} "
                f"({pipeline['applied_per_s']:,.0f}/s), lag {lag_text(pipeline)}"
            )


@contextmanager
def open_view(*, to_stderr: bool) -> Iterator[View]:
    """The view that fits the terminal, or its absence."""
    console = Console(stderr=to_stderr, soft_wrap=True)
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveView(live)

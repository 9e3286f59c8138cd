"""`replicator status`: one snapshot, or one that is kept up to date."""

import json
import time

import typer
from rich.console import Console

from replicator.cli.client import call
from replicator.cli.views import Snapshot, attention, open_view, render
from replicator.errors import ConfigurationError

REFRESH_S = 1.0


def show_status(url: str, *, as_json: bool, watch: bool) -> int:
    """0 when nothing needs attention, 1 otherwise. Raises ConfigurationError when the daemon does not answer."""
    snapshot = fetch(url)
    if as_json:
        typer.echo(json.dumps(snapshot))
    elif watch:
        snapshot = _watch(url, snapshot)
    else:
        console = Console()
        console.print(render(snapshot, console), soft_wrap=True)
    return 1 if attention(snapshot) else 0


def fetch(url: str) -> Snapshot:
    """The status of a running daemon. Raises ConfigurationError."""
    return call(url, "/v1/status", "pipelines")


def _watch(url: str, snapshot: Snapshot) -> Snapshot:
    """Until interrupted; a daemon that does not answer is waited for. Raises what the last call did, if it failed."""
    failure: ConfigurationError | None = None
    try:
        with open_view(to_stderr=False) as view:
            while True:
                view.show(snapshot)
                time.sleep(REFRESH_S)
                try:
                    snapshot = fetch(url)
                except ConfigurationError as error:
                    if failure is None:
                        view.say(f"{error.problem}; the status below is the last one")
                    failure = error
                else:
                    failure = None
    except KeyboardInterrupt:
        if failure is not None:
            raise failure from None
        return snapshot

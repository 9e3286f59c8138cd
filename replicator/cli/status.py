"""`replicator status`: the status as it is now, or kept up to date."""

import json
import time
from collections.abc import Mapping

import typer
from rich.console import Console

from replicator.cli.client import call, read
from replicator.cli.views import attention, open_view, render
from replicator.errors import ConfigurationError
from replicator.status import MigrationStatus

REFRESH_S = 1.0


def show_status(url: str, *, as_json: bool, watch: bool) -> int:
    """0 when nothing needs attention, 1 otherwise. Raises ConfigurationError when the daemon does not answer."""
    answer = _ask(url)
    status = _read(url, answer)
    if as_json:
        typer.echo(json.dumps(answer))  # members that only the daemon knows included
    elif watch:
        status = _watch(url, status)
    else:
        console = Console()
        console.print(render(status, console), soft_wrap=True)
    return 1 if attention(status) else 0


def fetch(url: str) -> MigrationStatus:
    """The status of a running daemon. Raises ConfigurationError."""
    return _read(url, _ask(url))


def _ask(url: str) -> Mapping[str, object]:
    return call(url, "/v1/status", "pipelines")


def _read(url: str, answer: Mapping[str, object]) -> MigrationStatus:
    return read(MigrationStatus, url, answer, "the status that {url} tells")


def _watch(url: str, status: MigrationStatus) -> MigrationStatus:
    """Until interrupted; a daemon that does not answer is waited for. Raises what the last call did, if it failed."""
    failure: ConfigurationError | None = None
    try:
        with open_view(to_stderr=False) as view:
            while True:
                view.show(status)
                time.sleep(REFRESH_S)
                try:
                    status = fetch(url)
                except ConfigurationError as error:
                    if failure is None:
                        view.say(f"{error.problem}; the status below is the last one")
                    failure = error
                else:
                    failure = None
    except KeyboardInterrupt:
        if failure is not None:
            raise failure from None
        return status

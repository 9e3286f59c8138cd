"""`replicator dead-letters`."""

import json

import typer
from rich.console import Console
from rich.table import Table

from replicator.cli.client import call

MOST_KEYS = 1000


def list_dead_letters(url: str, *, as_json: bool) -> int:
    """Prints them; always 0."""
    letters = call(url, "/v1/dead-letters")
    if as_json:
        typer.echo(json.dumps(letters))
        return 0
    table = Table("pipeline", "key", "reason", "last seen", "count")
    for letter in letters:
        table.add_row(letter["pipeline"], letter["key"], letter["reason"], letter["last_seen"], str(letter["count"]))
    Console().print(table if letters else "no dead letters are open")
    return 0


def retry_dead_letters(url: str, pipeline: str, *, keys: list[str], every: bool) -> int:
    """0 when all are resolved, 1 otherwise."""
    if every:
        keys = [letter["key"] for letter in call(url, "/v1/dead-letters") if letter["pipeline"] == pipeline]
    if not keys:
        typer.echo("nothing to retry: name keys with --key, or all with --all")
        return 0
    resolved = still_open = 0
    for start in range(0, len(keys), MOST_KEYS):
        answer = call(url, "/v1/dead-letters/retry", {"pipeline": pipeline, "keys": keys[start : start + MOST_KEYS]})
        resolved += answer["resolved"]
        still_open += answer["open"]
    typer.echo(f"{resolved} resolved, {still_open} still refused")
    return 1 if still_open else 0

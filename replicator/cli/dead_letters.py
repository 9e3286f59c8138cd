"""`replicator dead-letters`: page by page, so that neither side ever holds more than a page of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import typer

from replicator.cli.client import call
from replicator.documents import key_text, parse_key
from replicator.errors import ConfigurationError
from replicator.model import Retried
from replicator.wording import counted

LISTED_AT_ONCE = 1000
RETRIED_AT_ONCE = 100

RETRY_TIMEOUT_S = 120.0
"""A request that takes up a page waits for what is being written, and for requests of unknown outcome to be over."""

PROGRESS_INTERVAL_S = 2.0

Letter = dict[str, Any]
"""As `GET /v1/dead-letters` gives it."""


def list_dead_letters(url: str, pipeline: str | None, *, as_json: bool) -> None:
    """Prints all of them, oldest first."""
    letters = chain.from_iterable(_pages(url, pipeline, LISTED_AT_ONCE))
    if as_json:
        _print_array(letters)
        return
    number = 0
    for number, letter in enumerate(letters, 1):  # noqa: B007 — how many there were
        typer.echo(describe(letter))
    typer.echo(
        f"{counted(number, 'dead letter is', 'dead letters are')} open" if number else "no dead letters are open"
    )


def retry_dead_letters(url: str, pipeline: str, keys: Sequence[str], *, every: bool, as_json: bool) -> int:
    """0 when all are resolved, 1 when some are still open.

    Raises ConfigurationError for keys without a dead letter, and where the daemon cannot do it.
    """
    if every:
        pages: Iterable[list[str]] = ([d["key"] for d in page] for page in _pages(url, pipeline, RETRIED_AT_ONCE))
    else:
        given = [canonical(key) for key in keys]
        pages = (given[start : start + RETRIED_AT_ONCE] for start in range(0, len(given), RETRIED_AT_ONCE))
    total = _retry(url, pipeline, pages)
    if as_json:
        typer.echo(json.dumps(asdict(total)))
    else:
        typer.echo(_summary(total) if total != Retried(0, 0) else f"no dead letters of {pipeline} are open")
    if not every:
        _require_known(pipeline, total.unknown)
    return 1 if total.open else 0


def _require_known(pipeline: str, unknown: Sequence[str]) -> None:
    if unknown:
        raise ConfigurationError(
            "--key",
            f"no dead letter of {pipeline} is open for {', '.join(map(shown, unknown))}",
            f"Copy keys whole from replicator dead-letters list {pipeline}",
        )


def show_dead_letter(url: str, pipeline: str, key: str, *, as_json: bool) -> None:
    """Prints one whole. Raises ConfigurationError where there is none."""
    answer = call(url, "/v1/dead-letters/show", "letter", {"pipeline": pipeline, "key": canonical(key)})
    if as_json:
        typer.echo(json.dumps(answer))
        return
    letter = answer["letter"]
    typer.echo(describe(letter))
    lines = {
        "first seen": letter["first_seen"],
        "committed": letter["committed_at"] or "unknown: it was copied",
        "read from": letter["partition"],
        "version": answer["version"] or "none",
        "record": answer["key"] or "not kept",
        **(answer["reference"] or {}),
        "body": answer["body"] or "not kept",
    }
    for name, text in lines.items():
        typer.echo(f"  {name:<11} {shown(text)}")


def discard_dead_letters(url: str, pipeline: str, keys: Sequence[str], reason: str, *, as_json: bool) -> int:
    """0 when all are closed, 1 when some were refused anew meanwhile. Raises ConfigurationError as retrying does."""
    body = {"pipeline": pipeline, "keys": [canonical(key) for key in keys], "reason": reason}
    answer = call(url, "/v1/dead-letters/discard", "discarded", body, RETRY_TIMEOUT_S)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        typer.echo(f"{answer['discarded']:,} discarded, {answer['open']:,} still open")
    _require_known(pipeline, answer["unknown"])
    return 1 if answer["open"] else 0


def describe(letter: Letter) -> str:
    """One letter in lines that are never shortened: its key is what `retry` is given."""
    seen = counted(letter["count"], "time")
    return (
        f"{letter['pipeline']}: seen {seen}, last at {letter['last_seen']}\n"
        f"  key     {shown(letter['key'])}\n"
        f"  reason  {shown(letter['reason'])}"
    )


def shown(text: str) -> str:
    """For a terminal: what is not printable in JSON's escapes, which a key may be given back in."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def canonical(key: str) -> str:
    """A document's key as it is listed, however its JSON is spelled; any other text as it is."""
    try:
        return key_text(parse_key(key))
    except ValueError:
        return key


def _pages(url: str, pipeline: str | None, size: int) -> Iterator[list[Letter]]:
    """Pages of open dead letters; what is resolved or refused meanwhile moves no other."""
    query = {"limit": str(size), **({"pipeline": pipeline} if pipeline else {})}
    while True:
        answer = call(url, f"/v1/dead-letters?{urlencode(query)}", "dead_letters")
        yield answer["dead_letters"]
        if answer["next"] is None:
            return
        query["after"] = answer["next"]


def _print_array(letters: Iterator[Letter]) -> None:
    """As one JSON array, a letter a line."""
    separator = "["
    for letter in letters:
        typer.echo(f"{separator}{json.dumps(letter)}", nl=False)
        separator = ",\n"
    typer.echo("[]" if separator == "[" else "]")


def _retry(url: str, pipeline: str, pages: Iterable[list[str]]) -> Retried:
    total, told_at = Retried(0, 0), monotonic()
    try:
        for keys in pages:
            total = _and(total, _retry_page(url, pipeline, keys))
            if monotonic() - told_at >= PROGRESS_INTERVAL_S:
                told_at = monotonic()
                typer.echo(f"{_summary(total)} so far", err=True)
    except BaseException:
        if total != Retried(0, 0):
            typer.echo(f"{_summary(total)} when it was broken off", err=True)
        raise
    return total


def _retry_page(url: str, pipeline: str, keys: list[str]) -> Retried:
    if not keys:
        return Retried(0, 0)
    body = {"pipeline": pipeline, "keys": keys}
    answer = call(url, "/v1/dead-letters/retry", "resolved", body, RETRY_TIMEOUT_S)
    return Retried(answer["resolved"], answer["open"], tuple(answer["unknown"]))


def _and(one: Retried, other: Retried) -> Retried:
    return Retried(one.resolved + other.resolved, one.open + other.open, one.unknown + other.unknown)


def _summary(total: Retried) -> str:
    return f"{total.resolved:,} resolved, {total.open:,} still open"

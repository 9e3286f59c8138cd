"""`replicator init`: reads what Lambda functions use, and writes a draft of the migration into a folder."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import typer

from connectors import DRAFTED, draft
from replicator.cli.ending import Exit
from replicator.errors import ConfigurationError
from replicator.telemetry import configure_logging
from replicator.wording import counted

if TYPE_CHECKING:
    from connectors import Draft

LONGEST_S = 1800.0
"""For all that is read."""


def run_init(
    functions: Sequence[str], *, region: str | None, endpoint: str | None, out: Path, force: bool, as_json: bool
) -> Exit:
    """OK when the files are written. Raises ConfigurationError; then none is."""
    configure_logging(as_json=True, level="error")
    _require_room(out, force=force)
    made = anyio.run(_draft, functions, region, endpoint)
    _write(out, made.texts, force=force)
    if as_json:
        typer.echo(json.dumps(_summary(made, out)))
    else:
        _tell(made, out)
    return Exit.OK


async def _draft(functions: Sequence[str], region: str | None, endpoint: str | None) -> "Draft":
    with anyio.move_on_after(LONGEST_S):
        return await draft(functions, region, endpoint, lambda text: typer.echo(text, err=True))
    raise ConfigurationError("aws", f"was not read within {LONGEST_S:g} s", "Name fewer functions at once")


def _require_room(out: Path, *, force: bool) -> None:
    """Before anything is read. Raises ConfigurationError."""
    there = [name for name in DRAFTED if (out / name).exists()]
    if there and not force:
        raise ConfigurationError(
            str(out), f"{', '.join(there)} exist already and are not overwritten", "Name another --out, or give --force"
        )


def _write(out: Path, texts: Mapping[str, str], *, force: bool) -> None:
    """Without --force what somebody has made meanwhile stays."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (out / name).open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ConfigurationError(str(out), f"cannot be written ({error})", "Name a writable folder as --out") from error


def _tell(made: "Draft", out: Path) -> None:
    for text in made.refused:
        typer.echo(text, err=True)
    typer.echo("found: " + ", ".join(counted(count, kind[:-1]) for kind, count in made.found.items()))
    typer.echo(f"not covered: {counted(sum(made.not_covered.values()), 'line')}")
    for name in made.texts:
        typer.echo(f"written: {os.fspath(out / name)}")
    typer.echo(f"next: set {', '.join(made.blanks)}, then replicator plan {os.fspath(out / DRAFTED[0])}")


def _summary(made: "Draft", out: Path) -> dict[str, object]:
    return {
        "functions": list(made.functions),
        **made.found,
        "not_covered": dict(made.not_covered),
        "not_looked_at": list(made.refused),
        "blanks": list(made.blanks),
        "files": {name: os.fspath(out / name) for name in made.texts},
    }

"""The commands `replicator state` with their options; what they do is in `replicator.cli.state`."""

from pathlib import Path
from typing import Annotated

import typer

from replicator.cli.options import Json

state_app = typer.Typer(
    no_args_is_help=True,
    help="Where the state of a migration is kept.",
    epilog="Example: replicator state move file.yaml blobs.yaml --dry-run",
)


@state_app.command("move", epilog="Example: replicator state move file.yaml blobs.yaml --dry-run")
def state_move(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The config that was run until now.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The config that names the new place.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be moved, and whether it can be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Move the state of a stopped migration from one store to another, empty one.

    The new one counts only once it is whole; then no daemon runs on the old one any more. May be repeated after an end
    at any moment.

    Exit codes: 0 it is moved, was moved before, or could be, 1 somebody else took one of both meanwhile (repeat it), 2
    it cannot be moved.
    """
    from replicator.cli.state import run_move  # noqa: PLC0415

    raise typer.Exit(run_move(old, new, dry_run=dry_run, as_json=as_json))

"""Commands and their options; what they do is in the modules beside this one."""

import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from replicator.errors import ConfigurationError, ForeignOwnerError, ReplicatorError

app = typer.Typer(
    name="replicator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keeps DynamoDB tables continuously copied into Cosmos DB, and says how far it has come.",
)
sandbox_app = typer.Typer(no_args_is_help=True, help="Local clouds on this machine, for trying things out.")
letters_app = typer.Typer(no_args_is_help=True, help="Changes that could not be applied.")
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(letters_app, name="dead-letters")

DEFAULT_URL = "http://127.0.0.1:8080"

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The migration's YAML file.")]
Url = Annotated[str, typer.Option("--url", envvar="REPLICATOR_URL", help="Where the daemon's HTTP interface is.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON document on standard output.")]


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    NOT_OK = 1
    ERROR = 2


@app.command(epilog="Example: replicator run migration.yaml")
def run(
    config: ConfigPath,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Take over targets that are not known to this state store, or that a failed pipeline left behind: "
            "every record is compared with the source and repaired where it differs.",
        ),
    ] = False,
) -> None:
    """Replicate until stopped. SIGTERM finishes what was read; a second one stops at once.

    Exit codes: 0 stopped and everything saved, 1 cut off (a restart is safe), 2 something must be mended first.
    """
    from replicator.cli.run import run_daemon  # noqa: PLC0415 — each command loads only what it needs

    raise typer.Exit(Exit.OK if run_daemon(config, adopt=adopt) else Exit.NOT_OK)


@app.command(epilog="Example: replicator check migration.yaml --json")
def check(config: ConfigPath, as_json: Json = False) -> None:
    """Look at everything a run needs, without changing anything: config, addresses, permissions, settings, records.

    Exit codes: 0 nothing stands against a run, 1 warnings, 2 errors.
    """
    from replicator.cli.check import run_check  # noqa: PLC0415

    raise typer.Exit(run_check(config, as_json=as_json))


@app.command(epilog="Example: replicator status --url http://127.0.0.1:8080")
def status(
    url: Url = DEFAULT_URL,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the table up to date until interrupted.")] = False,
) -> None:
    """Show what a running daemon has done: phase, copied of total, lag, rates, problems.

    Exit codes: 0 nothing needs attention, 1 something does, 2 the daemon does not answer.
    """
    from replicator.cli.status import show_status  # noqa: PLC0415

    raise typer.Exit(show_status(url, as_json=as_json, watch=watch))


@app.command(epilog="Example: replicator schema > migration.schema.json")
def schema() -> None:
    """Print the JSON Schema of a config file, for editors."""
    from replicator.cli.schema import print_schema  # noqa: PLC0415

    print_schema()


@app.command(epilog="Example: replicator demo --items 20000 --json")
def demo(
    items: Annotated[int, typer.Option(min=100, max=1_000_000, help="Items seeded into the table.")] = 5000,
    rate: Annotated[float, typer.Option(min=1, max=2000, help="Writes per second while it runs.")] = 100,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long the writer goes on.")] = 20,
    as_json: Json = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave clouds and daemon up afterwards, until interrupted.")
    ] = False,
) -> None:
    """Migrate a table on local clouds from end to end, while it is written to, and compare both sides at the end.

    Exit codes: 0 both sides are equal, 1 they are not.
    """
    from replicator.cli.demo import run_demo  # noqa: PLC0415

    equal = run_demo(items=items, rate_per_s=rate, seconds=seconds, as_json=as_json, keep_running=keep_running)
    raise typer.Exit(Exit.OK if equal else Exit.NOT_OK)


@sandbox_app.command("up", epilog="Example: replicator sandbox up")
def sandbox_up() -> None:
    """Start the local clouds, print their endpoints, and leave them up until interrupted."""
    from replicator.cli.sandbox import sandbox_up as up  # noqa: PLC0415

    up()


@letters_app.command("list", epilog="Example: replicator dead-letters list --json")
def letters_list(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the open dead letters of a running daemon, oldest first."""
    from replicator.cli.dead_letters import list_dead_letters  # noqa: PLC0415

    raise typer.Exit(list_dead_letters(url, as_json=as_json))


@letters_app.command("retry", epilog="Example: replicator dead-letters retry orders --all")
def letters_retry(
    pipeline: Annotated[str, typer.Argument(help="The pipeline they belong to.")],
    key: Annotated[list[str] | None, typer.Option("--key", help="A key as listed; may be repeated.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open one of the pipeline.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Take dead letters up again: each record is read from the source as it is now and written with a guard.

    Exit codes: 0 all of them are resolved, 1 some are still refused, 2 the daemon does not answer.
    """
    from replicator.cli.dead_letters import retry_dead_letters  # noqa: PLC0415

    raise typer.Exit(retry_dead_letters(url, pipeline, keys=key or [], every=every))


def main() -> None:
    """The entry point: what an operator can mend ends with one clear message and exit code 2."""
    try:
        app()
    except ReplicatorError as error:
        sys.exit(_report([error]))
    except BaseExceptionGroup as group:
        errors = leaves(group)
        if not all(isinstance(error, ReplicatorError) for error in errors):
            raise
        sys.exit(_report(errors))


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors themselves, whatever task groups they came through."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _report(errors: Sequence[BaseException]) -> Exit:
    for error in errors:
        typer.echo(f"replicator: {error}", err=True)
    needs_mending = any(isinstance(error, ConfigurationError | ForeignOwnerError) for error in errors)
    return Exit.ERROR if needs_mending else Exit.NOT_OK

"""Commands that ask a running daemon, with their options; what each does is in the module of its name."""

from pathlib import Path
from typing import Annotated

import typer

from replicator.cli.options import DEFAULT_URL, Json, Url

operating_app = typer.Typer()


@operating_app.command(epilog="Example: replicator status --watch --url http://127.0.0.1:8080")
def status(
    url: Url = DEFAULT_URL,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the table up to date until interrupted.")] = False,
) -> None:
    """Show how far a running daemon has come.

    Phase, copied of total, lag, rates and problems of each pipeline.

    Exit codes: 0 nothing needs attention, 1 something does, or the daemon is still starting, 2 the daemon does not
    answer.
    """
    from replicator.cli.status import show_status  # noqa: PLC0415

    if watch and as_json:
        raise typer.BadParameter("--watch is for people; machines ask again for --json")
    raise typer.Exit(show_status(url, as_json=as_json, watch=watch))


@operating_app.command(epilog="Example: replicator verify --pipeline orders --repair")
def verify(
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="PIPELINE", help="Only this one; all of them by default.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what differs, with a guard, and compare it again.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="Compare about so many records of each side only.")
    ] = None,
    contents: Annotated[bool, typer.Option("--bytes", help="Read the contents of objects too, on both sides.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as the read budget of the source allows, as a drain compares.")
    ] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Compare both sides of a running migration.

    Every record, both ways. What differs is looked at again when the lag has passed, so a change that is only late is
    no difference. A round that is under way is joined; interrupting the command does not end it.

    Exit codes: 0 both sides are equal, 1 something differs or is unsettled, 2 the daemon does not answer or cannot
    verify.
    """
    from replicator.cli.verify import verify as run_verify  # noqa: PLC0415
    from replicator.engine.rounds import Ask  # noqa: PLC0415

    raise typer.Exit(run_verify(url, pipeline, Ask(sample, contents, repair, fast), as_json=as_json))


Pipelines = Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="Default: all that have not failed.")]


@operating_app.command(epilog="Example: replicator pause orders")
def pause(pipelines: Pipelines = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let pipelines read nothing more.

    What was read is finished and saved; a restart leaves them paused.

    The lag goes on growing, and what the source keeps for some time only goes on running out.

    Exit codes: 0 they are paused, 2 one cannot be, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.control import set_paused  # noqa: PLC0415

    set_paused(url, pipelines or (), paused=True, as_json=as_json)


@operating_app.command(epilog="Example: replicator resume orders")
def resume(pipelines: Pipelines = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let paused pipelines go on where they were.

    Exit codes: 0 they go on, 2 one cannot, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.control import set_paused  # noqa: PLC0415

    set_paused(url, pipelines or (), paused=False, as_json=as_json)


@operating_app.command(epilog="Example: replicator budget orders --source-units 200 --concurrency 8")
def budget(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline.")],
    source_units: Annotated[
        str | None,
        typer.Option(metavar="N", help="What copying and looking up may take from the source per second; or config."),
    ] = None,
    target_units: Annotated[
        str | None, typer.Option(metavar="N", help="What the target may charge per second; or none, or config.")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option(metavar="N", help="Requests under way at the target at once, at most; or config.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Change what a pipeline may take, or show it.

    Kept over restarts until it is changed back with `config`.

    Exit codes: 0 they are as shown, 2 a value makes no sense, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.control import change_budgets  # noqa: PLC0415

    wanted = {"source_units": source_units, "target_units": target_units, "concurrency": concurrency}
    change_budgets(url, pipeline, wanted, as_json=as_json)


@operating_app.command(epilog="Example: replicator audit --json")
def audit(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show what operators have done, oldest first.

    Exit codes: 0 it was shown, 2 the daemon does not answer, or wants another token.
    """
    from replicator.cli.audit import list_actions  # noqa: PLC0415

    list_actions(url, as_json=as_json)


@operating_app.command(epilog="Example: replicator report --out evidence")
def report(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the files.")] = Path(),
    url: Url = DEFAULT_URL,
) -> None:
    """Write what was done, by whom, and what proves it.

    report.json for machines and report.html for people: a page that needs nothing else. Of a migration that is sealed
    evidence.json too: the report as it was then, to the byte. Files of these names are replaced.

    Exit codes: 0 they were written, 2 they cannot be, or the daemon does not answer, or wants another token.
    """
    from replicator.cli.report import write_report  # noqa: PLC0415

    write_report(url, out)

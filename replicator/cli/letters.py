"""The commands `replicator dead-letters` and their options; what they do is in `replicator.cli.dead_letters`."""

from typing import Annotated

import typer

from replicator.cli.options import DEFAULT_URL, Json, Url

letters_app = typer.Typer(
    no_args_is_help=True,
    help="Changes that could not be applied.",
    epilog="Example: replicator dead-letters list",
)


@letters_app.command("list", epilog="Example: replicator dead-letters list orders --json")
def letters_list(
    pipeline: Annotated[str | None, typer.Argument(metavar="PIPELINE", help="Only those of this pipeline.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show all open dead letters. Oldest first, with their whole keys.

    Exit codes: 0 they were listed, 2 the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.dead_letters import list_dead_letters  # noqa: PLC0415

    list_dead_letters(url, pipeline, as_json=as_json)


@letters_app.command("retry", epilog="Example: replicator dead-letters retry orders --all")
def letters_retry(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline they belong to.")],
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="A key as listed; may be repeated.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open one of the pipeline.")] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Take dead letters up again.

    Each record is read from the source as it is now and written with a guard. Messages are delivered again instead;
    their dead letters are closed when they have arrived.

    Exit codes: 0 all of them are resolved, 1 some are still open, 2 a key has none, or the daemon does not answer,
    knows no such pipeline, or cannot write it.
    """
    from replicator.cli.dead_letters import retry_dead_letters  # noqa: PLC0415

    if bool(key) is every:
        raise typer.BadParameter("give either --key, once or more often, or --all")
    raise typer.Exit(retry_dead_letters(url, pipeline, key or [], every=every, as_json=as_json))


@letters_app.command("show", epilog='Example: replicator dead-letters show orders --key \'{"id":"o1"}\'')
def letters_show(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline it belongs to.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Its key as listed.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show one dead letter whole. Reason, times, and what is kept of its record.

    The audit log tells who did.

    Exit codes: 0 it was shown, 2 there is none, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.dead_letters import show_dead_letter  # noqa: PLC0415

    show_dead_letter(url, pipeline, key, as_json=as_json)


@letters_app.command("discard", epilog="Example: replicator dead-letters discard orders --key K --reason 'a test'")
def letters_discard(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline they belong to.")],
    key: Annotated[list[str], typer.Option("--key", metavar="KEY", help="A key as listed; may be repeated.")],
    reason: Annotated[str, typer.Option("--reason", help="Why they are not wanted, for the audit log.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Close dead letters for good.

    The changes are never applied; discarded messages are deleted from their queue.

    A later change of the record that is refused too opens a new one.

    Exit codes: 0 all of them are closed, 1 some were refused anew meanwhile and are open, 2 a key has none, or the
    daemon does not answer, knows no such pipeline, or cannot do it.
    """
    from replicator.cli.dead_letters import discard_dead_letters  # noqa: PLC0415

    raise typer.Exit(discard_dead_letters(url, pipeline, key, reason, as_json=as_json))

"""The commands `replicator triggers` and their options; what they do is in `replicator.cli.triggers`."""

from typing import Annotated

import typer

from replicator.cli.options import DEFAULT_URL, Json, Url

triggers_app = typer.Typer(
    no_args_is_help=True,
    help="What lets functions run, at both sides.",
    epilog="Example: replicator triggers status",
)


@triggers_app.command("status", epilog="Example: replicator triggers status --json")
def triggers_status(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show all triggers at both sides as they were seen last.

    Exit codes: 0 they were shown, 2 the daemon does not answer, or is still starting.
    """
    from replicator.cli.triggers import show_triggers  # noqa: PLC0415

    show_triggers(url, as_json=as_json)


DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be changed.")]


@triggers_app.command("cordon", epilog="Example: replicator triggers cordon --dry-run")
def triggers_cordon(dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Turn the AWS side of every trigger off, in the order of the config.

    What was before is remembered first. Called again, it goes on where it was.

    Exit codes: 0 it is complete, or was a dry run, 1 a manual step must be done first, 2 a trigger cannot be looked at
    or changed, or the daemon does not answer or refuses.
    """
    from replicator.cli.triggers import take_step  # noqa: PLC0415

    raise typer.Exit(take_step(url, "cordon", dry_run=dry_run, as_json=as_json))


@triggers_app.command("activate", epilog="Example: replicator triggers activate --dry-run")
def triggers_activate(dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Turn the Azure side of every trigger on, in the order of the config.

    Refused while an AWS side may be on, since everything would be done twice.

    Exit codes: 0 it is complete, or was a dry run, 1 a manual step must be done first, 2 a trigger cannot be looked at
    or changed, or the daemon does not answer or refuses.
    """
    from replicator.cli.triggers import take_step  # noqa: PLC0415

    raise typer.Exit(take_step(url, "activate", dry_run=dry_run, as_json=as_json))


@triggers_app.command("traffic", epilog="Example: replicator triggers traffic --dry-run")
def triggers_traffic(dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Lead callers to Azure by the traffic side of every trigger, in the order of the config.

    Refused while an Azure side may be off, since callers would find nobody.

    Exit codes: 0 it is complete, or was a dry run, 1 a manual step must be done first, 2 a trigger cannot be looked at
    or changed, or the daemon does not answer or refuses.
    """
    from replicator.cli.triggers import take_step  # noqa: PLC0415

    raise typer.Exit(take_step(url, "traffic", dry_run=dry_run, as_json=as_json))


@triggers_app.command("undo", epilog="Example: replicator triggers undo --dry-run")
def triggers_undo(dry_run: DryRun = False, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Put every trigger back exactly as it was, newest change first.

    What was not changed by a step is left alone.

    Exit codes: 0 it is complete, or was a dry run, 1 a manual step must be done first, 2 a trigger cannot be looked at
    or changed, or the daemon does not answer or refuses.
    """
    from replicator.cli.triggers import take_step  # noqa: PLC0415

    raise typer.Exit(take_step(url, "undo", dry_run=dry_run, as_json=as_json))


@triggers_app.command("sign-off", epilog="Example: replicator triggers sign-off dns aws-off")
def triggers_sign_off(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The entry point's name in the config.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="Like aws-off, azure-on or traffic-on.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Say that you have turned off or on what replicator cannot look at.

    Exit codes: 0 it is signed off, 2 there is nothing to be signed off, or the daemon does not answer or refuses.
    """
    from replicator.cli.triggers import sign_off  # noqa: PLC0415

    sign_off(url, name, step, as_json=as_json)

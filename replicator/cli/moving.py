"""The commands `replicator cutover` and `replicator rehearsal` with their options; what they do is in the modules of
these names.
"""

from pathlib import Path
from typing import Annotated

import typer

from replicator.cli.options import DEFAULT_URL, Json, Url

cutover_app = typer.Typer(
    no_args_is_help=True,
    help="Moving traffic to the other side.",
    epilog="Example: replicator cutover status --wait",
)
rehearsal_app = typer.Typer(
    no_args_is_help=True,
    help="What was rehearsed before the switch.",
    epilog="Example: replicator rehearsal record rehearsal/report.json",
)


@cutover_app.command("status", epilog="Example: replicator cutover status --wait --timeout 600")
def cutover_status(
    wait: Annotated[bool, typer.Option("--wait", help="Until it is ready, or the time is over.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, max=604_800, help="How many seconds --wait waits at most.")
    ] = 600,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Tell whether traffic may be moved now.

    Every check of every pipeline, with what was measured, its limit and what to do.

    Exit codes: 0 ready, 1 not ready, 2 the daemon does not answer.
    """
    from replicator.cli.cutover import show_cutover  # noqa: PLC0415

    raise typer.Exit(show_cutover(url, as_json=as_json, wait=wait, timeout_s=timeout))


OnePipeline = Annotated[
    str | None, typer.Option("--pipeline", metavar="PIPELINE", help="Only this one; by default all that follow.")
]


@cutover_app.command("drain", epilog="Example: replicator cutover drain --timeout 600")
def cutover_drain(
    pipeline: OnePipeline = None,
    release: Annotated[bool, typer.Option("--release", help="Take from queues that are held, too.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, max=604_800, help="How many seconds to wait at most.")
    ] = 600,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Set the fence, and wait until everything before it is proven to be on the other side.

    Stop whoever writes the sources first. What is in the way is said on standard error whenever that changes. Later
    writes are applied, counted and named, and take it back. Nothing else changes when the time is over: go on waiting
    with another call, which sets the fence anew, or abort.

    Exit codes: 0 drained, 1 not in time, 2 the daemon does not answer or cannot do it.
    """
    from replicator.cli.cutover import drain  # noqa: PLC0415

    raise typer.Exit(drain(url, pipeline, release=release, timeout_s=timeout, as_json=as_json))


@cutover_app.command("switch", epilog="Example: replicator cutover switch --max-pause 10")
def cutover_switch(
    max_pause: Annotated[
        float, typer.Option("--max-pause", min=0.1, max=86_400, help="For how many seconds both sides may be off.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Switch: cordon, drain, forward held queues, activate, seal.

    It does not begin unless everything is ready. If it cannot be done within the pause, or anything fails before
    something is sealed, everything is put back as it was. Interrupting this command changes nothing: the daemon goes
    on.

    Exit codes: 0 switched, 1 undone, or with --dry-run not ready, 2 it is refused, or the daemon does not answer.
    """
    from replicator.cli.cutover import switch  # noqa: PLC0415

    raise typer.Exit(switch(url, max_pause_s=max_pause, dry_run=dry_run, as_json=as_json))


@cutover_app.command("seal", epilog="Example: replicator cutover seal")
def cutover_seal(
    force: Annotated[bool, typer.Option("--force", help="Also what is not drained; --reason is required.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the audit log and the report.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """End the replication for good, when everything is drained.

    Nothing is written to the targets from then on; what was begun before is waited for. Whatever is still written at
    the sources is counted, named and reported as a problem, also after a restart.

    Exit codes: 0 sealed, 2 something is not drained, or the daemon does not answer or cannot do it.
    """
    from replicator.cli.cutover import seal  # noqa: PLC0415

    seal(url, force=force, reason=reason or "", as_json=as_json)


@cutover_app.command("abort", epilog="Example: replicator cutover abort")
def cutover_abort(pipeline: OnePipeline = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Give a drain up: back to following, and queues are held again.

    Messages that were forwarded meanwhile stay on the other side.

    Exit codes: 0 it is following again, 2 the daemon does not answer or cannot do it.
    """
    from replicator.cli.cutover import abort  # noqa: PLC0415

    abort(url, pipeline, as_json=as_json)


@rehearsal_app.command("record", epilog="Example: replicator rehearsal record rehearsal/report.json")
def rehearsal_record(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="The report.json of the rehearsal.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Record a rehearsal, as readiness demands one.

    It counts where it was of the same config but for places and credentials, was sealed by a switch after a proven
    drain without late writes, and is not too old.

    Exit codes: 0 it was recorded, 2 it does not count, with all reasons, or the daemon does not answer.
    """
    from replicator.cli.beforehand import record_rehearsal  # noqa: PLC0415

    record_rehearsal(report, url, as_json=as_json)

"""Commands and their options; what they do is in the modules beside this one."""

import atexit
import gc
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from replicator.cli.ending import Exit, end_when_terminated, say
from replicator.cli.letters import letters_app
from replicator.cli.options import DEFAULT_URL, Json, Url
from replicator.cli.output import speak_plainly
from replicator.cli.services import Service
from replicator.errors import ConfigurationError

NAME = "replicator"

app = typer.Typer(
    name=NAME,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: replicator check migration.yaml && replicator run migration.yaml",
)
sandbox_app = typer.Typer(
    no_args_is_help=True,
    help="Local clouds for trying things out.",
    epilog="Example: replicator sandbox up",
)
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
triggers_app = typer.Typer(
    no_args_is_help=True,
    help="What lets functions run, at both sides.",
    epilog="Example: replicator triggers status",
)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(triggers_app, name="triggers")
app.add_typer(cutover_app, name="cutover")
app.add_typer(rehearsal_app, name="rehearsal")
app.add_typer(sandbox_app, name="sandbox")

GARBAGE_BEFORE_COLLECTING = 10_000
"""Objects. Loading two SDKs makes a hundred thousand that stay, and to look through them at every 700th takes time."""

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The migration's YAML file.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {version(NAME)}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keeps DynamoDB tables, S3 buckets and SQS queues copied into Cosmos DB, Blob Storage and Service Bus.

    It goes on doing so, and says how far it has come in numbers that are never better than the truth.
    """


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
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="In mode copy: repair what differs at the end, with a guard, and compare everything again."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="In mode copy: the folder for the report. Default: beside the state store, named by the migration.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="In mode copy: only the verdict, as one JSON document on standard output.")
    ] = False,
) -> None:
    """Replicate until stopped. SIGTERM finishes what was read; a second one stops at once.

    Where all pipelines are in mode copy, it copies everything once, compares both sides, writes the report and ends.

    Exit codes: 0 stopped and everything saved, or copied and found equal, 1 cut off, not finished, or not equal (a
    restart is safe), 2 something must be mended first, 3 a bug, with its traceback (a restart is safe).
    """
    from replicator.cli.once import Asked  # noqa: PLC0415 — each command loads only what it needs
    from replicator.cli.run import run_daemon  # noqa: PLC0415

    raise typer.Exit(run_daemon(config, adopt=adopt, asked=Asked(repair, out, as_json)))


@app.command("init", epilog="Example: replicator init --function onOrder --function onPayment --region eu-central-1")
def init(
    function: Annotated[
        list[str],
        typer.Option("--function", metavar="NAME", help="A Lambda function, by name or ARN; may be repeated."),
    ],
    region: Annotated[
        str | None, typer.Option("--region", help="AWS region. Default: from the environment or the profile.")
    ] = None,
    aws_endpoint: Annotated[
        str | None,
        typer.Option("--aws-endpoint", metavar="URL", help="Of all of AWS, for a local cloud. Default: AWS."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files are written.")] = Path(
        "replicator-init"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a config for what Lambda functions use. Nothing is changed at AWS.

    It reads what triggers them, their variables and the policies of their roles, and writes a commented config, the
    policies for both clouds, and a list of what is not covered.

    Exit codes: 0 the files are written, 2 they are not.
    """
    from replicator.cli.init import run_init  # noqa: PLC0415

    raise typer.Exit(run_init(function, region=region, endpoint=aws_endpoint, out=out, force=force, as_json=as_json))


@app.command(epilog="Example: replicator plan migration.yaml --json")
def plan(config: ConfigPath, as_json: Json = False) -> None:
    """Tell every change that a run and a switch would make.

    In either cloud, by when: at the start, while it runs, at the switch, never. None is made.

    Exit codes: 0 all of it is told, 2 a part of it cannot be told.
    """
    from replicator.cli.plan import run_plan  # noqa: PLC0415

    raise typer.Exit(run_plan(config, as_json=as_json))


@app.command(epilog="Example: replicator check migration.yaml --json")
def check(config: ConfigPath, as_json: Json = False) -> None:
    """Look at everything a run needs. Nothing is changed.

    Config, addresses, permissions, settings, records, and whose the targets are.

    Exit codes: 0 nothing stands against a run, 1 warnings, 2 errors.
    """
    from replicator.cli.check import run_check  # noqa: PLC0415

    raise typer.Exit(run_check(config, as_json=as_json))


def _print_prices(wanted: bool) -> None:
    from replicator.cli.estimate import print_prices  # noqa: PLC0415

    if wanted:
        print_prices()
        raise typer.Exit


@app.command(epilog="Example: replicator estimate migration.yaml --probe")
def estimate(
    config: ConfigPath,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Measure how fast each target takes writes: for some seconds, made-up records are written beside the "
            "marker and removed again. Without it rates are assumed.",
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--changes-per-s", metavar="PIPELINE=N", help="How often a source changes, instead of what is measured."
        ),
    ] = None,
    records: Annotated[
        list[str] | None,
        typer.Option("--records", metavar="PIPELINE=N", help="How many records there are, instead of what is told."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Table of prices. Default: examples.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Instead of estimating, record with the daemon at --url what --json has printed earlier, so that the "
            "report compares it with reality.",
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
    _: Annotated[
        bool,
        typer.Option("--print-prices", callback=_print_prices, is_eager=True, help="Print the example table and exit."),
    ] = False,
) -> None:
    """Say how long a migration will take and what it will cost.

    Copy, catch-up, drain and verification of each pipeline, and the maintenance window to agree on. Beside a daemon or
    before the first run. Nothing is written, unless --probe is given.

    Exit codes: 0 everything could be estimated, or it was recorded, 1 something is unknown or never ends, 2 a source or
    a target cannot be looked at, or the daemon does not answer or refuses.
    """
    if record is not None:
        from replicator.cli.beforehand import record_estimate  # noqa: PLC0415

        record_estimate(config, record, url)
        return
    from replicator.cli.estimate import run_estimate  # noqa: PLC0415

    raise typer.Exit(
        run_estimate(config, probe=probe, changes=changes or [], records=records or [], prices=prices, as_json=as_json)
    )


@app.command(epilog="Example: replicator status --watch --url http://127.0.0.1:8080")
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


@app.command(epilog="Example: replicator verify --pipeline orders --repair")
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

    raise typer.Exit(run_verify(url, pipeline, repair=repair, sample=sample, contents=contents, as_json=as_json))


Pipelines = Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="Default: all that have not failed.")]


@app.command(epilog="Example: replicator pause orders")
def pause(pipelines: Pipelines = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let pipelines read nothing more.

    What was read is finished and saved; a restart leaves them paused.

    The lag goes on growing, and what the source keeps for some time only goes on running out.

    Exit codes: 0 they are paused, 2 one cannot be, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.control import set_paused  # noqa: PLC0415

    set_paused(url, pipelines or (), paused=True, as_json=as_json)


@app.command(epilog="Example: replicator resume orders")
def resume(pipelines: Pipelines = None, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Let paused pipelines go on where they were.

    Exit codes: 0 they go on, 2 one cannot, or the daemon does not answer or knows no such pipeline.
    """
    from replicator.cli.control import set_paused  # noqa: PLC0415

    set_paused(url, pipelines or (), paused=False, as_json=as_json)


@app.command(epilog="Example: replicator budget orders --source-units 200 --concurrency 8")
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


@app.command(epilog="Example: replicator schema > migration.schema.json")
def schema() -> None:
    """Print the JSON Schema of a config file."""
    from replicator.cli.schema import print_schema  # noqa: PLC0415

    print_schema()


@app.command(epilog="Example: replicator demo --items 20000 --json")
def demo(
    items: Annotated[int, typer.Option(min=100, max=1_000_000, help="Items seeded into the table.")] = 5000,
    objects: Annotated[int, typer.Option(min=10, max=100_000, help="Objects seeded into the bucket.")] = 300,
    messages: Annotated[int, typer.Option(min=1, max=100_000, help="Messages sent to each queue beforehand.")] = 200,
    rate: Annotated[
        float,
        typer.Option(
            min=1,
            max=2000,
            help="Writes per second to the table while it runs; bucket and queues get a tenth of it each.",
        ),
    ] = 100,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long the writers go on.")] = 20,
    large_bytes: Annotated[int, typer.Option(min=0, help="Size of the largest object.")] = 64_000_000,
    as_json: Json = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave clouds and daemon up afterwards, until interrupted.")
    ] = False,
) -> None:
    """Migrate a small workload on local clouds, end to end.

    A daemon copies and follows a table, a bucket and two queues while they are written to; at the end both sides are
    compared.

    Exit codes: 0 everything is on the other side, 1 it is not, or the daemon did not catch up, 2 the local clouds or
    the daemon did not start or ended.
    """
    from replicator.cli.demo import run_demo  # noqa: PLC0415

    equal = run_demo(
        items=items,
        objects=objects,
        messages=messages,
        rate_per_s=rate,
        seconds=seconds,
        large_bytes=large_bytes,
        as_json=as_json,
        keep_running=keep_running,
    )
    raise typer.Exit(Exit.OK if equal else Exit.NOT_OK)


@sandbox_app.command("up", epilog="Example: replicator sandbox up")
def sandbox_up(
    without: Annotated[
        list[Service] | None,
        typer.Option("--without", help="A service that is not wanted; may be repeated."),
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option(
            "--workload",
            metavar="DIR",
            help="Fill all, write migration.yaml for a daemon into this folder, and go on changing what is there.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(min=1, max=2000, help="Of the workload: writes per second to the table; others get a tenth each."),
    ] = 20,
) -> None:
    """Start the local clouds. They are up until interrupted.

    Their endpoints and the environment variables a client of theirs needs are printed.

    Exit codes: 0 interrupted, 2 they are not installed or did not start.
    """
    from replicator.cli.sandbox import sandbox_up as up  # noqa: PLC0415

    if workload is None:
        up(without or ())
    elif without:
        raise ConfigurationError("--without", "the workload needs all services", "Leave one of the two out")
    else:
        from replicator.cli.demo.supplying import supply  # noqa: PLC0415

        supply(workload, rate_per_s=rate)


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

    It does not begin unless everything is ready. If it cannot be done within the pause, or anything fails before the
    activation, everything is put back as it was. Interrupting this command changes nothing: the daemon goes on.

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

    Nothing is written to the targets from then on. Whatever is still written at the sources is counted, named and
    reported as a problem, also after a restart.

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


@app.command(epilog="Example: replicator audit --json")
def audit(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show what operators have done, oldest first.

    Exit codes: 0 it was shown, 2 the daemon does not answer, or wants another token.
    """
    from replicator.cli.audit import list_actions  # noqa: PLC0415

    list_actions(url, as_json=as_json)


@app.command(epilog="Example: replicator report --out evidence")
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


def main() -> None:
    """The entry point: what an operator can act on ends with one clear message, anything else is a bug."""
    end_when_terminated()
    gc.set_threshold(GARBAGE_BEFORE_COLLECTING)
    atexit.register(gc.freeze)  # or the interpreter would go through all of it once more, only to end
    speak_plainly()
    try:
        app(prog_name=NAME)
    except Exception as error:  # noqa: BLE001 — whatever it is, the exit code must not be taken for another answer
        sys.exit(say(error))

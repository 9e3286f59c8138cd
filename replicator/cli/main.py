"""Commands and their options; what they do is in the modules beside this one."""

import atexit
import gc
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from replicator.cli.ending import Exit, end_when_terminated, say
from replicator.cli.keeping import state_app
from replicator.cli.letters import letters_app
from replicator.cli.moving import cutover_app, rehearsal_app
from replicator.cli.operating import operating_app
from replicator.cli.options import DEFAULT_URL, Json, Url
from replicator.cli.output import speak_plainly
from replicator.cli.services import Service
from replicator.cli.switches import triggers_app
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
app.add_typer(operating_app)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(triggers_app, name="triggers")
app.add_typer(cutover_app, name="cutover")
app.add_typer(rehearsal_app, name="rehearsal")
app.add_typer(state_app, name="state")
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
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            max=64,
            help="So many processes share the work and take over from each other. The first answers at http.listen, "
            "the others at the ports after that.",
        ),
    ] = 1,
    worker: Annotated[int | None, typer.Option("--worker", hidden=True)] = None,
) -> None:
    """Replicate until stopped. SIGTERM finishes what was read; a second one stops at once.

    Where all pipelines are in mode copy, it copies everything once, compares both sides, writes the report and ends.

    Exit codes: 0 stopped and everything saved, or copied and found equal, 1 cut off, not finished, or not equal (a
    restart is safe), 2 something must be mended first, 3 a bug, with its traceback (a restart is safe).
    """
    from replicator.cli.once import Asked  # noqa: PLC0415 — each command loads only what it needs
    from replicator.cli.run import run_daemon  # noqa: PLC0415

    asked = Asked(repair, out, as_json)
    raise typer.Exit(run_daemon(config, adopt=adopt, asked=asked, workers=workers, worker=worker))


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

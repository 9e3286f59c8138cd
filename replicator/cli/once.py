"""A migration whose pipelines are all in mode copy, as one command that ends: its progress, its verdict, its report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import typer

from replicator.cli.ending import Exit
from replicator.cli.report import save
from replicator.cli.verdicts import as_json, progress, summary
from replicator.config.models import MigrationConfig
from replicator.engine.daemon import Daemon
from replicator.engine.verdict import Result, Verdict, load_verdict
from replicator.errors import ConfigurationError
from replicator.naming import Naming, load_naming
from replicator.ports import StateStore
from replicator.report import Report
from replicator.report.gathering import Now, gather
from replicator.report.page import page
from replicator.status import PipelineStatus

LOOK_INTERVAL_S = 1.0

LINE_INTERVAL_S = 10.0
"""What is shown stays, so not all of it is."""

DIFFERENCES = "differences.json"

EXITS = {
    Result.FAILED: Exit.ERROR,
    Result.UNFINISHED: Exit.NOT_OK,
    Result.DIFFERENT: Exit.NOT_OK,
    Result.EQUAL: Exit.OK,
}
"""From the worst to the best: that of a migration is the worst of its pipelines'."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says beside the config: of a migration that follows anything, only to `repair`."""

    repair: bool = False
    report: Path | None = None
    as_json: bool = False

    def require_fitting(self, config: MigrationConfig) -> None:
        """Raises ConfigurationError where it would have no effect."""
        why, fix = "has no effect: {} in mode copy", "Leave it out"
        if self.repair and not config.copied_once:
            raise ConfigurationError("--repair", why.format("no pipeline is"), fix)
        if not config.is_copied_once:
            for option, given in (("--report", self.report is not None), ("--json", self.as_json)):
                if given:
                    raise ConfigurationError(option, why.format("not all pipelines are"), fix)

    def options(self, *, adopt: bool) -> list[str]:
        """The same on a command line."""
        given = [("--adopt", adopt), ("--repair", self.repair), ("--json", self.as_json)]
        report = [] if self.report is None else ["--report", str(self.report)]
        return [*(option for option, is_given in given if is_given), *report]

    def folder(self, config: MigrationConfig) -> Path:
        """Where the report goes: by default beside the state store."""
        return self.report or config.state.folder / f"{config.migration}-report"


async def show_progress(daemon: Daemon) -> None:
    """Until cancelled: a line for each pipeline now and then, and as soon as its work is another one."""
    shown: dict[str, tuple[object, ...]] = {}
    at = float("-inf")
    while True:
        is_due = anyio.current_time() - at >= LINE_INTERVAL_S
        for name, status in daemon.statuses.items():
            if is_due or shown.get(name) != _work(status):
                shown[name], at = _work(status), anyio.current_time()
                typer.echo(progress(name, status))
        await anyio.sleep(LOOK_INTERVAL_S)


async def conclude(config: MigrationConfig, store: StateStore, daemon: Daemon | None, asked: Asked) -> Exit:
    """Writes the report, and tells the verdict as the last thing that is said. `daemon` is None where none has run.

    Nothing is written where it was stopped before it came to a verdict. Raises ConfigurationError where the report
    cannot be written, after the verdict.
    """
    verdicts = {name: await load_verdict(store, name) for name in config.pipelines}
    naming = await load_naming(store, hashed=config.keys == "hashed")
    result = worst(verdicts)
    folder, failure = asked.folder(config), None
    if result is not Result.UNFINISHED:
        report = await daemon.report() if daemon else await gather(config, store, Now({}, {}, None))
        failure = _written(folder, report, verdicts, naming)
    _tell(verdicts, naming, result, None if failure or result is Result.UNFINISHED else folder, asked)
    if failure is not None:
        raise failure
    return EXITS[result]


def worst(verdicts: Mapping[str, Verdict]) -> Result:
    """That of the whole migration."""
    return min((verdict.result for verdict in verdicts.values()), key=list(EXITS).index)


def _work(status: PipelineStatus) -> tuple[object, ...]:
    return status.phase, status.verification is not None and status.verification.running, tuple(status.problems)


def _written(
    folder: Path, report: Report, verdicts: Mapping[str, Verdict], naming: Naming
) -> ConfigurationError | None:
    differences = {name: as_json(verdict, naming)["findings"] for name, verdict in verdicts.items()}
    files = {
        DIFFERENCES: json.dumps(differences, indent=2) + "\n",
        "report.html": page(report),
        "report.json": report.model_dump_json(indent=2) + "\n",
    }
    try:
        save(folder, files, "--report")
    except ConfigurationError as error:
        return error
    return None


def _tell(verdicts: Mapping[str, Verdict], naming: Naming, result: Result, folder: Path | None, asked: Asked) -> None:
    if asked.as_json:
        told = {name: as_json(verdict, naming) for name, verdict in verdicts.items()}
        where = None if folder is None else str(folder)
        typer.echo(json.dumps({"result": result, "exit_code": EXITS[result], "report": where, "pipelines": told}))
        return
    for line in summary(verdicts, naming, result):
        typer.echo(line)
    # the last line is for whoever reads no other one
    where = "" if folder is None else f" Report: {folder / 'report.html'}"
    typer.echo(f"{_VERDICTS[result]}{where}")


_VERDICTS = {
    Result.FAILED: "FAILED: a pipeline has stopped for good; see docs/recovery.md.",
    Result.UNFINISHED: "NOT FINISHED: it was stopped; start it again, and it goes on where it was.",
    Result.DIFFERENT: "NOT EQUAL: not everything is on the other side.",
    Result.EQUAL: "EQUAL: everything is on the other side.",
}

"""`replicator plan`: every change that a run and a switch would make in either cloud, told before any is made."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio
import typer
from rich.console import Console
from rich.text import Text

from connectors import registry
from replicator.cli.ending import Exit
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig, PipelineConfig
from replicator.engine.opening import connect
from replicator.errors import ConfigurationError
from replicator.model import Mode
from replicator.planning.model import Planned, When
from replicator.planning.pipelines import plan_pipeline
from replicator.planning.switching import plan_end, plan_triggers
from replicator.ports import StateStore
from replicator.state.moving import require_usable
from replicator.state.opening import look_at_state
from replicator.telemetry import configure_logging
from replicator.triggers.opening import open_triggers
from replicator.wording import counted

LONGEST_LOOK_S = 300.0
"""For one pipeline."""

HEADINGS = {
    When.START: "At the start",
    When.RUNNING: "While it runs",
    When.SWITCH: "At the switch",
    When.NEVER: "Never: what is left alone, or is yours to do",
}

Plan = tuple[list[Planned], list[ConfigurationError]]
"""What would be done, and why something cannot be told."""


def run_plan(path: Path, *, as_json: bool) -> Exit:
    """OK when all of it could be told. Raises ConfigurationError for a config that cannot be used."""
    configure_logging(as_json=True, level="error")
    config = load_config(path, registry())
    planned, errors = anyio.run(_plan, config)
    if as_json:
        typer.echo(json.dumps(_document(config, planned, errors)))
    else:
        _print(planned, errors)
    return Exit.ERROR if errors else Exit.OK


def _document(config: MigrationConfig, planned: list[Planned], errors: list[ConfigurationError]) -> dict[str, Any]:
    return {
        "migration": config.migration,
        "changes": [asdict(one) for one in planned],
        "errors": [{"where": e.where, "message": e.problem, "fix": e.fix} for e in errors],
    }


def _print(planned: list[Planned], errors: list[ConfigurationError]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for when, heading in HEADINGS.items():
        console.print(Text(heading, style="bold"))
        of_then = [one for one in planned if one.when is when]
        for one in of_then:
            console.print(Text(f"  {one.where}: {one.text}"))
            if one.fix:
                console.print(Text(f"    → {one.fix}"))
        if not of_then:
            console.print(Text("  nothing"))
    for error in errors:
        console.print(Text("error    ", style="red") + Text(f"{error.where}: {error.problem}"))
        console.print(Text(f"{'':<9}→ {error.fix}"))
    console.print(
        Text(f"{counted(len(errors), 'error')}: not all of it can be told" if errors else "nothing was changed")
    )


async def _plan(config: MigrationConfig) -> Plan:
    """The state store is only looked at."""
    async with look_at_state(config.state, registry()) as store:
        await require_usable(store, config.state.place)
        return await _plan_all(config, store)


async def _plan_all(config: MigrationConfig, store: StateStore) -> Plan:
    alone = await store.acquire_lease("plan", 1.0) <= 0  # or else a daemon moves the markers on all the time
    planned, errors = [_state(config, alone=alone)], list[ConfigurationError]()
    for name, pipeline in config.pipelines.items():
        try:
            planned += await _pipeline(name, pipeline, config, store if alone else None)
        except ConfigurationError as error:
            errors += error.each or (error,)
    try:
        async with open_triggers(config, registry()) as opened:
            turned, wrong = await plan_triggers(opened, store)
            planned, errors = planned + turned, errors + wrong
    except ConfigurationError as error:
        errors += error.each or (error,)
    if any(Mode(pipeline.mode) is not Mode.COPY for pipeline in config.pipelines.values()):
        planned += plan_end()
    return planned, errors


def _state(config: MigrationConfig, *, alone: bool) -> Planned:
    kept = f"positions, phases, notes of triggers and the audit log are kept in {config.state.place}"
    there = "" if alone else "; a daemon runs this migration now, so the markers are not looked at"
    return Planned(When.START, "state", kept + there)


async def _pipeline(
    name: str, config: PipelineConfig, migration: MigrationConfig, store: StateStore | None
) -> list[Planned]:
    """One whose source could be copied and not followed, as without a stream, is told all the same: what it lacks is
    yours to mend.
    """
    try:
        return await _looked_at(name, config, migration, store, Mode(config.mode))
    except ConfigurationError as error:
        if Mode(config.mode) is Mode.COPY or not error.where.startswith(f"pipelines.{name}.source"):
            raise
        copied = config.model_copy(update={"mode": Mode.COPY.value})
        try:
            planned = await _looked_at(name, copied, migration, None, Mode(config.mode))
        except ConfigurationError:
            raise error from None
        yours = Planned(
            When.NEVER, error.where, f"{error.problem}, and a run is refused until that is mended", error.fix
        )
        return [*planned, yours]


async def _looked_at(
    name: str, config: PipelineConfig, migration: MigrationConfig, store: StateStore | None, mode: Mode
) -> list[Planned]:
    """`mode` is the one that would be run in."""
    with anyio.move_on_after(LONGEST_LOOK_S):
        async with look_at(name, config, migration, store) as pipeline:
            await connect(pipeline)
            interval_s = migration.limits.marker_interval_s
            return await plan_pipeline(pipeline, mode, interval_s, judged=store is not None)
    problem = f"did not answer everything within {LONGEST_LOOK_S:g} s"
    raise ConfigurationError(f"pipelines.{name}", problem, "Try again, and look at both services")

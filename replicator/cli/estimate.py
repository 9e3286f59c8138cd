"""`replicator estimate`: how long a migration will take and what it will cost. Takes no lease and writes no state."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import typer
from rich.console import Console

from connectors import registry
from replicator.cli.ending import Exit
from replicator.cli.estimate_views import render
from replicator.cli.looking import look_at
from replicator.clocks import utc_now
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig
from replicator.engine.opening import connect
from replicator.errors import ConfigurationError, PositionLostError
from replicator.estimate.arithmetic import MigrationEstimate, PipelineEstimate, Step, estimate
from replicator.estimate.figures import Needs
from replicator.estimate.prices import PriceTable, cost, example, load_prices
from replicator.estimate.surveying import Given, Survey
from replicator.telemetry import configure_logging

LONGEST_LOOK_S = 300.0
"""For one pipeline; a read budget that is very small may make it wait."""


def run_estimate(
    path: Path, *, probe: bool, changes: Sequence[str], records: Sequence[str], prices: Path | None, as_json: bool
) -> Exit:
    """OK when everything is known and ends, NOT_OK otherwise. Raises ConfigurationError."""
    configure_logging(as_json=True, level="error")
    config, table = load_config(path, registry()), load_prices(prices)
    given = _given(config, _numbers("--changes-per-s", changes), _numbers("--records", records))
    found = anyio.run(partial(_estimate, config, given, probe=probe))
    if as_json:
        typer.echo(json.dumps(as_document(config.migration, found, table, example_prices=prices is None)))
    else:
        render(found, table, Console(highlight=False), example_prices=prices is None)
    return Exit.OK if found.is_complete else Exit.NOT_OK


def print_prices() -> None:
    """The table that comes with replicator."""
    typer.echo(example(), nl=False)


async def _estimate(config: MigrationConfig, given: Mapping[str, Given], *, probe: bool) -> MigrationEstimate:
    """One pipeline after the other, so that probes do not disturb each other."""
    return MigrationEstimate(tuple([await _pipeline(name, config, given[name], probe=probe) for name in given]))


async def _pipeline(name: str, config: MigrationConfig, given: Given, *, probe: bool) -> PipelineEstimate:
    def announce(text: str) -> None:
        typer.echo(f"{name}: {text}", err=True)

    where = f"pipelines.{name}"
    with anyio.move_on_after(LONGEST_LOOK_S):
        async with look_at(name, config.pipelines[name], config) as pipeline:
            await connect(pipeline)
            try:
                found = await Survey(pipeline.source, pipeline.target, announce, probe=probe).run(given)
            except PositionLostError as error:
                raise ConfigurationError(where, str(error), "Then estimate again") from error
            return estimate(name, *found, config.pipelines[name].verification.records_per_s)
    problem = f"did not answer everything within {LONGEST_LOOK_S:g} s"
    raise ConfigurationError(where, problem, "Try again, and look at both services")


def _given(config: MigrationConfig, changes: Mapping[str, float], records: Mapping[str, float]) -> dict[str, Given]:
    for name in (*changes, *records):
        if name not in config.pipelines:
            raise ConfigurationError(f"pipelines.{name}", "there is no such pipeline", "Name one of the config")
    return {
        name: Given(changes.get(name), None if name not in records else int(records[name])) for name in config.pipelines
    }


def _numbers(option: str, texts: Sequence[str]) -> dict[str, float]:
    """Of `PIPELINE=N`, by pipeline."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise ConfigurationError(option, f"{text} is no PIPELINE=N", "Give a number of 0 or more, as orders=25")
    return found


def as_document(migration: str, found: MigrationEstimate, table: PriceTable, *, example_prices: bool) -> dict[str, Any]:
    """For machines: no number is infinite, what is unknown is null."""
    return {
        "migration": migration,
        "made_at": utc_now().isoformat(),
        "currency": table.currency,
        "example_prices": example_prices,
        **_duration("lead", found.lead_s),
        **_duration("window", found.window_s),
        **_duration("suggested_window", found.suggested_window_s),
        **_priced(found.needs, table),
        "pipelines": {pipeline.name: _pipeline_document(pipeline, table) for pipeline in found.pipelines},
    }


def _pipeline_document(pipeline: PipelineEstimate, table: PriceTable) -> dict[str, Any]:
    changes = pipeline.changes
    return {
        "records": pipeline.records,
        "record_bytes": pipeline.record_bytes,
        "changes": changes
        and {"mean_per_s": changes.mean_per_s, "peak_per_s": changes.peak_per_s, "origin": changes.origin.value},
        **_duration("lead", pipeline.lead_s),
        **_duration("window", pipeline.window_s),
        "steps": [_step_document(step, table) for step in pipeline.steps],
        "notes": list(pipeline.notes),
    }


def _step_document(step: Step, table: PriceTable) -> dict[str, Any]:
    return {
        "step": step.name.value,
        "records": _finite(step.records),
        "seconds": _finite(step.seconds),
        "never": step.seconds == math.inf,
        "origin": step.origin.value,
        **_priced(step.needs, table),
    }


def _priced(needs: Needs | None, table: PriceTable) -> dict[str, Any]:
    if needs is None:
        return {"needs": None, "cost": None, "unpriced": []}
    costs = cost(needs, table.meters)
    return {"needs": dict(needs), "cost": costs.amount, "unpriced": list(costs.unpriced)}


def _duration(name: str, seconds: float | None) -> dict[str, Any]:
    return {f"{name}_s": _finite(seconds), f"{name}_never": seconds == math.inf}


def _finite(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else number

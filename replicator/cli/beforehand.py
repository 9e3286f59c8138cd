"""Commands that record with a daemon what was done before: a rehearsal, an estimate."""

import json
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from connectors import registry
from replicator.cli.client import call
from replicator.config.loading import load_config
from replicator.errors import ConfigurationError
from replicator.report import Report
from replicator.report.rehearsing import claim_of

NOT_A_REPORT = "Give the report.json that replicator report has written"
NOT_AN_ESTIMATE = "Give what replicator estimate --json has printed"


def record_rehearsal(path: Path, url: str, *, as_json: bool) -> None:
    """Raises ConfigurationError where it is no report, does not count for the daemon's config, or nobody answers."""
    try:
        report = Report.model_validate(_json(path, "REPORT", NOT_A_REPORT))
    except ValidationError as error:
        raise ConfigurationError(
            "REPORT", f"{path} is no report ({error.error_count()} mistakes)", NOT_A_REPORT
        ) from None
    claim = claim_of(report)
    if claim is None:
        raise ConfigurationError("REPORT", f"{path} does not say which config it is of", "Rehearse with this version")
    found = call(url, "/v1/rehearsal", "recorded_at", claim.model_dump(mode="json"))
    pause = "unknown" if found["pause_s"] is None else f"{found['pause_s']:.1f} s"
    said = f"recorded: {found['migration']}, sealed at {found['sealed_at']} by {found['by']}, pause {pause}"
    typer.echo(json.dumps(found) if as_json else said)


def record_estimate(config: Path, path: Path, url: str) -> None:
    """Raises ConfigurationError where it is no estimate, or is of another migration, or nobody answers."""
    document = _json(path, "--record", NOT_AN_ESTIMATE)
    migration = load_config(config, registry()).migration
    try:
        pipelines = {
            name: {step["step"]: step["seconds"] for step in pipeline["steps"] if step["seconds"] is not None}
            for name, pipeline in document["pipelines"].items()
        }
        made = {"made_at": document["made_at"], "pipelines": pipelines}
        of = document["migration"]
    except (KeyError, TypeError, AttributeError):
        raise ConfigurationError("--record", f"{path} is no estimate", NOT_AN_ESTIMATE) from None
    if of != migration:
        raise ConfigurationError("--record", f"{path} is of migration {of}, not of {migration}", NOT_AN_ESTIMATE)
    found = call(url, "/v1/estimate", "recorded", made)
    typer.echo(f"recorded for {found['recorded']} of {len(pipelines)} pipelines, as made at {made['made_at']}")


def _json(path: Path, option: str, fix: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(option, f"{path} cannot be read: {error.strerror}", fix) from error
    except ValueError as error:
        raise ConfigurationError(option, f"{path} is no JSON", fix) from error

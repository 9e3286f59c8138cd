"""What of a config a rehearsal must have had in common with it. Pure.

What decides what happens to records and to entry points counts: pipelines by name with their modes, the types of both
sides, what each connector names (`rehearsed`: keys, consuming, mapping), their limits and waivers; triggers by name
with their pipeline and kinds, in their order, in which they are turned; the limits of the cutover. Where the services
are, what they are called there, how they are reached, what they may be asked for per second, and how they are logged in
to does not: a rehearsal is elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel

from replicator.config.models import MigrationConfig, PipelineConfig, TriggerConfig
from replicator.status import Part

ASIDE = {"probe", "rehearsal"}
"""Of the cutover's own fields."""


class Fingerprint(Part):
    """The fields that count, by their path in the config, with their values as JSON; and the SHA-256 of all that."""

    sha256: str
    fields: dict[str, str]


def fingerprint(config: MigrationConfig) -> Fingerprint:
    """The same whatever the order in which things are listed, but for triggers."""
    fields = {
        f"cutover.{name}": value
        for name, value in _values(config.cutover, set(type(config.cutover).model_fields) - ASIDE)
    }
    for name, pipeline in config.pipelines.items():
        fields |= {f"pipelines.{name}.{path}": value for path, value in _pipeline(pipeline).items()}
    for name, trigger in config.triggers.items():
        fields |= {f"triggers.{name}.{path}": value for path, value in _trigger(trigger).items()}
    fields["triggers"] = _text(list(config.triggers))
    return Fingerprint(sha256=digest(fields), fields=fields)


def digest(fields: Mapping[str, str]) -> str:
    """The SHA-256 of these, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def differing(fields: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """The paths of those that are not in both, or not the same."""
    return sorted(path for path in {*fields, *others} if fields.get(path) != others.get(path))


def _pipeline(pipeline: PipelineConfig) -> dict[str, str]:
    source, target = pipeline.source, pipeline.target
    return {
        "mode": _text(pipeline.mode),
        **{f"source.{name}": value for name, value in _values(source, {"type", *source.rehearsed})},
        **{f"target.{name}": value for name, value in _values(target, {"type", "foreign", *target.rehearsed})},
        "cutover.max_lag_s": _text(pipeline.cutover.max_lag_s),
        "cutover.waive": _text(sorted(pipeline.cutover.waive)),
    }


def _trigger(trigger: TriggerConfig) -> dict[str, str]:
    return {
        "pipeline": _text(trigger.pipeline),
        "aws": _text(trigger.aws and trigger.aws.type),
        "azure": _text(trigger.azure and trigger.azure.type),
        "traffic": _text(trigger.traffic and trigger.traffic.type),
    }


def _values(model: BaseModel, names: set[str]) -> list[tuple[str, str]]:
    dumped = model.model_dump(mode="json", include=names)
    return [(name, _text(dumped[name])) for name in sorted(names)]


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)

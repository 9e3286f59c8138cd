"""What the two sides of a pipeline are, as far as their configs must name it. Pure."""

import json

from replicator.config.models import PipelineConfig, SourceConfig, TargetConfig


def named(config: SourceConfig | TargetConfig) -> dict[str, str]:
    """What must be named of a source or a target says what it is; secrets are no plain texts."""
    fields = type(config).model_fields
    names = {name: getattr(config, name) for name, field in fields.items() if field.is_required() or name == "region"}
    return {name: value for name, value in names.items() if isinstance(value, str) and name != "type"}


def sides_text(config: PipelineConfig) -> str:
    """Both sides as one text, the same for the same."""
    sides = [{"type": side.type, **named(side)} for side in (config.source, config.target)]
    return json.dumps(sides, sort_keys=True)

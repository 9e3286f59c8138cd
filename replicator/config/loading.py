"""From a YAML file to a checked config: environment references, connector models, errors a person can act on."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from replicator.config.models import EndpointConfig, MigrationConfig, Name, PipelineConfig
from replicator.errors import ConfigurationError
from replicator.registry import Registry

REFERENCE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""`${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`."""


def load_config(path: Path, registry: Registry, environment: Mapping[str, str] = os.environ) -> MigrationConfig:
    """Reads a config file; relative paths in it are relative to it.

    Raises ConfigurationError naming every field that is wrong, and the fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), f"cannot be read ({error})", "Name a readable config file") from error
    return _beside(path.parent, parse_config(text, registry, environment, name=str(path)))


def _beside(folder: Path, config: MigrationConfig) -> MigrationConfig:
    """The same config with every relative path in it taken from `folder`."""

    def endpoint(side: EndpointConfig) -> EndpointConfig:
        return side.model_copy(update={"ca_bundle": folder / side.ca_bundle}) if side.ca_bundle else side

    pipelines = {
        name: pipeline.model_copy(update={"source": endpoint(pipeline.source), "target": endpoint(pipeline.target)})
        for name, pipeline in config.pipelines.items()
    }
    state = config.state.model_copy(update={"path": folder / config.state.path})
    return config.model_copy(update={"state": state, "pipelines": pipelines})


def parse_config(
    text: str, registry: Registry, environment: Mapping[str, str] = os.environ, name: str = "config"
) -> MigrationConfig:
    """The config in `text`. Raises ConfigurationError."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = (
            f"{name}:{error.problem_mark.line + 1}"
            if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark
            else name
        )
        raise ConfigurationError(where, "is not valid YAML", "Mend the syntax at that line") from error
    if not isinstance(tree, dict):
        raise ConfigurationError(name, "is empty or not a mapping", "Start from docs/config.example.yaml")
    model = _model(registry)
    try:
        return model.model_validate(_resolve(tree, environment, ()))
    except ValidationError as error:
        raise _Explanation(registry, model).of(error, name) from None


def json_schema(registry: Registry) -> dict[str, Any]:
    """The JSON Schema of a config file, for editors."""
    return _model(registry).model_json_schema()


def _model(registry: Registry) -> type[MigrationConfig]:
    """The config's model with the connectors' own models in the places of `source` and `target`."""
    pipeline = create_model(
        "PipelineConfig",
        __base__=PipelineConfig,
        source=(_either([k.config for k in registry.sources.values()]), Field(description="Where changes come from.")),
        target=(_either([k.config for k in registry.targets.values()]), Field(description="Where changes go.")),
    )
    pipelines = (dict[Name, pipeline], Field(min_length=1, description="The pipelines by name."))
    return create_model("MigrationConfig", __base__=MigrationConfig, pipelines=pipelines)


def _either(models: Sequence[type[BaseModel]]) -> Any:
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, models), Field(discriminator="type")]


def _resolve(node: object, environment: Mapping[str, str], path: tuple[str, ...]) -> object:
    if isinstance(node, dict):
        return {key: _resolve(value, environment, (*path, str(key))) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolve(value, environment, (*path, str(i))) for i, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def expand(match: re.Match[str]) -> str:
        escaped, variable, default = match.groups()
        if escaped:
            return match.group(0)[1:]
        value = environment.get(variable, default)
        if value is None:
            raise ConfigurationError(
                ".".join(path),
                f"the environment variable {variable} is not set",
                f"Set it, or write ${{{variable}:-default}}",
            )
        return value

    return REFERENCE.sub(expand, node)


class _Explanation:
    """Validation errors in the words of a config file. Values never appear: they may be secrets."""

    def __init__(self, registry: Registry, model: type[BaseModel]) -> None:
        self._registry = registry
        self._model = model

    def of(self, error: ValidationError, name: str) -> ConfigurationError:
        """Every problem with its field and the fix."""
        problems = [self._problem(details) for details in error.errors(include_input=False, include_url=False)]
        if len(problems) == 1:
            where, what, fix = problems[0]
            return ConfigurationError(f"{name}: {where}", what, fix)
        lines = "".join(f"\n  {where}: {what}. {fix}" for where, what, fix in problems)
        return ConfigurationError(name, f"{len(problems)} fields are wrong", f"Mend each:{lines}")

    def _problem(self, details: ErrorDetails) -> tuple[str, str, str]:
        path = self._path(details["loc"])
        where = ".".join(path)
        match details["type"]:
            case "extra_forbidden":
                return where, "unknown field", self._suggestion(path[-1])
            case "missing":
                return where, "is missing", "Add it; see docs/configuration.md"
            case "union_tag_invalid" | "union_tag_not_found":
                kinds = self._registry.sources if path[-1] == "source" else self._registry.targets
                return f"{where}.type", "names no connector there is", f"Use one of {', '.join(map(repr, kinds))}"
        return where, details["msg"].removeprefix("Value error, "), "See docs/configuration.md for what is allowed"

    def _path(self, location: tuple[int | str, ...]) -> list[str]:
        """Without the connector's name, which pydantic puts behind `source` and `target` where there are several."""
        kinds = {"source": set(self._registry.sources), "target": set(self._registry.targets)}
        parts = [str(part) for part in location]
        return [part for before, part in zip(["", *parts], parts, strict=False) if part not in kinds.get(before, set())]

    def _suggestion(self, unknown: str) -> str:
        known = set(re.findall(r'"([a-z_]+)": \{', str(self._model.model_json_schema()).replace("'", '"')))
        close = difflib.get_close_matches(unknown, known, n=1)
        return f"Did you mean {close[0]}?" if close else "Remove it; see docs/configuration.md for what there is"

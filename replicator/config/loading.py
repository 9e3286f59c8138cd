"""From a YAML file to a checked config: environment references, connector models, errors a person can act on."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model

from replicator.config.mistakes import Mistakes
from replicator.config.models import (
    EndpointConfig,
    MigrationConfig,
    Name,
    PipelineConfig,
    SqliteStateConfig,
    StateConfig,
    TriggerConfig,
    TriggerSideConfig,
)
from replicator.errors import ConfigurationError
from replicator.registry import Registry
from replicator.triggers.model import Side

REFERENCE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""`${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`."""

DEFAULT_STATE = "sqlite"
"""The kind of state store where none is named."""


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

    def side(trigger: TriggerSideConfig | None) -> object:
        return endpoint(trigger) if isinstance(trigger, EndpointConfig) else trigger

    pipelines = {
        name: pipeline.model_copy(update={"source": endpoint(pipeline.source), "target": endpoint(pipeline.target)})
        for name, pipeline in config.pipelines.items()
    }
    triggers = {
        name: trigger.model_copy(update={each: side(getattr(trigger, each)) for each in Side})
        for name, trigger in config.triggers.items()
    }
    probe = config.cutover.probe and endpoint(config.cutover.probe)
    cutover = config.cutover.model_copy(update={"probe": probe})

    def kept(state: StateConfig) -> object:
        if isinstance(state, SqliteStateConfig):
            return state.model_copy(update={"path": folder / state.path})
        return endpoint(state) if isinstance(state, EndpointConfig) else state

    return config.model_copy(
        update={"state": kept(config.state), "pipelines": pipelines, "triggers": triggers, "cutover": cutover}
    )


def parse_config(
    text: str, registry: Registry, environment: Mapping[str, str] = os.environ, name: str = "config"
) -> MigrationConfig:
    """The config in `text`. Raises ConfigurationError."""
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506 — it is a safe one
    except yaml.YAMLError as error:
        raise _not_yaml(error, text, name) from error
    if not isinstance(tree, dict):
        raise ConfigurationError(name, "is empty or not a mapping", "Start from docs/config.example.yaml")
    model = _model(registry)
    unset: list[ConfigurationError] = []
    resolved = _resolve(tree, environment, (), unset)
    if unset:
        raise one_of(name, unset)
    try:
        return model.model_validate(resolved)
    except ValidationError as error:
        raise one_of(name, Mistakes(registry, model).of(error)) from None


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
    others = {**_state(registry), **_triggers(registry)}
    return create_model("MigrationConfig", __base__=MigrationConfig, pipelines=pipelines, **others)


def _state(registry: Registry) -> dict[str, Any]:
    """The field `state`, of the kind that is named there, or else a SQLite file; none without any kind."""
    if not registry.states:
        return {}
    either: Any = _either([kind.config for kind in registry.states.values()])
    told = MigrationConfig.model_fields["state"]
    field = Field(default=told.default, description=told.description)
    return {"state": (Annotated[either, BeforeValidator(_named)], field)}


def _named(state: object) -> object:
    """What stands there, with the kind that it is by default."""
    return {"type": DEFAULT_STATE, **state} if isinstance(state, dict) else state


def _triggers(registry: Registry) -> dict[str, Any]:
    """The field of triggers with the kinds' own models in the places of its sides; none without any kind."""
    if not registry.triggers:
        return {}
    sides: dict[str, Any] = {}
    for side in Side:
        either = _either([kind.config for kind in registry.triggers_of(side).values()])
        sides[side] = (either | None, TriggerConfig.model_fields[side])
    trigger = create_model("TriggerConfig", __base__=TriggerConfig, **sides)
    return {"triggers": (dict[Name, trigger], MigrationConfig.model_fields["triggers"])}


def _either(models: Sequence[type[BaseModel]]) -> Any:
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, models), Field(discriminator="type")]


NO_VALUE = (ValueError, LookupError, AttributeError)
"""What the library raises for `2001-99-99`, `!!bool x` and the like."""

ECHO = re.compile(r""" (?:'(?!<|\\.')[^']*\w[^']*'|"[^"]*\w[^"]*")""")
"""Something of the file in a parser's message; signs, and what is in angle brackets, are YAML's own."""


class _Loader(yaml.SafeLoader):
    """Refuses what YAML leaves open: a field that is there twice, of which only the last one would count. `on`, `off`,
    `yes` and `no` are texts, as in YAML 1.2: triggers have fields of these names.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except NO_VALUE as error:
            problem = "found a value that is not what it looks like"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value == "<<" or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise DuplicateFieldError(problem=key.value, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


BOOLEAN = "tag:yaml.org,2002:bool"

WORDS = {True: "on", False: "off"}
"""Names of fields that tools of YAML 1.1 take for truths, and write again as such."""

_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != BOOLEAN]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


class DuplicateFieldError(yaml.MarkedYAMLError):
    """A mapping has a field twice."""


def _not_yaml(error: yaml.YAMLError, text: str, name: str) -> ConfigurationError:
    """Names line and column and what is wrong there, but none of the values: they may be secrets."""
    line, column, problem = _place(error, text)
    if isinstance(error, DuplicateFieldError):
        return ConfigurationError(f"{name}:{line}", f"the field {problem} is there twice", "Keep one of them")
    return ConfigurationError(
        f"{name}:{line}:{column}",
        f"is not valid YAML ({ECHO.sub('', problem)})",
        "Mend the syntax there; a text with special characters must be in quotes",
    )


def _place(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    """Line and column, both from one, and what the parser says."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return error.problem_mark.line + 1, error.problem_mark.column + 1, error.problem or ""
    before = text[: error.position] if isinstance(error, yaml.reader.ReaderError) else ""
    return before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1, getattr(error, "reason", "")


def one_of(name: str, mistakes: Sequence[ConfigurationError]) -> ConfigurationError:
    """One error for everything that is wrong with a config."""
    if len(mistakes) == 1:
        (only,) = mistakes
        return ConfigurationError(f"{name}: {only.where}", only.problem, only.fix, each=mistakes)
    lines = "".join(f"\n  {mistake}" for mistake in mistakes)
    return ConfigurationError(name, f"{len(mistakes)} fields are wrong", f"Mend each:{lines}", each=mistakes)


def _resolve(
    node: object, environment: Mapping[str, str], path: tuple[str, ...], unset: list[ConfigurationError]
) -> object:
    """With references replaced; what cannot be goes to `unset`."""
    if isinstance(node, dict):
        named = {WORDS.get(key, key) if isinstance(key, bool) else key: value for key, value in node.items()}
        return {key: _resolve(value, environment, (*path, str(key)), unset) for key, value in named.items()}
    if isinstance(node, list):
        return [_resolve(value, environment, (*path, str(i)), unset) for i, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def expand(match: re.Match[str]) -> str:
        escaped, variable, default = match.groups()
        if escaped:
            return match.group(0)[1:]
        value = environment.get(variable, default)
        if value is None:
            problem = f"the environment variable {variable} is not set"
            fix = f"Set it, or write ${{{variable}:-default}}"
            unset.append(ConfigurationError(".".join(path), problem, fix))
            return ""
        return value

    return REFERENCE.sub(expand, node)

"""What pydantic finds wrong with a config, in the words of a config file. Values never appear: they may be secrets."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from replicator.config import models
from replicator.errors import ConfigurationError
from replicator.registry import Registry
from replicator.triggers.model import Side
from replicator.wording import counted

ALLOWED = "See docs/configuration.md for what is allowed"

MAPPING = "must be a mapping of fields"
TEXT = "must be a text; put it in quotes"
NUMBER = "must be a number"
WHOLE = "must be a whole number"
TRUTH = "must be true or false"

KINDS = {
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": TEXT,
    "invalid_key": TEXT,
    "path_type": TEXT,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": NUMBER,
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "bool_type": TRUTH,
    "bool_parsing": TRUTH,
}
"""By pydantic's types of error, for those that say nothing but the kind."""

BOUNDS = {
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:,.10g}",
    "greater_than_equal": "must be at least {ge:,.10g}",
    "less_than": "must be below {lt:,.10g}",
    "less_than_equal": "must be at most {le:,.10g}",
    "string_too_short": "is too short or empty",
    "string_too_long": "must have {max_length} characters at most",
}
"""Those with a bound."""


class Mistakes:
    """Explains the errors of one model."""

    def __init__(self, registry: Registry, model: type[BaseModel]) -> None:
        self._registry = registry
        self._schema = model.model_json_schema()

    def of(self, error: ValidationError) -> list[ConfigurationError]:
        """Every problem with its field and the fix."""
        found = error.errors(include_input=False, include_url=False)
        within = {details["loc"][:-1] for details in found}
        return [self._mistake(d) for d in found if d["type"] != "too_short" or d["loc"] not in within]

    def _mistake(self, details: ErrorDetails) -> ConfigurationError:
        path = self._path(details["loc"])
        where = ".".join(path)
        match details["type"]:
            case "extra_forbidden":
                return ConfigurationError(where, "unknown field", self._suggestion(details["loc"]))
            case "missing":
                return ConfigurationError(where, "is missing", "Add it; see docs/configuration.md")
            case "union_tag_invalid" | "union_tag_not_found":
                kinds = self._kinds()[path[-1]]
                known = f"Use one of {', '.join(map(repr, kinds))}"
                return ConfigurationError(f"{where}.type", "names no kind there is", known)
            case models.MISTAKE:
                return ConfigurationError(where, details["ctx"]["problem"], details["ctx"]["fix"])
        return ConfigurationError(where, _problem(details["type"], details.get("ctx", {}), details["msg"]), ALLOWED)

    def _path(self, location: tuple[int | str, ...]) -> list[str]:
        """Without the connector's name, which pydantic puts behind `source` and `target` where there are several, and
        without the mark behind a name that is itself the mistake.
        """
        kinds = self._kinds()
        parts = [str(part) for part in location if part != "[key]"]
        return [part for before, part in zip(["", *parts], parts, strict=False) if part not in kinds.get(before, ())]

    def _kinds(self) -> dict[str, Collection[str]]:
        """By the field whose `type` names one."""
        sides = {str(side): list(self._registry.triggers_of(side)) for side in Side}
        kinds = self._registry
        return {"source": list(kinds.sources), "target": list(kinds.targets), "state": list(kinds.states), **sides}

    def _suggestion(self, location: Sequence[int | str]) -> str:
        *place, unknown = map(str, location)
        close = difflib.get_close_matches(unknown, self._fields(place), n=1)
        return f"Did you mean {close[0]}?" if close else "Remove it; see docs/configuration.md for what there is"

    def _fields(self, place: Sequence[str]) -> Sequence[str]:
        """Those that may stand at a place, of the connector that is named there."""
        here: Mapping[str, Any] = self._schema
        for part in place:
            here = next((either for either in here.get("anyOf", ()) if "discriminator" in either), here)
            kinds = here.get("discriminator", {}).get("mapping", {})
            named = {"$ref": kinds[part]} if part in kinds else here.get("properties", {}).get(part)
            here = named or _any_field(here)
            if "$ref" in here:
                here = self._schema["$defs"][here["$ref"].rpartition("/")[2]]
        return list(here.get("properties", ()))


def _any_field(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands behind every name of a mapping whose names are free."""
    (value,) = schema.get("patternProperties", {"": schema.get("additionalProperties", {})}).values()
    return value if isinstance(value, dict) else {}


def _problem(kind: str, bounds: Mapping[str, Any], message: str) -> str:
    if kind in KINDS:
        return KINDS[kind]
    if kind in BOUNDS:
        return BOUNDS[kind].format(**bounds)
    if kind == "too_short":
        return f"must have at least {counted(bounds['min_length'], 'entry', 'entries')}"
    if kind == "too_long":
        return f"must have at most {counted(bounds['max_length'], 'entry', 'entries')}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return "has a form that is not allowed" if kind == "string_pattern_mismatch" else "is of another kind"

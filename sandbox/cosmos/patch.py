"""Partial document updates: add, set, replace, remove and incr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.cosmos.documents import SYSTEM_PROPERTIES
from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.query.compiler import Predicate, compile_condition

if TYPE_CHECKING:
    from sandbox.cosmos.keys import KeyDefinition
    from sandbox.cosmos.wire import Json, JsonObject

MAX_OPERATIONS = 10
CONDITION_FAILED = 1110
_KINDS = frozenset({"add", "set", "replace", "remove", "incr"})


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a patch on the value at a path."""

    kind: str
    path: tuple[str, ...]
    value: Json


@dataclass(frozen=True, slots=True)
class Patch:
    """Up to ten steps, done in order and together, if the condition holds."""

    steps: tuple[Step, ...]
    condition: Predicate | None

    def apply(self, document: JsonObject, definition: KeyDefinition) -> JsonObject:
        """Return the patched document; the one given is changed.

        Raises CosmosError 412 when the condition does not hold, 400 for a path that does not fit or
        that may not be changed: id, system properties, the partition key.
        """
        if self.condition is not None and not self.condition(document):
            raise CosmosError(412, "The patch condition is not met.", substatus=CONDITION_FAILED)
        for step in self.steps:
            in_key = any(path[: len(step.path)] == step.path for path in definition.paths)
            if in_key or step.path[0] in {"id", *SYSTEM_PROPERTIES}:
                raise bad_request(f"The path /{'/'.join(step.path)} cannot be patched.")
            _perform(step, document)
        return document


def parse_patch(body: JsonObject) -> Patch:
    """Read the body of a patch request; 400 for anything the service would not take."""
    entries = body.get("operations")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_OPERATIONS:
        raise bad_request(f"A patch has 1 to {MAX_OPERATIONS} operations.")
    condition = body.get("condition")
    if condition is not None and not isinstance(condition, str):
        raise bad_request("The condition of a patch must be text.")
    predicate = compile_condition(condition) if condition else None
    return Patch(tuple(_parse_step(entry) for entry in entries), predicate)


def _parse_step(entry: Json) -> Step:
    if not isinstance(entry, dict) or entry.get("op") not in _KINDS:
        raise bad_request("Each patch operation needs an op: add, set, replace, remove or incr.")
    kind, path = str(entry["op"]), entry.get("path")
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise bad_request(f"The patch path {path!r} is not valid.")
    if kind != "remove" and "value" not in entry:
        raise bad_request(f"The patch operation {kind} needs a value.")
    if kind == "incr" and not _is_number(entry["value"]):
        raise bad_request("incr needs a number.")
    names = tuple(name.replace("~1", "/").replace("~0", "~") for name in path[1:].split("/"))
    return Step(kind, names, entry.get("value"))


def _perform(step: Step, document: JsonObject) -> None:
    parent: Json = document
    for name in step.path[:-1]:
        parent = _child(parent, name, step)
    if isinstance(parent, dict):
        _change_member(step, parent)
    elif isinstance(parent, list):
        _change_element(step, parent)
    else:
        raise _misses(step)


def _child(parent: Json, name: str, step: Step) -> Json:
    if isinstance(parent, dict) and name in parent:
        return parent[name]
    if isinstance(parent, list) and name.isdecimal() and int(name) < len(parent):
        return parent[int(name)]
    raise _misses(step)


def _change_member(step: Step, parent: JsonObject) -> None:
    name = step.path[-1]
    if step.kind in {"replace", "remove"} and name not in parent:
        raise _misses(step)
    if step.kind == "remove":
        del parent[name]
    elif step.kind == "incr":
        parent[name] = _sum(parent.get(name, 0), step)
    else:
        parent[name] = step.value


def _change_element(step: Step, parent: list[Json]) -> None:
    name = step.path[-1]
    if step.kind in {"add", "set"} and name == "-":
        parent.append(step.value)
        return
    if not name.isdecimal() or int(name) >= len(parent) + (step.kind == "add"):
        raise _misses(step)
    index = int(name)
    if step.kind == "add":
        parent.insert(index, step.value)
    elif step.kind == "remove":
        del parent[index]
    elif step.kind == "incr":
        parent[index] = _sum(parent[index], step)
    else:
        parent[index] = step.value


def _sum(value: Json, step: Step) -> int | float:
    added = step.value
    if not isinstance(value, int | float) or isinstance(value, bool) or not isinstance(added, int | float):
        raise bad_request(f"incr needs a number at /{'/'.join(step.path)}.")
    total = value + added
    return total if isinstance(total, float) or abs(total) <= 2**53 else float(total)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _misses(step: Step) -> CosmosError:
    return bad_request(f"The patch path /{'/'.join(step.path)} does not exist or is of the wrong type.")

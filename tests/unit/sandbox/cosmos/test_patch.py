"""Partial updates do what the service does, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.cosmos import keys
from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.patch import parse_patch

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json, JsonObject

DEFINITION = keys.define({"paths": ["/pk/part"], "kind": "Hash"})


def document() -> JsonObject:
    """A document to patch."""
    return {"id": "1", "pk": {"part": "a"}, "n": 1, "list": [1, 2], "in": {"x": 1}}


def patched(*operations: Json, condition: str | None = None) -> JsonObject:
    """The document after a patch."""
    body: JsonObject = {"operations": list(operations)}
    if condition:
        body["condition"] = condition
    return parse_patch(body).apply(document(), DEFINITION)


def step(op: str, path: str, value: Json = None) -> JsonObject:
    """One patch operation."""
    return {"op": op, "path": path} if op == "remove" else {"op": op, "path": path, "value": value}


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        (step("add", "/new", 1), "new", 1),
        (step("set", "/n", "x"), "n", "x"),
        (step("replace", "/n", None), "n", None),
        (step("incr", "/n", 2.5), "n", 3.5),
        (step("incr", "/counter", 4), "counter", 4),
        (step("add", "/in/y", 2), "in", {"x": 1, "y": 2}),
        (step("remove", "/in/x"), "in", {}),
        (step("add", "/list/0", 0), "list", [0, 1, 2]),
        (step("add", "/list/2", 3), "list", [1, 2, 3]),
        (step("add", "/list/-", 3), "list", [1, 2, 3]),
        (step("set", "/list/1", 9), "list", [1, 9]),
        (step("remove", "/list/0"), "list", [2]),
        (step("incr", "/list/1", 1), "list", [1, 3]),
        (step("set", "/a~1b", 1), "a/b", 1),
    ],
)
def test_operations(operation: JsonObject, path: str, expected: Json) -> None:
    assert patched(operation)[path] == expected


@pytest.mark.parametrize(
    "operation",
    [
        step("replace", "/missing", 1),
        step("remove", "/missing"),
        step("set", "/missing/deep", 1),
        step("set", "/n/deep", 1),
        step("set", "/list/2", 1),
        step("add", "/list/3", 1),
        step("incr", "/in", 1),
        step("incr", "/n", "1"),
        step("set", "/id", "2"),
        step("set", "/_ts", 2),
        step("set", "/pk/part", "b"),
        step("set", "/pk", {"part": "b"}),
        step("copy", "/n", 1),
        {"op": "set", "path": "/n"},
        {"op": "set", "path": "n", "value": 1},
        "set",
    ],
)
def test_operations_that_do_not_fit_are_refused(operation: Json) -> None:
    with pytest.raises(CosmosError) as refused:
        patched(operation)
    assert refused.value.status == 400


def test_more_than_ten_operations_are_refused() -> None:
    with pytest.raises(CosmosError, match="1 to 10"):
        patched(*[step("set", "/n", 1)] * 11)


def test_a_condition_that_does_not_hold_is_a_412() -> None:
    assert patched(step("set", "/n", 2), condition="FROM c WHERE c.n = 1")["n"] == 2
    with pytest.raises(CosmosError) as refused:
        patched(step("set", "/n", 2), condition="FROM c WHERE c.n = 7")
    assert (refused.value.status, refused.value.substatus) == (412, 1110)

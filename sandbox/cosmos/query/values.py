"""How the query language compares values, and its functions.

Values of different types are never equal and have no order; what involves an undefined value is
undefined, which lets no document through.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cosmos.wire import Json


class Undefined:
    """The value of a property that is not there; there is one instance, UNDEFINED."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()
Value: TypeAlias = "Json | Undefined"
SortKey: TypeAlias = "tuple[int, float | str]"


def sort_key(value: Value) -> SortKey:
    """Orders values as ORDER BY does: undefined, null, booleans, numbers, text, the rest."""
    if isinstance(value, Undefined):
        return (0, 0)
    if value is None:
        return (1, 0)
    if isinstance(value, bool):
        return (2, int(value))
    if isinstance(value, int | float):
        return (3, value)
    if isinstance(value, str):
        return (4, value)
    return (5 if isinstance(value, list) else 6, 0)


def equal(left: Value, right: Value) -> Value:
    """Deep equality that tells booleans from numbers."""
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return UNDEFINED
    return _same(left, right)


def _same(left: Json, right: Json) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _unequal(left: Value, right: Value) -> Value:
    same = equal(left, right)
    return not same if isinstance(same, bool) else UNDEFINED


def _ordered(compare: Callable[[SortKey, SortKey], bool]) -> Callable[[Value, Value], Value]:
    def evaluate(left: Value, right: Value) -> Value:
        left_key, right_key = sort_key(left), sort_key(right)
        if left_key[0] != right_key[0] or left_key[0] in {0, 5, 6}:
            return UNDEFINED
        return compare(left_key, right_key)

    return evaluate


COMPARISONS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "=": equal,
    "!=": _unequal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}


def _is_defined(value: Value) -> Value:
    return value is not UNDEFINED


def _is_null(value: Value) -> Value:
    return value is None


def _text(test: Callable[[str, str], bool]) -> Callable[..., Value]:
    def evaluate(text: Value, part: Value, ignore_case: Value = False) -> Value:
        if not isinstance(text, str) or not isinstance(part, str):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignore_case is True else test(text, part)

    return evaluate


def _array_contains(array: Value, element: Value) -> Value:
    if not isinstance(array, list) or isinstance(element, Undefined):
        return UNDEFINED
    return any(_same(member, element) for member in array)


FUNCTIONS: Final[dict[str, Callable[..., Value]]] = {
    "IS_DEFINED": _is_defined,
    "IS_NULL": _is_null,
    "STARTSWITH": _text(str.startswith),
    "ENDSWITH": _text(str.endswith),
    "CONTAINS": _text(operator.contains),
    "ARRAY_CONTAINS": _array_contains,
}

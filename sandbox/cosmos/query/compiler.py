"""Turns parsed expressions into functions of a document."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.query import values
from sandbox.cosmos.query.parser import parse_condition
from sandbox.cosmos.query.syntax import (
    ArrayOf,
    Call,
    Comparison,
    Expression,
    Literal,
    Logical,
    Not,
    ObjectOf,
    Parameter,
    Path,
)
from sandbox.cosmos.query.values import UNDEFINED, Undefined, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.cosmos.wire import Json, JsonObject

Evaluator: TypeAlias = "Callable[[JsonObject], Value]"
Predicate: TypeAlias = "Callable[[JsonObject], bool]"
Parameters: TypeAlias = "Mapping[str, Json]"

_NO_PARAMETERS: Final[dict[str, Json]] = {}


def compile_predicate(where: Expression | None, parameters: Parameters) -> Predicate | None:
    """A test for the WHERE clause; only `true` lets a document through. None without a clause."""
    if where is None:
        return None
    evaluate = compile_expression(where, parameters)
    return lambda document: evaluate(document) is True


@lru_cache(maxsize=256)
def compile_condition(text: str) -> Predicate:
    """A test for the condition of a patch."""
    evaluate = compile_expression(parse_condition(text), _NO_PARAMETERS)
    return lambda document: evaluate(document) is True


def compile_expression(expression: Expression, parameters: Parameters) -> Evaluator:
    """A function that computes an expression; 400 for a parameter without a value."""
    match expression:
        case Literal(value):
            return _constant(value)
        case Parameter(name):
            if name not in parameters:
                raise bad_request(f"The parameter {name} has no value.")
            return _constant(parameters[name])
        case Path(segments):
            return _path(segments)
        case Comparison() | Logical() | Not():
            return _compile_condition(expression, parameters)
        case _:
            return _compile_compound(expression, parameters)


def _compile_condition(expression: Comparison | Logical | Not, parameters: Parameters) -> Evaluator:
    if isinstance(expression, Not):
        return _negation(compile_expression(expression.operand, parameters))
    left = compile_expression(expression.left, parameters)
    right = compile_expression(expression.right, parameters)
    if isinstance(expression, Comparison):
        return _comparison(expression.operator, left, right)
    return _logical(expression.operator, left, right)


def _compile_compound(expression: Call | ArrayOf | ObjectOf, parameters: Parameters) -> Evaluator:
    match expression:
        case Call(name, arguments):
            if name == "COUNT":
                raise bad_request("COUNT is supported in the SELECT clause only.")
            return _call(name, [compile_expression(argument, parameters) for argument in arguments])
        case ArrayOf(elements):
            return _array([compile_expression(element, parameters) for element in elements])
        case ObjectOf(members):
            return _object([(name, compile_expression(member, parameters)) for name, member in members])


def _constant(value: Json) -> Evaluator:
    return lambda _: value


def _path(segments: tuple[str | int, ...]) -> Evaluator:
    def evaluate(document: JsonObject) -> Value:
        value: Value = document
        for segment in segments:
            value = _member(value, segment)
        return value

    return evaluate


def _member(value: Value, segment: str | int) -> Value:
    if isinstance(value, dict) and isinstance(segment, str):
        return value.get(segment, UNDEFINED)
    if isinstance(value, list) and isinstance(segment, int) and segment < len(value):
        return value[segment]
    return UNDEFINED


def _comparison(operator: str, left: Evaluator, right: Evaluator) -> Evaluator:
    compare = values.COMPARISONS[operator]
    return lambda document: compare(left(document), right(document))


def _logical(operator: str, left: Evaluator, right: Evaluator) -> Evaluator:
    """Three-valued: undefined loses only where the other side already decides."""
    decides = operator == "OR"

    def evaluate(document: JsonObject) -> Value:
        first = left(document)
        if first is decides or (second := right(document)) is decides:
            return decides
        return not decides if isinstance(first, bool) and isinstance(second, bool) else UNDEFINED

    return evaluate


def _negation(operand: Evaluator) -> Evaluator:
    def evaluate(document: JsonObject) -> Value:
        value = operand(document)
        return not value if isinstance(value, bool) else UNDEFINED

    return evaluate


def _call(name: str, arguments: list[Evaluator]) -> Evaluator:
    function = values.FUNCTIONS[name]
    return lambda document: function(*[argument(document) for argument in arguments])


def _array(elements: list[Evaluator]) -> Evaluator:
    def evaluate(document: JsonObject) -> Value:
        computed = [element(document) for element in elements]
        return [value for value in computed if not isinstance(value, Undefined)]

    return evaluate


def _object(members: list[tuple[str, Evaluator]]) -> Evaluator:
    def evaluate(document: JsonObject) -> Value:
        computed = [(name, member(document)) for name, member in members]
        return {name: value for name, value in computed if not isinstance(value, Undefined)}

    return evaluate

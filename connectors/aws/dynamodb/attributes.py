"""Items between DynamoDB's typed JSON and neutral documents.

The typed JSON is what aiobotocore hands out and takes, of tables and of streams alike: one member per attribute, each
an object with one member that names the type, binary as `bytes`, numbers as text. Numbers stay exact. Errors name the
path of an attribute and never its value, so that bodies reach neither logs nor dead letters.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias, TypeVar

from replicator.documents import Document, Value, number_text

WireItem: TypeAlias = "Mapping[str, Mapping[str, object]]"
"""An item as aiobotocore gives and takes it: `{"name": {"S": "text"}}`."""


Element = TypeVar("Element", str, Decimal, bytes)


class _MalformedError(Exception):
    """What is wrong with a value, and the way to it, collected while the readers return."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []


def read_item(wire: WireItem) -> Document:
    """The document of an item. Raises ValueError, naming the attribute's path, for what DynamoDB would not send."""
    try:
        return _read_map(wire)
    except _MalformedError as error:
        where = ".".join(reversed(error.path)) or "the item"
        raise ValueError(f"{where}: {error.problem}") from None


def write_item(document: Document) -> dict[str, dict[str, object]]:
    """The item of a document, sets sorted. Raises ValueError, naming the attribute, for what DynamoDB cannot hold."""
    wire: dict[str, dict[str, object]] = {}
    for name, value in document.items():
        try:
            wire[name] = _write(value)
        except _MalformedError as error:
            raise ValueError(f"{name}: {error.problem}") from None
    return wire


def _read(typed: object) -> Value:
    if not isinstance(typed, dict) or len(typed) != 1:
        raise _MalformedError("a value is an object with one member that names its type")
    ((kind, content),) = typed.items()
    if kind == "S" and isinstance(content, str):
        return content
    reader = _READERS.get(kind)
    if reader is None:
        raise _MalformedError("the type is none of DynamoDB's")
    return reader(content)


def _read_map(members: object) -> Document:
    if not isinstance(members, dict):
        raise _MalformedError("an object is expected")
    document: Document = {}
    for name, typed in members.items():
        try:
            document[name] = _read(typed)
        except _MalformedError as error:
            error.path.append(str(name))
            raise
    return document


def _read_list(elements: object) -> list[Value]:
    values: list[Value] = []
    for index, typed in enumerate(_list(elements)):
        try:
            values.append(_read(typed))
        except _MalformedError as error:
            error.path.append(str(index))
            raise
    return values


def _read_text(content: object) -> str:
    if isinstance(content, str):
        return content
    raise _MalformedError("text is expected")


def _read_number(content: object) -> Decimal:
    """Exact: construction from text rounds in no context."""
    try:
        number = Decimal(_read_text(content))
    except InvalidOperation:
        raise _MalformedError("not a number") from None
    if not number.is_finite():
        raise _MalformedError("not a finite number")
    return number


def _read_binary(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    raise _MalformedError("bytes are expected")


def _read_bool(content: object) -> bool:
    if isinstance(content, bool):
        return content
    raise _MalformedError("true or false is expected")


def _read_null(content: object) -> None:
    if content is not True:
        raise _MalformedError("a null says true")


def _read_set(content: object, read_element: Callable[[object], Element]) -> frozenset[Element]:
    elements = _list(content)
    if not elements:
        raise _MalformedError("a set has at least one element")
    return frozenset(map(read_element, elements))


def _list(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    raise _MalformedError("a list is expected")


_READERS: Mapping[object, Callable[[object], Value]] = {
    "S": _read_text,
    "N": _read_number,
    "BOOL": _read_bool,
    "M": _read_map,
    "L": _read_list,
    "NULL": _read_null,
    "B": _read_binary,
    "SS": lambda content: _read_set(content, _read_text),
    "NS": lambda content: _read_set(content, _read_number),
    "BS": lambda content: _read_set(content, _read_binary),
}


def _write(value: Value) -> dict[str, object]:
    match value:
        case str():
            return {"S": value}
        case Decimal():
            return {"N": _number(value)}
        case bool():
            return {"BOOL": value}
        case dict():
            return {"M": {name: _write(member) for name, member in value.items()}}
        case list():
            return {"L": [_write(element) for element in value]}
        case None:
            return {"NULL": True}
        case bytes():
            return {"B": value}
        case frozenset():
            return _write_set(value)


def _write_set(elements: Iterable[str | Decimal | bytes]) -> dict[str, object]:
    match list(elements):
        case [str(), *_] as texts:
            return {"SS": sorted(text for text in texts if isinstance(text, str))}
        case [Decimal(), *_] as numbers:
            return {"NS": [_number(n) for n in sorted(n for n in numbers if isinstance(n, Decimal))]}
        case [bytes(), *_] as binaries:
            return {"BS": sorted(binary for binary in binaries if isinstance(binary, bytes))}
    raise _MalformedError("a set has at least one element")


def _number(number: Decimal) -> str:
    if number.is_finite():
        return number_text(number)
    raise _MalformedError("not a finite number")

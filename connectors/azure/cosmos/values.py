"""Single values as plain JSON, and beside them the kinds that JSON cannot tell.

Cosmos keeps every number as an IEEE-754 double. A number is written as one when its value comes back from the double's
shortest text; otherwise it is written as text and marked. Binary is base64, a set a sorted array, both marked.

The marks form a tree shaped like the value: a kind at a leaf, an object of members or of list positions above it, one
member `*` for a list whose elements all have the same marks. What needs no mark is absent, so the tree never outgrows
the value.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeAlias, TypeVar

from replicator.documents import Value, number_text

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""What json.dumps takes and json.loads gives."""

Kinds: TypeAlias = "str | dict[str, Json] | None"
"""The marks of a value: `N`, `B`, `SS`, `NS` or `BS`, or those of its members; None if it needs none."""

Element = TypeVar("Element", str, Decimal, bytes)

EVERY = "*"
"""Stands for every position of a list. Marks of a list are never those of an object, so no name is taken away."""

EXACT_INTEGERS = 2**53
"""Below this size every integer is a double."""

SURE_CHARACTERS = 15
"""A plain decimal of at most this length has no more digits than every double keeps."""


def encode(value: Value) -> tuple[Json, Kinds]:
    """A value as JSON with its marks. Raises ValueError for what no document holds."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, Decimal):
        number = encode_number(value)
        return (number_text(value), "N") if number is None else (number, None)
    if isinstance(value, dict):
        return _encode_map(value)
    if isinstance(value, list):
        return _encode_list(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode(), "B"
    if isinstance(value, frozenset):
        return _encode_set(value)
    return value, None


def decode(written: object, kinds: object) -> Value:
    """The value that `encode` wrote. Raises ValueError, without naming the value, where value and marks disagree."""
    if isinstance(kinds, str):
        return _decode_marked(written, kinds)
    if kinds is None:
        return _decode_plain(written)
    if isinstance(kinds, dict) and isinstance(written, dict):
        return {name: decode(member, kinds.get(name)) for name, member in written.items()}
    if isinstance(kinds, dict) and isinstance(written, list):
        if EVERY in kinds:
            return [decode(element, kinds[EVERY]) for element in written]
        return [decode(element, kinds.get(str(index))) for index, element in enumerate(written)]
    raise ValueError("a value does not have the kind it is marked with")


def encode_number(number: Decimal) -> int | float | None:
    """A number that survives as a double, or None."""
    text = str(number)
    if len(text) <= SURE_CHARACTERS and "E" not in text and number.is_finite():
        sure = float(text)
        return int(sure) if sure.is_integer() else sure
    if not number.is_finite():
        raise ValueError("a number is neither infinite nor NaN")
    if -EXACT_INTEGERS < number < EXACT_INTEGERS and number == int(number):
        return int(number)
    double = float(number)
    return double if Decimal(repr(double)) == number else None


def decode_number(number: float) -> Decimal:
    """The value of a JSON number, whatever text the service gave its double."""
    if isinstance(number, int) and -EXACT_INTEGERS < number < EXACT_INTEGERS:
        return Decimal(number)
    try:
        exact = Decimal(repr(float(number)))
    except OverflowError:
        raise ValueError("a number is beyond every double") from None
    if exact.is_finite():
        return exact
    raise ValueError("a number is neither infinite nor NaN")


def _encode_map(members: dict[str, Value]) -> tuple[Json, Kinds]:
    written: dict[str, Json] = {}
    kinds: dict[str, Json] = {}
    for name, member in members.items():
        written[name], kind = encode(member)
        if kind is not None:
            kinds[name] = kind
    return written, kinds or None


def _encode_list(elements: list[Value]) -> tuple[Json, Kinds]:
    pairs = [encode(element) for element in elements]
    written: list[Json] = [pair[0] for pair in pairs]
    kinds: dict[str, Json] = {str(index): kind for index, (_, kind) in enumerate(pairs) if kind is not None}
    if not kinds:
        return written, None
    first = pairs[0][1]
    if all(kind == first for _, kind in pairs):
        return written, {EVERY: first}
    return written, kinds


def _encode_set(elements: Iterable[str | Decimal | bytes]) -> tuple[Json, Kinds]:
    match list(elements):
        case [str(), *_] as texts:
            return [*sorted(text for text in texts if isinstance(text, str))], "SS"
        case [bytes(), *_] as binaries:
            ordered = sorted(binary for binary in binaries if isinstance(binary, bytes))
            return [base64.b64encode(binary).decode() for binary in ordered], "BS"
        case [Decimal(), *_] as numbers:
            return _encode_numbers(sorted(number for number in numbers if isinstance(number, Decimal))), "NS"
    raise ValueError("a set has at least one element")


def _encode_numbers(numbers: list[Decimal]) -> list[Json]:
    """All as JSON numbers, or all as text if one would not survive: an array reads best with one kind in it."""
    doubles: list[Json] = [encode_number(number) for number in numbers]
    if None in doubles:
        return [number_text(number) for number in numbers]
    return doubles


def _decode_plain(written: object) -> Value:
    if isinstance(written, str | bool | None):
        return written
    if isinstance(written, int | float):
        return decode_number(written)
    if isinstance(written, dict):
        return {name: _decode_plain(member) for name, member in written.items()}
    if isinstance(written, list):
        return [_decode_plain(element) for element in written]
    raise ValueError("a value is not JSON")


def _decode_marked(written: object, kind: str) -> Value:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ValueError("a value is marked with an unknown kind")
    return decoder(written)


def _decode_text(written: object) -> str:
    if isinstance(written, str):
        return written
    raise ValueError("a value does not have the kind it is marked with")


def _decode_exact(written: object) -> Decimal:
    try:
        number = Decimal(_decode_text(written))
    except InvalidOperation:
        raise ValueError("a value marked as a number is none") from None
    if number.is_finite():
        return number
    raise ValueError("a number is neither infinite nor NaN")


def _decode_binary(written: object) -> bytes:
    try:
        return base64.b64decode(_decode_text(written), validate=True)
    except binascii.Error:
        raise ValueError("a value marked as binary is not base64") from None


def _decode_member(written: object) -> Decimal:
    if isinstance(written, int | float) and not isinstance(written, bool):
        return decode_number(written)
    return _decode_exact(written)


def _decode_set(written: object, decode_element: Callable[[object], Element]) -> frozenset[Element]:
    if not isinstance(written, list) or not written:
        raise ValueError("a set is not written as an array of at least one element")
    elements = frozenset(map(decode_element, written))
    if len(elements) < len(written):
        raise ValueError("a set holds an element twice")
    return elements


_DECODERS: Mapping[str, Callable[[object], Value]] = {
    "N": _decode_exact,
    "B": _decode_binary,
    "SS": lambda written: _decode_set(written, _decode_text),
    "NS": lambda written: _decode_set(written, _decode_member),
    "BS": lambda written: _decode_set(written, _decode_binary),
}

"""Documents as the engine carries them: plain Python values that no cloud owns.

A source turns its wire format into these, a target turns them into its own; the text of a key and the digest of a body
are defined here once, so that both sides of a pipeline, verification and repair speak of the same record.
"""

import base64
import hashlib
import json
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Value: TypeAlias = (
    "str | Decimal | bytes | bool | list[Value] | dict[str, Value]"
    " | frozenset[str] | frozenset[Decimal] | frozenset[bytes] | None"
)
"""One attribute. Numbers are exact decimals of up to 38 digits; sets are never empty and hold one kind."""

Document: TypeAlias = dict[str, Value]
"""The attributes of one record by name."""

KEY_KINDS = (str, Decimal, bytes)
"""What a key attribute may be."""

PLAIN_ZEROS = 20
"""Numbers with an exponent of at most this size are written without one."""

SHORT_CHARACTERS = 19
"""A number whose own text is at most this long and has no exponent is written plainly in any case."""


def key_text(attributes: Document) -> str:
    """The canonical text of a record's key, equal exactly when the keys are: JSON, names sorted, types marked.

    `attributes` holds the key attributes alone. Raises TypeError for a value that cannot be part of a key.
    """
    return json.dumps(
        {name: _key_part(attributes[name]) for name in sorted(attributes)},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def parse_key(text: str) -> Document:
    """The key attributes that `key_text` wrote. Raises ValueError for any other text."""
    match json.loads(text):
        case dict() as parts:
            return {name: _parse_key_part(part) for name, part in parts.items()}
    raise ValueError("not the text of a key: no JSON object")


def number_text(number: Decimal) -> str:
    """The one text of a number's value, plain where that stays short: 1, 1.0 and 1E0 all give 1."""
    text = str(number)
    if len(text) <= SHORT_CHARACTERS and "E" not in text and number.is_finite():
        plain = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if plain == "-0" else plain
    if number == 0:
        return "0"
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "neither infinite nor NaN"  # noqa: S101 — documents hold no others
    significant = "".join(map(str, digits)).strip("0")
    exponent += len(digits) - len("".join(map(str, digits)).rstrip("0"))
    minus = "-" if sign else ""
    if 0 <= exponent <= PLAIN_ZEROS:
        return minus + significant + "0" * exponent
    if -PLAIN_ZEROS <= exponent < 0:
        padded = significant.rjust(1 - exponent, "0")
        return f"{minus}{padded[:exponent]}.{padded[exponent:]}"
    return f"{minus}{significant}E{exponent}"


def digest(document: Document) -> str:
    """A digest of a document's value, equal for documents that are equal: 32 hexadecimal digits of BLAKE2b."""
    parts: list[str] = []
    _write_map(parts, document)
    return hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest()


def body_text(document: Document) -> str:
    """A document for people, as JSON: what JSON has no kind for is marked as in `key_text`, a set by its kind."""
    return json.dumps(document, default=_marked, ensure_ascii=False)


def _marked(value: object) -> object:
    match value:
        case Decimal():
            return {"N": number_text(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case frozenset():
            return {"set": sorted(map(str, value))}
    raise TypeError(f"no value of a document: {type(value).__name__}")


def _key_part(value: Value) -> str | dict[str, str]:
    match value:
        case str():
            return value
        case Decimal():
            return {"N": number_text(value)}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
    raise TypeError(f"a {type(value).__name__} cannot be part of a key")


def _parse_key_part(part: object) -> Value:
    match part:
        case str():
            return part
        case {"N": str(number)}:
            return _parse_number(number)
        case {"B": str(encoded)}:
            return base64.b64decode(encoded, validate=True)
    raise ValueError("not the text of a key: an attribute is neither text, number nor binary")


def _parse_number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("not the text of a key: a number is none") from None
    if not number.is_finite():
        raise ValueError("not the text of a key: a number is not finite")
    return number


def _write(parts: list[str], value: Value) -> None:
    """Appends an unambiguous text: a letter for the kind, then content of known length or up to a semicolon."""
    if isinstance(value, str):
        parts.append(f"s{len(value)}:{value}")
    elif isinstance(value, Decimal):
        parts.append(f"n{number_text(value)};")
    elif isinstance(value, dict):
        _write_map(parts, value)
    elif isinstance(value, list):
        parts.append(f"l{len(value)}:")
        for element in value:
            _write(parts, element)
    elif isinstance(value, bool):
        parts.append("t" if value else "f")
    elif value is None:
        parts.append("0")
    elif isinstance(value, bytes):
        parts.append(f"b{value.hex()};")
    else:
        _write_set(parts, value)


def _write_map(parts: list[str], value: Document) -> None:
    parts.append(f"m{len(value)}:")
    for name in sorted(value):
        parts.append(f"{len(name)}:{name}")
        _write(parts, value[name])


def _write_set(parts: list[str], value: frozenset[str] | frozenset[Decimal] | frozenset[bytes]) -> None:
    elements: list[str] = []
    for element in value:
        _write(elements, element)
    parts.append(f"S{len(elements)}:")
    parts.extend(sorted(elements))

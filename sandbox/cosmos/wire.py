"""JSON as the service keeps it: UTF-8, numbers as IEEE-754 doubles, nothing but JSON.

Integers beyond 2^53 come back as the nearest double and long decimals rounded, so that a test can
see what the service would lose. NaN, infinities, lone surrogates and over-deep nesting are refused.
"""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

from sandbox.cosmos.errors import bad_request

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

EXACT_INTEGER = 2**53
MAX_NESTING = 128


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _as_double(digits: str) -> int | float:
    value = int(digits)
    return value if -EXACT_INTEGER <= value <= EXACT_INTEGER else float(digits)


_decode = json.JSONDecoder(parse_constant=_refuse, parse_int=_as_double).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def parse(body: bytes | str) -> Json:
    """Parse a request body, rounding numbers to doubles; 400 for anything that is not JSON."""
    try:
        value: Json = _decode(body.decode() if isinstance(body, bytes) else body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The request payload is not valid JSON: {error}") from error
    return value


def parse_object(body: bytes | str) -> JsonObject:
    """Parse a body that must be a JSON object; 400 otherwise."""
    value = parse(body)
    if not isinstance(value, dict):
        raise bad_request("The request payload must be a JSON object.")
    return value


def encode(value: Json) -> bytes:
    """Compact UTF-8 JSON.

    Raises CosmosError 400 for what has no stored form: an infinity (a number beyond the range of a
    double), a lone surrogate, or more than 128 levels.
    """
    try:
        body = _encode(value).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The request payload cannot be stored as JSON: {error}") from error
    if body.count(b"{") + body.count(b"[") > MAX_NESTING and _depth(value) > MAX_NESTING:
        raise bad_request(f"The request payload is nested deeper than {MAX_NESTING} levels.")
    return body


def stored(body: bytes) -> JsonObject:
    """Parse JSON that this server wrote itself."""
    value: JsonObject = json.loads(body)
    return value


def _depth(value: Json) -> int:
    deepest = 0
    pending: list[tuple[Json, int]] = [(value, 1)]
    while pending:
        current, level = pending.pop()
        if isinstance(current, dict | list):
            deepest = max(deepest, level)
            children = current.values() if isinstance(current, dict) else current
            pending += [(child, level + 1) for child in children]
    return deepest

"""AMQP values to bytes, in their most compact form."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sandbox.servicebus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Decimal128,
    Described,
    Float,
    Int,
    Long,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.amqp.types import Value

_DESCRIBED: Final = b"\x00"
_NULL: Final = b"\x40"

_NUMBERS: Final[dict[type, tuple[int, struct.Struct]]] = {
    UByte: (0x50, struct.Struct(">B")),
    Byte: (0x51, struct.Struct(">b")),
    UShort: (0x60, struct.Struct(">H")),
    Short: (0x61, struct.Struct(">h")),
    UInt: (0x70, struct.Struct(">I")),
    Int: (0x71, struct.Struct(">i")),
    Float: (0x72, struct.Struct(">f")),
    Char: (0x73, struct.Struct(">I")),
    ULong: (0x80, struct.Struct(">Q")),
    Long: (0x81, struct.Struct(">q")),
    float: (0x82, struct.Struct(">d")),
    Timestamp: (0x83, struct.Struct(">q")),
}
_SMALL: Final[dict[type, tuple[int, range]]] = {
    UInt: (0x52, range(256)),
    ULong: (0x53, range(256)),
    Int: (0x54, range(-128, 128)),
    Long: (0x55, range(-128, 128)),
}
_ZERO: Final[dict[type, bytes]] = {UInt: b"\x43", ULong: b"\x44"}
_FIXED: Final[dict[type, int]] = {Decimal32: 0x74, Decimal64: 0x84, Decimal128: 0x94}
_VARIABLE: Final[dict[type, int]] = {bytes: 0xA0, str: 0xA1, Symbol: 0xA3}
_LONG_FORM: Final = 0x10
"""Between the code of a form with one byte of length and that with four."""


def encode(value: Value) -> bytes:
    """The bytes of a value. Raises TypeError for what has no AMQP type, ValueError for a number out of range."""
    kind = type(value)
    plain = _ENCODERS.get(kind)
    if plain is None:
        raise TypeError(f"{kind.__name__} has no AMQP type: {value!r}")
    try:
        return plain(value)
    except struct.error as error:
        raise ValueError(f"{value!r} is no {kind.__name__}") from error


def _number(value: float) -> bytes:
    kind = type(value)
    if value == 0 and kind in _ZERO:
        return _ZERO[kind]
    small = _SMALL.get(kind)
    if small is not None and value in small[1]:
        return bytes((small[0], int(value) & 0xFF))
    code, form = _NUMBERS[kind]
    return bytes((code,)) + form.pack(value)


def _fixed(value: bytes) -> bytes:
    return bytes((_FIXED[type(value)],)) + value


def _octets(value: bytes | str) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else value


def _variable(value: bytes | str) -> bytes:
    code, octets = _VARIABLE[type(value)], _octets(value)
    if len(octets) < 256:
        return bytes((code, len(octets))) + octets
    return struct.pack(">BI", code + _LONG_FORM, len(octets)) + octets


def _compound(code: int, items: list[bytes]) -> bytes:
    """Size, count and items; `code` is that of the short form."""
    body = b"".join(items)
    if len(body) < 255 and len(items) < 256:
        return bytes((code, len(body) + 1, len(items))) + body
    return struct.pack(">BII", code + _LONG_FORM, len(body) + 4, len(items)) + body


def _list(value: list[Value]) -> bytes:
    return _compound(0xC0, [encode(item) for item in value]) if value else b"\x45"


def _map(value: dict[Value, Value]) -> bytes:
    return _compound(0xC1, [encode(part) for entry in value.items() for part in entry])


def _array(value: Array) -> bytes:
    if not value:
        return b"\xe0\x01\x00"
    constructor = _constructor(value[0])
    if any(_constructor(item) != constructor for item in value):
        raise TypeError(f"the elements of an array are of one type: {value!r}")
    body = constructor + b"".join([_bare(item) for item in value])
    return struct.pack(">BII", 0xF0, len(body) + 4, len(value)) + body


def _constructor(value: Value) -> bytes:
    """What stands before the elements of an array that begins with this one; always the long form."""
    if isinstance(value, Described):
        return _DESCRIBED + encode(value.descriptor) + _constructor(value.value)
    kind = type(value)
    if kind in _VARIABLE:
        return bytes((_VARIABLE[kind] + _LONG_FORM,))
    code = _ELEMENT_CODES.get(kind)
    if code is None:
        raise TypeError(f"{kind.__name__} has no AMQP type: {value!r}")
    return bytes((code,))


def _bare(value: Value) -> bytes:
    """An element of an array, without its constructor, as the long form has it."""
    if isinstance(value, Described):
        return _bare(value.value)
    kind = type(value)
    if kind in _NUMBERS:
        return _NUMBERS[kind][1].pack(value)
    if kind in _VARIABLE:
        octets = _octets(value)  # type: ignore[arg-type]
        return struct.pack(">I", len(octets)) + octets
    if kind is bool:
        return b"\x01" if value else b"\x00"
    if isinstance(value, Array):
        return _bare_array(value)
    if isinstance(value, list | dict):
        return _bare_compound(value)
    return encode(value)[1:]


def _bare_compound(value: list[Value] | dict[Value, Value]) -> bytes:
    parts = value if isinstance(value, list) else [part for entry in value.items() for part in entry]
    body = b"".join([encode(part) for part in parts])
    return struct.pack(">II", len(body) + 4, len(parts)) + body


def _bare_array(value: Array) -> bytes:
    encoded = _array(value)
    return encoded[1:] if value else b"\x00\x00\x00\x04\x00\x00\x00\x00"


_ELEMENT_CODES: Final[dict[type, int]] = {
    **{kind: code for kind, (code, _) in _NUMBERS.items()},
    **_FIXED,
    type(None): 0x40,
    bool: 0x56,
    UUID: 0x98,
    list: 0xD0,
    dict: 0xD1,
    Array: 0xF0,
}
_ENCODERS: Final[dict[type, Callable[..., bytes]]] = {
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_FIXED, _fixed),
    **dict.fromkeys(_VARIABLE, _variable),
    type(None): lambda _: _NULL,
    bool: lambda value: b"\x41" if value else b"\x42",
    UUID: lambda value: b"\x98" + value.bytes,
    list: _list,
    dict: _map,
    Array: _array,
    Described: lambda value: _DESCRIBED + encode(value.descriptor) + encode(value.value),
}

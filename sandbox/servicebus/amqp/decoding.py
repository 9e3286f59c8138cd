"""Bytes to AMQP values."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final
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

MAX_DEPTH: Final = 60
MAX_COUNT: Final = 100_000


class DecodeError(ValueError):
    """The bytes are no AMQP."""


def decode(data: bytes, at: int = 0) -> tuple[Value, int]:
    """The value that begins at this position, and the position after it. Raises DecodeError."""
    try:
        return _value(data, at, 0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
        raise DecodeError(f"at byte {at}: {error}") from error


def skip(data: bytes, at: int) -> int:
    """The position after the value that begins here, found without reading what is in it. Raises DecodeError."""
    try:
        code = data[at]
        if code == 0:
            return skip(data, skip(data, at + 1))
        width = _WIDTHS[code >> 4]
        after = at + 1 + (width if width >= 0 else -width + int.from_bytes(data[at + 1 : at + 1 - width]))
    except (IndexError, KeyError) as error:
        raise DecodeError(f"at byte {at}: {error}") from error
    if after > len(data):
        raise DecodeError(f"at byte {at}: the data ends inside a value")
    return after


_WIDTHS: Final = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16} | {
    group: -1 if group % 2 == 0 else -4 for group in range(0xA, 0x10)
}
"""Bytes after a constructor by its upper half; negative: that many bytes of length come first."""


def _value(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    code = data[at]
    if code == 0:
        descriptor, at = _value(data, at + 1, depth + 1)
        value, at = _value(data, at, _deeper(depth))
        return Described(descriptor, value), at
    return _bare(code, data, at + 1, depth)


def _bare(code: int, data: bytes, at: int, depth: int) -> tuple[Value, int]:
    """The value whose constructor was `code`, without it."""
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    if code == 0x45:
        return [], at
    number = _NUMBERS.get(code)
    if number is not None:
        kind, form = number
        return kind(form.unpack_from(data, at)[0]), at + form.size
    variable = _VARIABLE.get(code)
    if variable is not None:
        return _octets(data, at, *variable)
    compound = _COMPOUND.get(code)
    if compound is not None:
        return _items(compound[0], data, at, compound[1], _deeper(depth))
    raise DecodeError(f"0x{code:02x} is no constructor")


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise DecodeError(f"nested deeper than {MAX_DEPTH} levels")
    return depth + 1


def _octets(data: bytes, at: int, kind: Callable[[bytes], Value], length: struct.Struct) -> tuple[Value, int]:
    size = length.unpack_from(data, at)[0]
    begin = at + length.size
    if begin + size > len(data):
        raise DecodeError(f"at byte {at}: the data ends inside a value")
    return kind(data[begin : begin + size]), begin + size


def _items(
    read: Callable[[bytes, int, int, int], tuple[Value, int]],
    data: bytes,
    at: int,
    width: struct.Struct,
    depth: int,
) -> tuple[Value, int]:
    """A list, map or array: size, count, then `count` items, which must fill that size."""
    size, count = width.unpack_from(data, at)
    end = at + width.size // 2 + size
    if count > MAX_COUNT or end > len(data):
        raise DecodeError(f"at byte {at}: {count} items of {size} bytes")
    value, after = read(data, at + width.size, count, depth)
    if after != end and count:
        raise DecodeError(f"at byte {at}: {count} items do not take {size} bytes")
    return value, end


def _list(data: bytes, at: int, count: int, depth: int) -> tuple[Value, int]:
    items: list[Value] = []
    for _ in range(count):
        item, at = _value(data, at, depth)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[Value, int]:
    parts, at = _list(data, at, count, depth)
    assert isinstance(parts, list)  # noqa: S101 -- what _list returns
    entries = dict(zip(parts[::2], parts[1::2], strict=False))
    if len(entries) * 2 != count:
        raise DecodeError("a map has a key without value, or two equal keys")
    return entries, at


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[Value, int]:
    if not count:
        return Array(), at
    descriptors: list[Value] = []
    while data[at] == 0:
        descriptor, at = _value(data, at + 1, _deeper(depth))
        descriptors.insert(0, descriptor)
    code = data[at]
    at += 1
    items = Array()
    for _ in range(count):
        item, at = _bare(code, data, at, depth)
        for descriptor in descriptors:
            item = Described(descriptor, item)
        items.append(item)
    return items, at


def _boolean(octet: int) -> bool:
    return octet != 0


def _text(octets: bytes) -> str:
    return octets.decode("utf-8")


def _symbol(octets: bytes) -> Symbol:
    return Symbol(octets.decode("utf-8"))


def _uuid(octets: bytes) -> UUID:
    return UUID(bytes=octets)


_CONSTANTS: Final[dict[int, Value]] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}
_NUMBERS: Final[dict[int, tuple[Callable[[Any], Value], struct.Struct]]] = {
    0x50: (UByte, struct.Struct(">B")),
    0x51: (Byte, struct.Struct(">b")),
    0x52: (UInt, struct.Struct(">B")),
    0x53: (ULong, struct.Struct(">B")),
    0x54: (Int, struct.Struct(">b")),
    0x55: (Long, struct.Struct(">b")),
    0x56: (_boolean, struct.Struct(">B")),
    0x60: (UShort, struct.Struct(">H")),
    0x61: (Short, struct.Struct(">h")),
    0x70: (UInt, struct.Struct(">I")),
    0x71: (Int, struct.Struct(">i")),
    0x72: (Float, struct.Struct(">f")),
    0x73: (Char, struct.Struct(">I")),
    0x74: (Decimal32, struct.Struct(">4s")),
    0x80: (ULong, struct.Struct(">Q")),
    0x81: (Long, struct.Struct(">q")),
    0x82: (float, struct.Struct(">d")),
    0x83: (Timestamp, struct.Struct(">q")),
    0x84: (Decimal64, struct.Struct(">8s")),
    0x94: (Decimal128, struct.Struct(">16s")),
    0x98: (_uuid, struct.Struct(">16s")),
}
_ONE: Final = struct.Struct(">B")
_FOUR: Final = struct.Struct(">I")
_VARIABLE: Final[dict[int, tuple[Callable[[bytes], Value], struct.Struct]]] = {
    0xA0: (bytes, _ONE),
    0xA1: (_text, _ONE),
    0xA3: (_symbol, _ONE),
    0xB0: (bytes, _FOUR),
    0xB1: (_text, _FOUR),
    0xB3: (_symbol, _FOUR),
}
_SHORT: Final = struct.Struct(">BB")
_LONG: Final = struct.Struct(">II")
_COMPOUND: Final[dict[int, tuple[Callable[[bytes, int, int, int], tuple[Value, int]], struct.Struct]]] = {
    0xC0: (_list, _SHORT),
    0xC1: (_map, _SHORT),
    0xD0: (_list, _LONG),
    0xD1: (_map, _LONG),
    0xE0: (_array, _SHORT),
    0xF0: (_array, _LONG),
}

"""AMQP's types as Python values, each in a class of its own, so that what is read is written with the same type.

Python's own None, bool, str, bytes, float (a double), UUID, list and dict stand for themselves. A plain int has no
AMQP type and is refused when it is encoded: say which integer it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID


class UByte(int):
    """Unsigned, 8 bits."""


class UShort(int):
    """Unsigned, 16 bits."""


class UInt(int):
    """Unsigned, 32 bits."""


class ULong(int):
    """Unsigned, 64 bits."""


class Byte(int):
    """Signed, 8 bits."""


class Short(int):
    """Signed, 16 bits."""


class Int(int):
    """Signed, 32 bits."""


class Long(int):
    """Signed, 64 bits."""


class Timestamp(int):
    """Milliseconds since the epoch."""


class Char(int):
    """A Unicode code point."""


class Float(float):
    """Binary floating point of 32 bits."""


class Decimal32(bytes):
    """Decimal floating point, its 4 bytes."""


class Decimal64(bytes):
    """Decimal floating point, its 8 bytes."""


class Decimal128(bytes):
    """Decimal floating point, its 16 bytes."""


class Symbol(str):
    """Text in ASCII from a restricted domain."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    descriptor: Value
    value: Value


class Array(list["Value"]):
    """Values of one type: the constructor, given once on the wire, is the first element's.

    Elements may all be Described with one descriptor. An empty array is written as one of nulls.
    """

    __slots__ = ()


Value: TypeAlias = "bool | int | float | str | bytes | UUID | list[Value] | dict[Value, Value] | Described | None"

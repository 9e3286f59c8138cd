"""Described lists, and those that stand inside performatives: ends of links, errors, outcomes of deliveries.

A composite is a list on the wire, its fields in order. `kinds` gives each field the type that it is written with and
must have when it is read; None is any. Absent and null fields have their default here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias, cast

from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.types import Described, Symbol, UInt, ULong

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.types import Value

Kinds: TypeAlias = "tuple[type[Any] | None, ...]"


@dataclass(slots=True)
class Composite:
    """A described list. Subclasses say its descriptor and its fields."""

    code: ClassVar[int]
    kinds: ClassVar[Kinds]

    def described(self) -> Described:
        """As a value to encode; every field is present, since some peers index nested ones without looking."""
        values = [getattr(self, name) for name in _names(type(self))]
        written = [
            item.described() if isinstance(item, Composite) else kind(item) if kind and item is not None else item
            for kind, item in zip(self.kinds, values, strict=True)
        ]
        return Described(ULong(self.code), written)

    @classmethod
    def is_meant(cls, value: Described) -> bool:
        """Whether its descriptor is this composite's, as a number or as a symbol."""
        descriptor = value.descriptor
        if isinstance(descriptor, ULong):
            return descriptor == cls.code
        return isinstance(descriptor, Symbol) and descriptor == SYMBOLIC.get(cls.code)

    @classmethod
    def of(cls, value: Value | Composite) -> Self:
        """What was decoded, as this composite. Raises DecodeError if it is another one."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, Described) or not cls.is_meant(value):
            raise DecodeError(f"expected {cls.__name__}, not {value!r:.100}")
        items = value.value
        names = _names(cls)
        if not isinstance(items, list) or len(items) > len(names):
            raise DecodeError(f"{cls.__name__} with {items!r:.100}")
        given = {}
        for name, kind, item in zip(names, cls.kinds, items, strict=False):
            if item is not None:
                if kind is not None and not isinstance(item, kind):
                    raise DecodeError(f"{cls.__name__}: {name} is of type {kind.__name__}, not {item!r:.100}")
                given[name] = item
        try:
            return cls(**given)
        except TypeError as error:
            raise DecodeError(f"{cls.__name__}: {error}") from error


_NAMES: Final[dict[type, tuple[str, ...]]] = {}


def _names(kind: type[Composite]) -> tuple[str, ...]:
    if kind not in _NAMES:
        _NAMES[kind] = tuple(field.name for field in fields(kind))
    return _NAMES[kind]


@dataclass(slots=True)
class Error(Composite):
    """Why something was refused or ended."""

    code = 0x1D
    kinds = (Symbol, str, dict)
    condition: str
    description: str | None = None
    info: dict[Value, Value] | None = None


@dataclass(slots=True)
class Source(Composite):
    """Where a link's messages come from."""

    code = 0x28
    kinds = (None, UInt, Symbol, UInt, bool, None, Symbol, dict, None, None, None)
    address: Value = None
    durable: int = 0
    expiry_policy: str | None = None
    timeout: int = 0
    dynamic: bool = False
    dynamic_node_properties: Value = None
    distribution_mode: str | None = None
    filter: dict[Value, Value] | None = None
    default_outcome: Value = None
    outcomes: Value = None
    capabilities: Value = None


@dataclass(slots=True)
class Target(Composite):
    """Where a link's messages go."""

    code = 0x29
    kinds = (None, UInt, Symbol, UInt, bool, None, None)
    address: Value = None
    durable: int = 0
    expiry_policy: str | None = None
    timeout: int = 0
    dynamic: bool = False
    dynamic_node_properties: Value = None
    capabilities: Value = None


@dataclass(slots=True)
class Accepted(Composite):
    """A message was taken."""

    code = 0x24
    kinds = ()


@dataclass(slots=True)
class Rejected(Composite):
    """A message is not acceptable."""

    code = 0x25
    kinds = (None,)
    error: Value | Error = None


@dataclass(slots=True)
class Released(Composite):
    """A message was given back untouched."""

    code = 0x26
    kinds = ()


@dataclass(slots=True)
class Modified(Composite):
    """A message was given back, changed."""

    code = 0x27
    kinds = (bool, bool, dict)
    delivery_failed: bool = False
    undeliverable_here: bool = False
    message_annotations: dict[Value, Value] | None = None


Outcome: TypeAlias = "Accepted | Rejected | Released | Modified"
SYMBOLIC: Final[dict[int, str]] = {
    0x1D: "amqp:error:list",
    0x24: "amqp:accepted:list",
    0x25: "amqp:rejected:list",
    0x26: "amqp:released:list",
    0x27: "amqp:modified:list",
    0x28: "amqp:source:list",
    0x29: "amqp:target:list",
}
"""Descriptors may be symbols too, and some peers write outcomes so."""

_OUTCOMES: Final[tuple[type[Composite], ...]] = (Accepted, Rejected, Released, Modified)


def outcome(state: Value | Composite) -> Outcome | None:
    """A delivery's terminal state; None if it is not one."""
    for kind in _OUTCOMES:
        if isinstance(state, Described) and kind.is_meant(state):
            return cast("Outcome", kind.of(state))
    return None

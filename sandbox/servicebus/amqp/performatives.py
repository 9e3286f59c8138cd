"""What frames say, and the described types they are made of.

A composite is a list on the wire, its fields in order. `kinds` gives each field the type that it is written with and
must have when it is read; None is any. Absent and null fields have their default here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias, cast

from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.types import Described, Symbol, UByte, UInt, ULong, UShort

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.types import Value

Kinds: TypeAlias = "tuple[type[Any] | None, ...]"
SENDER: Final = False
RECEIVER: Final = True


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
class Open(Composite):
    """Begins a connection."""

    code = 0x10
    kinds = (str, str, UInt, UShort, UInt, None, None, None, None, dict)
    container_id: str
    hostname: str | None = None
    max_frame_size: int = 0xFFFFFFFF
    channel_max: int = 0xFFFF
    idle_time_out: int | None = None
    outgoing_locales: Value = None
    incoming_locales: Value = None
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[Value, Value] | None = None


@dataclass(slots=True)
class Begin(Composite):
    """Begins a session."""

    code = 0x11
    kinds = (UShort, UInt, UInt, UInt, UInt, None, None, dict)
    remote_channel: int | None = None
    next_outgoing_id: int = 0
    incoming_window: int = 0
    outgoing_window: int = 0
    handle_max: int = 0xFFFFFFFF
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[Value, Value] | None = None


@dataclass(slots=True)
class Attach(Composite):
    """Attaches a link. `source` and `target` are Source and Target as decoded, or null in a refusal."""

    code = 0x12
    kinds = (str, UInt, bool, UByte, UByte, None, None, None, bool, UInt, ULong, None, None, dict)
    name: str
    handle: int
    role: bool
    snd_settle_mode: int = 2
    rcv_settle_mode: int = 0
    source: Value | Source = None
    target: Value | Target = None
    unsettled: Value = None
    incomplete_unsettled: bool = False
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: dict[Value, Value] | None = None


@dataclass(slots=True)
class Flow(Composite):
    """Updates windows, and with a handle the credit of a link."""

    code = 0x13
    kinds = (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt, bool, bool, dict)
    next_incoming_id: int | None = None
    incoming_window: int = 0
    next_outgoing_id: int = 0
    outgoing_window: int = 0
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool = False
    echo: bool = False
    properties: dict[Value, Value] | None = None


@dataclass(slots=True)
class Transfer(Composite):
    """Carries a message, or a part of one; the message itself follows in the frame."""

    code = 0x14
    kinds = (UInt, UInt, bytes, UInt, bool, bool, UByte, None, bool, bool, bool)
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: int | None = None
    state: Value = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@dataclass(slots=True)
class Disposition(Composite):
    """Says what became of deliveries."""

    code = 0x15
    kinds = (bool, UInt, UInt, bool, None, bool)
    role: bool
    first: int
    last: int | None = None
    settled: bool = False
    state: Value | Composite = None
    batchable: bool = False


@dataclass(slots=True)
class Detach(Composite):
    """Detaches a link."""

    code = 0x16
    kinds = (UInt, bool, None)
    handle: int
    closed: bool = False
    error: Value | Error = None


@dataclass(slots=True)
class End(Composite):
    """Ends a session."""

    code = 0x17
    kinds = (None,)
    error: Value | Error = None


@dataclass(slots=True)
class Close(Composite):
    """Ends a connection."""

    code = 0x18
    kinds = (None,)
    error: Value | Error = None


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


@dataclass(slots=True)
class SaslMechanisms(Composite):
    """What the server understands."""

    code = 0x40
    kinds = (None,)
    mechanisms: Value


@dataclass(slots=True)
class SaslInit(Composite):
    """What the client chose."""

    code = 0x41
    kinds = (Symbol, bytes, str)
    mechanism: str
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True)
class SaslOutcome(Composite):
    """Whether it may go on; 0 is yes."""

    code = 0x44
    kinds = (UByte, bytes)
    outcome: int
    additional_data: bytes | None = None


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

_PERFORMATIVES: Final[dict[int, type[Composite]]] = {
    kind.code: kind for kind in (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, SaslInit)
}
_OUTCOMES: Final[tuple[type[Composite], ...]] = (Accepted, Rejected, Released, Modified)


def performative(value: Value) -> Composite:
    """The body of a frame. Raises DecodeError if it is none that a client sends."""
    if isinstance(value, Described) and isinstance(value.descriptor, ULong):
        kind = _PERFORMATIVES.get(value.descriptor)
        if kind is not None:
            return kind.of(value)
    raise DecodeError(f"no performative: {value!r:.100}")


def outcome(state: Value | Composite) -> Outcome | None:
    """A delivery's terminal state; None if it is not one."""
    for kind in _OUTCOMES:
        if isinstance(state, Described) and kind.is_meant(state):
            return cast("Outcome", kind.of(state))
    return None

"""What frames say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Composite, Error, Source, Target
from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.types import Described, Symbol, UByte, UInt, ULong, UShort

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.types import Value

SENDER: Final = False
RECEIVER: Final = True


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


_PERFORMATIVES: Final[dict[int, type[Composite]]] = {
    kind.code: kind for kind in (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, SaslInit)
}


def performative(value: Value) -> Composite:
    """The body of a frame. Raises DecodeError if it is none that a client sends."""
    if isinstance(value, Described) and isinstance(value.descriptor, ULong):
        kind = _PERFORMATIVES.get(value.descriptor)
        if kind is not None:
            return kind.of(value)
    raise DecodeError(f"no performative: {value!r:.100}")

"""The sections of a message.

What a broker neither reads nor changes stays the bytes that the sender wrote: properties, application properties,
body and footer. So they reach the receiver with every type as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Composite
from sandbox.servicebus.amqp.decoding import DecodeError, decode, skip
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.types import Described, Symbol, Timestamp, UByte, UInt, ULong

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.types import Value

BATCH_FORMAT: Final = 0x80013700
"""The message format whose data sections are messages of their own."""

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
SEQUENCE: Final = 0x76
VALUE: Final = 0x77
FOOTER: Final = 0x78

_SYMBOLS: Final[dict[str, int]] = {
    "amqp:header:list": HEADER,
    "amqp:delivery-annotations:map": DELIVERY_ANNOTATIONS,
    "amqp:message-annotations:map": MESSAGE_ANNOTATIONS,
    "amqp:properties:list": PROPERTIES,
    "amqp:application-properties:map": APPLICATION_PROPERTIES,
    "amqp:data:binary": DATA,
    "amqp:amqp-sequence:list": SEQUENCE,
    "amqp:amqp-value:*": VALUE,
    "amqp:footer:map": FOOTER,
}


@dataclass(slots=True)
class Header(Composite):
    """Delivery details. `ttl` is in milliseconds, `delivery_count` counts earlier deliveries that failed."""

    code = HEADER
    kinds = (bool, UByte, UInt, bool, UInt)
    durable: bool | None = None
    priority: int | None = None
    ttl: int | None = None
    first_acquirer: bool | None = None
    delivery_count: int | None = None


@dataclass(slots=True)
class Properties(Composite):
    """The properties that AMQP itself knows."""

    code = PROPERTIES
    kinds = (None, bytes, None, str, None, None, Symbol, Symbol, Timestamp, Timestamp, str, UInt, str)
    message_id: Value = None
    user_id: Value = None
    to: Value = None
    subject: Value = None
    reply_to: Value = None
    correlation_id: Value = None
    content_type: str | None = None
    content_encoding: str | None = None
    absolute_expiry_time: int | None = None
    creation_time: int | None = None
    group_id: str | None = None
    group_sequence: int | None = None
    reply_to_group_id: str | None = None


@dataclass(slots=True)
class Message:
    """One message. The four members of bytes are whole sections as they stood, empty where there was none."""

    header: Header = field(default_factory=Header)
    annotations: dict[Value, Value] = field(default_factory=dict)
    known: Properties = field(default_factory=Properties)
    properties: bytes = b""
    application_properties: bytes = b""
    body: bytes = b""
    footer: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Of what the sender wrote, without header and annotations."""
        return len(self.properties) + len(self.application_properties) + len(self.body) + len(self.footer)

    def encode(self) -> bytes:
        """The message as it goes on the wire."""
        header = self.header.described() if self.header != Header() else None
        annotations = Described(ULong(MESSAGE_ANNOTATIONS), self.annotations) if self.annotations else None
        written = [encode(section) for section in (header, annotations) if section is not None]
        return b"".join([*written, self.properties, self.application_properties, self.body, self.footer])

    def with_application_properties(self, added: dict[Value, Value]) -> Message:
        """A copy with these set; the others keep their types."""
        present = self.application_values()
        return replace(self, application_properties=_section(APPLICATION_PROPERTIES, {**present, **added}))

    def application_values(self) -> dict[Value, Value]:
        """The application properties by name. Raises DecodeError."""
        found = _content(self.application_properties)
        if not isinstance(found, dict | None):
            raise DecodeError("application properties are a map")
        return found or {}

    def value(self) -> Value:
        """What an amqp-value body holds; null for any other body. Raises DecodeError."""
        if self.body and _descriptor(self.body, 0)[0] == VALUE:
            return _content(self.body)
        return None


def compose(value: Value, known: Properties, application: dict[Value, Value]) -> bytes:
    """A message of our own with an amqp-value body."""
    properties = encode(known.described())
    return properties + _section(APPLICATION_PROPERTIES, application) + _section(VALUE, value)


def parse_message(payload: bytes) -> Message:
    """The sections of a message, in whatever order they stand. Raises DecodeError."""
    message, at = Message(), 0
    while at < len(payload):
        code, content_at = _descriptor(payload, at)
        end = skip(payload, at)
        match code:
            case 0x70:
                message.header = Header.of(decode(payload, at)[0])
            case 0x71:
                pass  # meant for this hop only
            case 0x72:
                message.annotations = _map(decode(payload, content_at)[0])
            case 0x73:
                message.properties += payload[at:end]
                message.known = Properties.of(decode(payload, at)[0])
            case 0x74:
                message.application_properties += payload[at:end]
            case 0x78:
                message.footer += payload[at:end]
            case _:
                message.body += payload[at:end]
        at = end
    return message


def parse_batch(payload: bytes) -> list[bytes]:
    """The messages in a batch: what its data sections hold. Raises DecodeError."""
    parts, at = [], 0
    while at < len(payload):
        code, content_at = _descriptor(payload, at)
        if code == DATA:
            content = decode(payload, content_at)[0]
            if not isinstance(content, bytes):
                raise DecodeError("a data section holds binary")
            parts.append(content)
        at = skip(payload, at)
    return parts


def _descriptor(payload: bytes, at: int) -> tuple[int, int]:
    """Which section begins here, and where its content does."""
    if payload[at] != 0:
        raise DecodeError(f"at byte {at}: no section of a message begins with 0x{payload[at]:02x}")
    descriptor, content_at = decode(payload, at + 1)
    code = int(descriptor) if isinstance(descriptor, ULong) else _SYMBOLS.get(str(descriptor), 0)
    if not HEADER <= code <= FOOTER:
        raise DecodeError(f"no section of a message is called {descriptor!r}")
    return code, content_at


def _section(code: int, value: Value) -> bytes:
    return encode(Described(ULong(code), value))


def _content(section: bytes) -> Value:
    return decode(section, _descriptor(section, 0)[1])[0] if section else None


def _map(value: Value) -> dict[Value, Value]:
    if not isinstance(value, dict):
        raise DecodeError("annotations are a map")
    return value

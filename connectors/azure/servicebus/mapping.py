"""Neutral messages as Service Bus messages, and back.

A consumer finds the body as it was, the attributes as application properties of the same names, the id as `message_id`
and the group of an ordered queue as `session_id`. Everything else that the source said is a property of ours. The
mapping is exactly reversible. Pure functions.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from connectors.azure.servicebus import properties as names
from connectors.azure.servicebus.attributes import AttributeRefusedError, from_properties, to_properties
from connectors.azure.servicebus.properties import Properties, PropertyValue
from connectors.azure.servicebus.tracing import trace_parent
from replicator.messages import Message

MOST_ID_CHARACTERS: Final = 128
"""Of a message id and of a session id."""

HASH_MARK: Final = "replicator~"
"""Leads an id that stands for one that Service Bus would not take."""

MOST_PROPERTY_BYTES: Final = 32 * 1024 - 1
MOST_PROPERTIES_BYTES: Final = 64 * 1024
"""One property, and all of them with the ids."""

ENTRY_BYTES: Final = 12
"""An upper bound of what AMQP adds to a name and its value."""

FRAME_BYTES: Final = 256
"""An upper bound of what AMQP adds to the sections of a message, and of what the service adds on arrival."""

MARGIN: Final = 1024
"""Of the limit of all properties: the service counts its own among them."""


class MessageRefusedError(ValueError):
    """Service Bus would not take the message, whatever is tried; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class MappingRules:
    """How messages are mapped. `sessions`: the queue has them, and groups become sessions. `drop_order`: messages of
    ordered groups are taken although the queue has none.
    """

    sessions: bool = False
    drop_order: bool = False
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it is sent. `bytes` is an upper bound of its size."""

    message_id: str
    body: bytes
    session_id: str | None = None
    content_type: str | None = None
    properties: Properties = field(default_factory=dict)

    @property
    def properties_bytes(self) -> int:
        """An upper bound of what ids and properties take."""
        ids = (self.message_id, self.session_id, self.content_type)
        return sum(_entry_bytes("", text) for text in ids if text is not None) + sum(
            _entry_bytes(name, value) for name, value in self.properties.items()
        )

    @property
    def bytes(self) -> int:
        """An upper bound of the whole."""
        return len(self.body) + self.properties_bytes + FRAME_BYTES


def to_servicebus(message: Message, rules: MappingRules) -> Outgoing:
    """What is sent for a message. Raises MessageRefusedError."""
    try:
        outgoing = _mapped(message, rules)
        check_properties(outgoing)
    except UnicodeEncodeError as error:
        raise MessageRefusedError("the message holds text that UTF-8 cannot carry") from error
    return outgoing


def _mapped(message: Message, rules: MappingRules) -> Outgoing:
    properties = _described(message)
    message_id = _id(message.id)
    if message_id != message.id:
        properties[names.MESSAGE_ID] = message.id
    session_id = _session(message, rules)
    if message.group is not None and session_id != message.group:
        properties[names.GROUP] = message.group
    if message.ordered != (session_id is not None):
        properties[names.ORDERED] = message.ordered
    return Outgoing(message_id, message.body.encode(), session_id, rules.content_type, properties)


def from_servicebus(outgoing: Outgoing) -> Message:
    """The message that this was made of. Raises ValueError, KeyError for what was not made here."""
    properties = outgoing.properties
    group = properties.get(names.GROUP, outgoing.session_id)
    return Message(
        id=str(properties.get(names.MESSAGE_ID, outgoing.message_id)),
        body=outgoing.body.decode(),
        sent_at=datetime.fromisoformat(str(properties[names.SENT_AT])),
        group=None if group is None else str(group),
        ordered=bool(properties.get(names.ORDERED, outgoing.session_id is not None)),
        deduplication_id=_text(properties, names.DEDUPLICATION_ID),
        sequence=str(properties.get(names.SEQUENCE, "")),
        trace_header=_text(properties, names.TRACE_HEADER),
        received=int(properties.get(names.RECEIVED, 1)),
        queue=str(properties.get(names.SOURCE_QUEUE, "")),
        attributes=from_properties(properties),
    )


def check_properties(outgoing: Outgoing) -> None:
    """Raises MessageRefusedError where the service would take them for too large."""
    for name, value in outgoing.properties.items():
        if (size := _value_bytes(value)) > MOST_PROPERTY_BYTES:
            raise MessageRefusedError(f"property {name} has {size} bytes, and Service Bus takes {MOST_PROPERTY_BYTES}")
    if (size := outgoing.properties_bytes) > MOST_PROPERTIES_BYTES - MARGIN:
        raise MessageRefusedError(
            f"the properties have up to {size} bytes together, and Service Bus takes {MOST_PROPERTIES_BYTES}, its own "
            "included"
        )


def short_id(text: str) -> str:
    """What stands for an id that Service Bus would not take: the same for the same id, and never that of another."""
    return HASH_MARK + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _described(message: Message) -> Properties:
    try:
        properties = to_properties(message.attributes)
    except AttributeRefusedError as error:
        raise MessageRefusedError(str(error)) from error
    properties[names.SENT_AT] = message.sent_at.isoformat()
    properties[names.RECEIVED] = message.received
    optional = {
        names.SOURCE_QUEUE: message.queue or None,
        names.SEQUENCE: message.sequence or None,
        names.DEDUPLICATION_ID: message.deduplication_id,
        names.TRACE_HEADER: message.trace_header,
    }
    properties.update({name: value for name, value in optional.items() if value is not None})
    if message.trace_header is not None and (parent := trace_parent(message.trace_header)):
        for name in names.TRACE_CONTEXT:
            properties.setdefault(name, parent)
    return properties


def _session(message: Message, rules: MappingRules) -> str | None:
    if message.ordered and message.group is None:
        raise MessageRefusedError("the message is of an ordered queue and names no group")
    if not rules.sessions:
        if message.ordered and not rules.drop_order:
            raise MessageRefusedError(
                "the message is of an ordered group, and the target has no sessions to keep its order: name a queue "
                "that has, with sessions: true, or give order up with drop_order: true"
            )
        return None
    if message.group is None:
        raise MessageRefusedError(
            "the message has no group, and the target takes only messages of a session: name a queue without sessions"
        )
    return _id(message.group)


def _id(text: str) -> str:
    """As it is where Service Bus takes it."""
    plain = text.isascii() and text.isprintable() and not text.startswith(HASH_MARK)
    return text if plain and 0 < len(text) <= MOST_ID_CHARACTERS else short_id(text)


def _text(properties: Properties, name: str) -> str | None:
    value = properties.get(name)
    return None if value is None else str(value)


def _entry_bytes(name: str, value: PropertyValue) -> int:
    return len(name.encode()) + _value_bytes(value) + ENTRY_BYTES


def _value_bytes(value: PropertyValue) -> int:
    return len(value.encode()) if isinstance(value, str) else 8

"""Messages as a client would send them, for tests that put them into a queue of the sandbox directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.sections import APPLICATION_PROPERTIES, DATA, Header, Properties, parse_message
from sandbox.servicebus.amqp.types import Described, Symbol, Timestamp, UInt, ULong

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.amqp.types import Value


def wire(
    body: str = "",
    *,
    message_id: Value = None,
    session: str | None = None,
    ttl_s: float | None = None,
    due_at: float | None = None,
    **properties: Value,
) -> bytes:
    """An encoded message; `due_at` schedules it, in seconds since the epoch."""
    sections = [Header(ttl=None if ttl_s is None else UInt(ttl_s * 1000)).described()]
    if due_at is not None:
        scheduled: dict[Value, Value] = {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(due_at * 1000)}
        sections.append(Described(ULong(0x72), scheduled))
    sections.append(Properties(message_id=message_id, group_id=session).described())
    if properties:
        sections.append(Described(ULong(APPLICATION_PROPERTIES), dict(properties.items())))
    sections.append(Described(ULong(DATA), body.encode()))
    return b"".join(encode(section) for section in sections)


def message(
    body: str = "",
    *,
    message_id: Value = None,
    session: str | None = None,
    ttl_s: float | None = None,
    due_at: float | None = None,
    **properties: Value,
) -> Message:
    """The same, parsed as the broker does."""
    return parse_message(wire(body, message_id=message_id, session=session, ttl_s=ttl_s, due_at=due_at, **properties))


def body_of(content: Message) -> str:
    """The text of a message that `message` made."""
    return content.body[3 + 2 :].decode() if len(content.body) < 261 else content.body[3 + 5 :].decode()

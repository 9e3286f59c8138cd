"""A message in a queue: what was sent, and what the queue knows about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sandbox.servicebus.amqp.types import Int, Long, Symbol, Timestamp

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.amqp.types import Value

SCHEDULED_FOR: Final = Symbol("x-opt-scheduled-enqueue-time")
_ENQUEUED: Final = Symbol("x-opt-enqueued-time")
_SEQUENCE: Final = Symbol("x-opt-sequence-number")
_LOCKED_UNTIL: Final = Symbol("x-opt-locked-until")
_STATE: Final = Symbol("x-opt-message-state")


class State(IntEnum):
    """As clients know it."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(frozen=True, slots=True)
class Lock:
    """The right to settle a message until `until`, in seconds since the epoch."""

    token: UUID
    until: float


@dataclass(slots=True, eq=False)
class Stored:
    """One message. Instants are in seconds since the epoch; `due_at` is when a scheduled one becomes active."""

    sequence: int
    content: Message
    enqueued_at: float
    state: State = State.ACTIVE
    expires_at: float | None = None
    due_at: float | None = None
    delivery_count: int = 0
    lock: Lock | None = None

    @property
    def message_id(self) -> str | None:
        """As duplicate detection compares it: as text, whatever its type."""
        found = self.content.known.message_id
        return None if found is None else str(found)

    @property
    def session_id(self) -> str | None:
        """Its session, None without one."""
        return self.content.known.group_id

    def encode(self) -> bytes:
        """The message as a receiver gets it: the sender's bytes, with what the queue adds."""
        header = replace(self.content.header, delivery_count=self.delivery_count)
        added: dict[Value, Value] = {
            _ENQUEUED: _instant(self.enqueued_at),
            _SEQUENCE: Long(self.sequence),
            _STATE: Int(self.state),
        }
        if self.lock is not None:
            added[_LOCKED_UNTIL] = _instant(self.lock.until)
        return replace(self.content, header=header, annotations={**self.content.annotations, **added}).encode()


def scheduled_for(content: Message) -> float | None:
    """The instant for which a sender scheduled a message, in seconds since the epoch; None if at once."""
    wanted = content.annotations.get(SCHEDULED_FOR)
    return wanted / 1000 if isinstance(wanted, int) else None


def _instant(seconds: float) -> Timestamp:
    return Timestamp(round(seconds * 1000))

"""The operations of a queue's `$management` node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.sections import parse_message
from sandbox.servicebus.amqp.types import Array, Int, Long, Timestamp
from sandbox.servicebus.broker.errors import ARGUMENT, DECODE_ERROR, NOT_ALLOWED, NOT_IMPLEMENTED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.amqp.types import Value
    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.broker.sessions import Session, Sessions

NO_CONTENT: Final = 204
FIRST_SETTLE_MODE: Final = 0
ALL_SESSIONS_MS: Final = 253_402_300_800_000
"""What clients send to list sessions by their messages instead of by the time their state was set."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: Value = None
    description: str = "OK"
    condition: str | None = None

    @classmethod
    def of(cls, result: Answer | RefusedError) -> Answer:
        """A refusal is an answer, too."""
        if isinstance(result, RefusedError):
            return cls(result.status, {}, result.description, result.condition)
        return result


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the name of the link that the client says its request belongs to."""

    link: str | None


def perform(queue: Queue, operation: str, body: dict[Value, Value], asker: Asker) -> Answer:
    """Perform an operation; its name comes without the vendor's prefix. Raises RefusedError."""
    handler = _HANDLERS.get(operation)
    if handler is None:
        raise RefusedError(NOT_IMPLEMENTED, f"The sandbox does not know the operation {operation!r}.")
    queue.catch_up()
    return handler(queue, Arguments(body), asker)


class Arguments:
    """The members of a request. Each getter raises RefusedError when one is missing or of another type."""

    def __init__(self, body: dict[Value, Value]) -> None:
        self._body = body

    def tokens(self) -> list[UUID]:
        """Lock tokens."""
        return [token for token in self._list("lock-tokens") if isinstance(token, UUID)]

    def numbers(self) -> list[int]:
        """Sequence numbers."""
        return [int(number) for number in self._list("sequence-numbers") if isinstance(number, int)]

    def messages(self) -> list[Message]:
        """Messages to schedule."""
        entries = [entry.get("message") if isinstance(entry, dict) else None for entry in self._list("messages")]
        try:
            return [parse_message(entry if isinstance(entry, bytes) else b"\xff") for entry in entries]
        except DecodeError as error:
            raise RefusedError(DECODE_ERROR, str(error)) from error

    def number(self, name: str) -> int:
        """An integer."""
        value = self._body.get(name)
        if not isinstance(value, int):
            raise RefusedError(ARGUMENT, f"{name} is an integer.")
        return int(value)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self._body.get(name)
        if not isinstance(value, str):
            raise RefusedError(ARGUMENT, f"{name} is a string.")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, None if it is not there."""
        return None if self._body.get(name) is None else self.text(name)

    def octets(self, name: str) -> bytes | None:
        """Binary, or null."""
        value = self._body.get(name)
        if not isinstance(value, bytes | None):
            raise RefusedError(ARGUMENT, f"{name} is binary or null.")
        return value

    def changes(self) -> dict[Value, Value] | None:
        """Application properties to set on a message."""
        value = self._body.get("properties-to-modify")
        return value if isinstance(value, dict) else None

    def _list(self, name: str) -> list[Value]:
        value = self._body.get(name)
        if not isinstance(value, list):
            raise RefusedError(ARGUMENT, f"{name} is a list or an array.")
        return value


def _renew_lock(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    return Answer(200, {"expirations": Array(_instant(queue.renew(token)) for token in asked.tokens())})


def _renew_session_lock(queue: Queue, asked: Arguments, asker: Asker) -> Answer:
    until = _sessions(queue).renew(asked.text("session-id"), asker.link)
    return Answer(200, {"expiration": _instant(until)})


def _get_session_state(queue: Queue, asked: Arguments, asker: Asker) -> Answer:
    state = _sessions(queue).held(asked.text("session-id"), asker.link).state
    return Answer(200, {"session-state": state})


def _set_session_state(queue: Queue, asked: Arguments, asker: Asker) -> Answer:
    _sessions(queue).set_state(asked.text("session-id"), asked.octets("session-state"), asker.link)
    return Answer(200, {})


def _get_message_sessions(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    """Those with messages or a state; or, given an instant, those whose state was set after it."""
    since_ms, skip, top = asked.number("last-updated-time"), asked.number("skip"), asked.number("top")
    known = _sessions(queue)
    if since_ms >= ALL_SESSIONS_MS:
        ids = sorted({*queue.shelf.sessions(), *known.with_state_since(None)})
    else:
        ids = sorted(known.with_state_since(since_ms / 1000))
    page = ids[skip : skip + top]
    if not page:
        return Answer(NO_CONTENT, {}, "No content", "com.microsoft:session-not-found")
    return Answer(200, {"skip": Int(skip), "sessions-ids": Array(page)})


def _peek(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    found = queue.peek(
        asked.number("from-sequence-number"), asked.number("message-count"), asked.optional_text("session-id")
    )
    if not found:
        return Answer(NO_CONTENT, {}, "No content", "com.microsoft:message-not-found")
    return Answer(200, {"messages": [{"message": message.encode()} for message in found]})


def _schedule(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    return Answer(200, {"sequence-numbers": Array(Long(number) for number in queue.send(asked.messages()))})


def _cancel(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    queue.cancel(asked.numbers())
    return Answer(200, {})


def _receive_by_number(queue: Queue, asked: Arguments, asker: Asker) -> Answer:
    settled = asked.number("receiver-settle-mode") == FIRST_SETTLE_MODE
    found = queue.take_deferred(asked.numbers(), _held_session(queue, asked, asker), settled=settled)
    entries: list[Value] = []
    for message in found:
        entry: dict[Value, Value] = {"message": message.encode()}
        if message.lock is not None:
            entry["lock-token"] = message.lock.token
        entries.append(entry)
    return Answer(200, {"messages": entries})


def _update_disposition(queue: Queue, asked: Arguments, _asker: Asker) -> Answer:
    status, changes = asked.text("disposition-status"), asked.changes()
    settle: dict[str, Callable[[UUID], None]] = {
        "completed": queue.complete,
        "abandoned": lambda token: queue.abandon(token, changes),
        "defered": lambda token: queue.defer(token, changes),
        "suspended": lambda token: queue.dead_letter(
            token, asked.optional_text("deadletter-reason"), asked.optional_text("deadletter-description"), changes
        ),
    }
    if status not in settle:
        raise RefusedError(ARGUMENT, f"There is no disposition status {status!r}.")
    for token in asked.tokens():
        settle[status](token)
    return Answer(200, {})


def _held_session(queue: Queue, asked: Arguments, asker: Asker) -> Session | None:
    if queue.sessions is None:
        return None
    return queue.sessions.held(asked.text("session-id"), asker.link)


def _sessions(queue: Queue) -> Sessions:
    if queue.sessions is None:
        raise RefusedError(NOT_ALLOWED, "The entity has no sessions.")
    return queue.sessions


def _instant(seconds: float) -> Timestamp:
    return Timestamp(round(seconds * 1000))


_HANDLERS: Final[dict[str, Callable[[Queue, Arguments, Asker], Answer]]] = {
    "renew-lock": _renew_lock,
    "renew-session-lock": _renew_session_lock,
    "get-session-state": _get_session_state,
    "set-session-state": _set_session_state,
    "get-message-sessions": _get_message_sessions,
    "peek-message": _peek,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "receive-by-sequence-number": _receive_by_number,
    "update-disposition": _update_disposition,
}

"""Links on which clients receive from a queue or one of its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Accepted, Error, Modified, Rejected, Released
from sandbox.servicebus.broker.errors import SESSION_LOCK_LOST, RefusedError
from sandbox.servicebus.broker.queue import DESCRIPTION, REASON
from sandbox.servicebus.wire.links import OutgoingLink, as_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sandbox.servicebus.amqp.composites import Composite, Outcome
    from sandbox.servicebus.amqp.performatives import Attach
    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.broker.sessions import Session as QueueSession
    from sandbox.servicebus.broker.stored import Stored
    from sandbox.servicebus.wire.session import Session

_VERBS: Final[dict[type[Composite], str]] = {
    Accepted: "settle.complete",
    Released: "settle.release",
    Rejected: "settle.dead-letter",
}


class ReceiveLink(OutgoingLink):
    """Messages of one queue, or of one session of it, locked for the client or removed as they are sent."""

    def __init__(
        self, session: Session, attach: Attach, queue: Queue, queue_session: QueueSession | None = None
    ) -> None:
        super().__init__(session, attach, queue.name)
        self.queue_session = queue_session
        self._queue = queue
        self._gate = session.connection.service.gate
        self._tokens: dict[int, UUID] = {}

    def eager(self) -> None:
        """Stand in line for what comes."""
        self._queue.watch(self, self.pump)

    def pump(self) -> None:
        """Hand out messages while there is credit and there are any."""
        self._queue.catch_up()
        while self.credit > 0 and self.session.may_send and not self.is_closed:
            message = self._queue.take(self.queue_session, settled=self._settles)
            if message is None:
                return
            self.use_credit()
            self._hand_out(message)

    def settle(self, delivery: int, state: Outcome | None, reply: Callable[[Composite], None]) -> None:
        """Complete, abandon, defer, dead-letter or release, as the outcome says."""
        token = self._tokens.pop(delivery, None)
        if token is None or state is None:
            return
        self._gate.run(
            _verb(state), self, lambda: self._settle(token, state), lambda result: reply(_echo(state, result))
        )

    def session_lost(self) -> None:
        """The lock of the session has run out: the service ends the link."""
        self.detach(RefusedError(SESSION_LOCK_LOST, "The session lock has expired on the session."))

    def closed(self) -> None:
        """Messages stay locked until their locks end; a session is free at once."""
        if self.is_closed:
            return
        super().closed()
        self._queue.unwatch(self)
        if self.queue_session is not None and self._queue.sessions is not None:
            self._queue.sessions.release(self.queue_session, self)

    def _hand_out(self, message: Stored) -> None:
        token = message.lock.token if message.lock else None
        payload = message.encode()
        self._gate.run("receive", self, lambda: None, lambda result: self._send(token, payload, result))

    def _send(self, token: UUID | None, payload: bytes, result: RefusedError | None) -> None:
        if result is not None:
            self.detach(result)
        elif not self.is_closed:
            delivery = self.transfer(token.bytes_le if token else b"", payload)
            if token is not None:
                self._tokens[delivery] = token

    def _settle(self, token: UUID, state: Outcome) -> None:
        match state:
            case Accepted():
                self._queue.complete(token)
            case Released():
                self._queue.release(token)
            case Modified(undeliverable_here=True):
                self._queue.defer(token, state.message_annotations)
            case Modified():
                self._queue.abandon(token, state.message_annotations)
            case Rejected():
                self._queue.dead_letter(token, *_reasons(state))


def _verb(state: Outcome) -> str:
    if isinstance(state, Modified):
        return "settle.defer" if state.undeliverable_here else "settle.abandon"
    return _VERBS[type(state)]


def _reasons(state: Rejected) -> tuple[str | None, str | None]:
    """Why a client dead-letters a message."""
    if state.error is None:
        return None, None
    error = Error.of(state.error)
    info = error.info or {}
    reason, description = info.get(REASON), info.get(DESCRIPTION)
    return (
        reason if isinstance(reason, str) else None,
        description if isinstance(description, str) else error.description,
    )


def _echo(state: Outcome, result: RefusedError | None) -> Composite:
    """A settlement is confirmed by its own outcome, and refused by a rejection with an error."""
    if isinstance(result, RefusedError):
        return Rejected(as_error(result))
    return Rejected() if isinstance(state, Rejected) else state

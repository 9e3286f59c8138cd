"""What links of either direction have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Accepted, Error, Rejected, Source, Target
from sandbox.servicebus.amqp.performatives import RECEIVER, SENDER, Attach
from sandbox.servicebus.broker.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.amqp.composites import Composite, Outcome
    from sandbox.servicebus.amqp.performatives import Flow, Transfer
    from sandbox.servicebus.amqp.types import Value
    from sandbox.servicebus.wire.session import Session

CREDIT: Final = 1_000
"""Messages that a client may send before we say that it may send more."""
SETTLED_MODE: Final = 1


class Link:
    """One end of a link. `queue_name` is the queue or node at the other."""

    def __init__(self, session: Session, attach: Attach, queue_name: str) -> None:
        self.session = session
        self.name = attach.name
        self.handle = attach.handle
        self.queue_name = queue_name
        self.is_closed = False

    def closed(self) -> None:
        """The link is over, because the client or the connection ended it, or we did."""
        self.is_closed = True

    def cut(self) -> None:
        """Reset the connection."""
        self.session.connection.cut()

    def detach(self, error: RefusedError) -> None:
        """End the link with an error; harmless when it is over already."""
        if not self.is_closed:
            self.closed()
            self.session.detach(self, as_error(error))


@dataclass(slots=True)
class Delivery:
    """A whole message from a client."""

    id: int
    format: int
    settled: bool
    payload: bytes


class IncomingLink(Link, ABC):
    """The client sends."""

    def __init__(self, session: Session, attach: Attach, queue_name: str) -> None:
        super().__init__(session, attach, queue_name)
        self._received = 0
        self._credited = 0
        self._first: Transfer | None = None
        self._parts: list[bytes] = []

    def grant(self) -> None:
        """Let the client send more."""
        self._credited = self._received
        self.session.flow(self, delivery_count=self._received, link_credit=CREDIT)

    def receive(self, transfer: Transfer, payload: bytes) -> None:
        """Take a part of a message; the last one makes it whole."""
        self._first = self._first or transfer
        self._parts.append(payload)
        if transfer.more and not transfer.aborted:
            return
        first, parts = self._first, self._parts
        self._first, self._parts = None, []
        self._received += 1
        if self._received - self._credited >= CREDIT // 2:
            self.grant()
        if not transfer.aborted:
            settled = bool(first.settled or transfer.settled)
            self.take(Delivery(first.delivery_id or 0, first.message_format or 0, settled, b"".join(parts)))

    @abstractmethod
    def take(self, delivery: Delivery) -> None:
        """Deal with a message."""

    def answer(self, delivery: Delivery, result: object) -> None:
        """Tell the client what became of its message."""
        if delivery.settled or self.is_closed:
            return
        state = Rejected(as_error(result)) if isinstance(result, RefusedError) else Accepted()
        self.session.dispose(RECEIVER, delivery.id, state)


class OutgoingLink(Link, ABC):
    """The client receives, as long as it has credit."""

    def __init__(self, session: Session, attach: Attach, queue_name: str) -> None:
        super().__init__(session, attach, queue_name)
        self.credit = 0
        self._sent = 0
        self._settles = attach.snd_settle_mode == SETTLED_MODE

    def grant(self, flow: Flow) -> None:
        """The client has changed its credit."""
        credit = flow.link_credit or 0
        self.credit = max(0, (flow.delivery_count or 0) + credit - self._sent)
        if self.credit:
            self.eager()
        self.pump()
        if flow.drain:
            self._sent += self.credit
            self.credit = 0
            self.session.flow(self, delivery_count=self._sent, link_credit=0, drain=True)

    def eager(self) -> None:
        """Credit has come: whoever hands out messages may be told."""

    @abstractmethod
    def pump(self) -> None:
        """Hand out what there is, as far as credit and windows go."""

    @abstractmethod
    def settle(self, delivery: int, state: Outcome | None, reply: Callable[[Composite], None]) -> None:
        """The client says what became of a delivery; `reply` tells it what we made of that."""

    def transfer(self, tag: bytes, payload: bytes) -> int:
        """Send a message; its delivery id."""
        return self.session.transfer(self, tag, payload, settled=self._settles)

    def use_credit(self) -> None:
        """A message is about to be sent."""
        self.credit -= 1
        self._sent += 1


def as_error(refused: RefusedError) -> Error:
    """A refusal on the wire."""
    return Error(refused.condition, refused.description)


def accept(
    session: Session,
    asked: Attach,
    *,
    source: Value | Source = None,
    max_message_bytes: int | None = None,
    properties: dict[Value, Value] | None = None,
) -> None:
    """Answer an attach: the link is there."""
    session.send(
        Attach(
            asked.name,
            asked.handle,
            not asked.role,
            asked.snd_settle_mode,
            asked.rcv_settle_mode,
            source if source is not None else asked.source or Source(),
            asked.target or Target(),
            initial_delivery_count=0 if asked.role is RECEIVER else None,
            max_message_size=max_message_bytes,
            properties=properties or {},
        )
    )


def refuse(session: Session, asked: Attach, refused: RefusedError) -> None:
    """Answer an attach as the service refuses: a link to nowhere, detached at once."""
    role = SENDER if asked.role is RECEIVER else RECEIVER
    count = 0 if role is SENDER else None
    session.send(Attach(asked.name, asked.handle, role, initial_delivery_count=count))
    session.detach_handle(asked.handle, as_error(refused))

"""A session: its windows, its links by handle, and the deliveries that its clients have not settled."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Error, outcome
from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.performatives import SENDER, Attach, Begin, Detach, Disposition, End, Flow, Transfer
from sandbox.servicebus.wire.attaching import attach
from sandbox.servicebus.wire.links import IncomingLink, OutgoingLink

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.composites import Composite, Outcome
    from sandbox.servicebus.wire.connection import Connection
    from sandbox.servicebus.wire.links import Link

WINDOW: Final = 5_000
"""Frames that a client may send before we say that it may send more."""
OUTGOING_WINDOW: Final = 2_147_483_647
HANDLE_MAX: Final = 4_999
_FRAME_OVERHEAD_BYTES: Final = 128
"""At most what stands before the payload in a transfer of ours."""


class Session:
    """One session of a connection. Both ends use the same channel and the same handles."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.links: dict[int, Link] = {}
        self._channel = channel
        self._next_incoming = begin.next_outgoing_id
        self._announced = begin.next_outgoing_id
        self._next_outgoing = 1
        self._window = begin.incoming_window
        self._next_delivery = 0
        self._waiting: deque[tuple[Transfer, bytes]] = deque()
        self._unsettled: dict[int, OutgoingLink] = {}

    @property
    def may_send(self) -> bool:
        """Whether another message may be handed out now."""
        return self._window > 0 and not self._waiting and self.connection.writable

    def begin(self) -> None:
        """Answer the client's begin."""
        self.send(
            Begin(
                remote_channel=self._channel,
                next_outgoing_id=self._next_outgoing,
                incoming_window=WINDOW,
                outgoing_window=OUTGOING_WINDOW,
                handle_max=HANDLE_MAX,
            )
        )

    def send(self, body: Composite, payload: bytes = b"") -> None:
        """Write a frame on this session's channel."""
        self.connection.send(self._channel, body, payload)

    def receive(self, body: Composite, payload: bytes) -> None:
        """Deal with a frame. Raises DecodeError for one that makes no sense."""
        match body:
            case Transfer():
                self._transfer(body, payload)
            case Disposition():
                self._disposition(body)
            case Flow():
                self._flow(body)
            case Attach():
                if body.handle > HANDLE_MAX or body.handle in self.links:
                    raise DecodeError(f"handle {body.handle} is in use or too large")
                attach(self, body)
            case Detach():
                self._detach(body)
            case End():
                self.ended()
                self.send(End())
                self.connection.forget(self._channel)
            case _:
                raise DecodeError(f"{type(body).__name__} is not expected in a session")

    def ended(self) -> None:
        """The session, or its connection, is over: its links are."""
        links, self.links = list(self.links.values()), {}
        for link in links:
            link.closed()

    def pump(self) -> None:
        """Send what had to wait, then let links hand out more."""
        while self._waiting and self._window > 0:
            self._emit(*self._waiting.popleft())
        for link in list(self.links.values()):
            if isinstance(link, OutgoingLink):
                link.pump()

    def transfer(self, link: OutgoingLink, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Send a message, in as many frames as it takes and as soon as the window allows; its delivery id."""
        delivery, self._next_delivery = self._next_delivery, self._next_delivery + 1
        if not settled:
            self._unsettled[delivery] = link
        part = self.connection.peer_frame_bytes - _FRAME_OVERHEAD_BYTES
        for begin in range(0, max(len(payload), 1), part):
            more = begin + part < len(payload)
            frame = Transfer(link.handle, delivery, tag, 0, settled, more)
            self._waiting.append((frame, payload[begin : begin + part]))
        while self._waiting and self._window > 0:
            self._emit(*self._waiting.popleft())
        return delivery

    def settled(self, delivery: int) -> None:
        """Nothing more is expected about a delivery."""
        self._unsettled.pop(delivery, None)

    def dispose(self, role: bool, delivery: int, state: Composite) -> None:
        """Say what became of a delivery, and that it is settled."""
        self.send(Disposition(role, delivery, delivery, settled=True, state=state))

    def flow(self, link: Link | None = None, **credit: int | bool) -> None:
        """Tell the windows, and with a link its credit."""
        handle = link.handle if link else None
        self._announced = self._next_incoming
        self.send(
            Flow(self._next_incoming, WINDOW, self._next_outgoing, OUTGOING_WINDOW, handle, **credit)  # type: ignore[arg-type]
        )

    def detach(self, link: Link, error: Error | None) -> None:
        """End a link from our side."""
        self._forget(link)
        self.detach_handle(link.handle, error)

    def detach_handle(self, handle: int, error: Error | None) -> None:
        """Take a handle back; the client's answer is ignored when it comes."""
        self.links.pop(handle, None)
        self.send(Detach(handle, closed=True, error=error))

    def _emit(self, transfer: Transfer, payload: bytes) -> None:
        self._window -= 1
        self._next_outgoing = (self._next_outgoing + 1) & 0xFFFFFFFF
        self.send(transfer, payload)

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming = (self._next_incoming + 1) & 0xFFFFFFFF
        link = self.links.get(transfer.handle)
        if isinstance(link, IncomingLink):
            link.receive(transfer, payload)
        if (self._next_incoming - self._announced) & 0xFFFFFFFF >= WINDOW // 2:
            self.flow()

    def _disposition(self, disposition: Disposition) -> None:
        if disposition.role is SENDER:
            return
        last = disposition.first if disposition.last is None else disposition.last
        state = outcome(disposition.state)
        for delivery in range(disposition.first, min(last, self._next_delivery) + 1):
            link = self._unsettled.get(delivery)
            if link is not None and (state is not None or disposition.settled):
                self._settle(link, delivery, state, answer=not disposition.settled)

    def _settle(self, link: OutgoingLink, delivery: int, state: Outcome | None, *, answer: bool) -> None:
        def reply(answered: Composite) -> None:
            if answer:
                self.dispose(SENDER, delivery, answered)

        self.settled(delivery)
        link.settle(delivery, state, reply)

    def _flow(self, flow: Flow) -> None:
        expected = flow.next_incoming_id if flow.next_incoming_id is not None else 1
        self._window = expected + flow.incoming_window - self._next_outgoing
        link = self.links.get(flow.handle) if flow.handle is not None else None
        if isinstance(link, OutgoingLink):
            link.grant(flow)
        self.pump()
        if flow.echo:
            self.flow()

    def _detach(self, detach: Detach) -> None:
        link = self.links.pop(detach.handle, None)
        if link is None:
            return
        link.closed()
        self._forget(link)
        self.send(Detach(detach.handle, closed=detach.closed))

    def _forget(self, link: Link) -> None:
        """What it has not sent is dropped: a frame for a handle that is gone would end the client's session."""
        for delivery in [number for number, owner in self._unsettled.items() if owner is link]:
            del self._unsettled[delivery]
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0].handle != link.handle)

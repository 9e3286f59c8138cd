"""What the broker says on the wire to a peer that is stricter, or ruder, than the SDK."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fakes.amqp import message, wire
from sandbox.servicebus import Fault, QueueSettings, ServiceBusServer
from sandbox.servicebus.amqp.composites import Accepted, Composite, Error, Rejected, Source, Target, outcome
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, FrameReader, write_frame
from sandbox.servicebus.amqp.performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    SaslInit,
    Transfer,
)
from sandbox.servicebus.amqp.types import Described, Symbol, ULong
from sandbox.servicebus.wire.connection import Connection

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.frames import Frame

Body = TypeVar("Body", bound=Composite)


class Wire(asyncio.Transport):
    """Keeps what is written; `full` makes it say that its peer reads too slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False
        self.full_at: int | None = None
        self.connection: Connection | None = None

    def write(self, data: Any) -> None:
        self.written += data
        if self.connection and self.full_at is not None and len(self.written) > self.full_at:
            self.connection.pause_writing()

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = True


class Peer:
    """A client that says exactly what it is told to, on channel 3."""

    def __init__(self, broker: ServiceBusServer, *, window: int = 1_000, max_frame_bytes: int = 65_536) -> None:
        self.wire = Wire()
        self.connection = Connection(broker._service, lambda _: None, lambda _: None)
        self.wire.connection = self.connection
        self.connection.connection_made(self.wire)
        self.connection.open_path("")
        self.connection.data_received(SASL_HEADER + write_frame(0, SaslInit("ANONYMOUS"), kind=SASL) + AMQP_HEADER)
        self.connection.data_received(write_frame(0, Open("peer", max_frame_size=max_frame_bytes)))
        self.say(Begin(incoming_window=window))

    def say(self, body: Composite, payload: bytes = b"") -> None:
        self.connection.data_received(write_frame(3, body, payload))

    def receive_from(self, queue: str, **options: Any) -> None:
        self.say(Attach(f"from {queue}", 7, RECEIVER, source=Source(queue), target=Target("me"), **options))

    def send_to(self, queue: str) -> None:
        self.say(Attach(f"to {queue}", 8, SENDER, source=Source("me"), target=Target(queue)))

    def credit(self, credit: int, *, window: int = 1_000, received: int = 0, **options: Any) -> None:
        self.say(Flow(1 + received, window, 0, 100, 7, received, credit, **options))

    async def heard(self) -> list[Frame]:
        """Everything said since the last time, once the connection has had its turn to write."""
        await asyncio.sleep(0)
        reader = FrameReader(1 << 30)
        begin = self.wire.written.find(AMQP_HEADER)
        reader.feed(bytes(self.wire.written[begin + 8 if begin >= 0 else 0 :]))
        self.wire.written.clear()
        return list(reader.frames())

    async def heard_of(self, kind: type[Body]) -> list[Body]:
        """The bodies of one kind among it."""
        return [frame.body for frame in await self.heard() if isinstance(frame.body, kind)]


@pytest.fixture
def broker() -> ServiceBusServer:
    """One that listens nowhere."""
    server = ServiceBusServer({"orders": QueueSettings(), "groups": QueueSettings(sessions=True)})
    server.namespace.queue("orders").send([message("a" * 100), message("b"), message("c")])
    return server


async def test_nothing_is_sent_without_credit_and_no_more_than_it(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.receive_from("orders")
    assert await peer.heard_of(Transfer) == []
    peer.credit(2)
    assert [transfer.delivery_id for transfer in await peer.heard_of(Transfer)] == [0, 1]
    peer.credit(0, received=2)
    assert await peer.heard_of(Transfer) == []
    peer.credit(9, received=2)
    assert len(await peer.heard_of(Transfer)) == 1


async def test_credit_counts_from_what_the_client_has_received(broker: ServiceBusServer) -> None:
    """What is on its way when a flow is written uses up the credit of that flow."""
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(1)
    peer.credit(2, received=0)
    assert len(await peer.heard_of(Transfer)) == 2


async def test_the_clients_window_holds_messages_back(broker: ServiceBusServer) -> None:
    peer = Peer(broker, window=1)
    peer.receive_from("orders")
    peer.credit(9, window=1)
    assert len(await peer.heard_of(Transfer)) == 1
    assert broker.stats()["queues"]["orders"]["locked"] == 1
    peer.say(Flow(2, 2, 0, 100))
    assert len(await peer.heard_of(Transfer)) == 2


async def test_a_message_is_cut_to_the_frames_the_client_takes(broker: ServiceBusServer) -> None:
    broker.namespace.queue("orders").send([message("x" * 2_000)])
    peer = Peer(broker, max_frame_bytes=512)
    peer.receive_from("orders")
    peer.credit(4)
    frames = [frame for frame in await peer.heard() if isinstance(frame.body, Transfer)]
    parts = [frame for frame in frames if frame.body.delivery_id == 3]  # type: ignore[union-attr]
    assert len(parts) > 4
    assert [part.body.more for part in parts] == [True] * (len(parts) - 1) + [False]  # type: ignore[union-attr]
    assert b"x" * 2_000 in b"".join(part.payload for part in parts)


async def test_a_slow_reader_is_not_sent_everything_at_once(broker: ServiceBusServer) -> None:
    broker.namespace.queue("orders").send([message("x" * 200_000) for _ in range(20)])
    peer = Peer(broker)
    await peer.heard()
    peer.wire.full_at = 300_000
    peer.receive_from("orders")
    peer.credit(100)
    await asyncio.sleep(0)
    assert broker.stats()["queues"]["orders"]["locked"] < 8
    peer.wire.full_at = None
    peer.connection.resume_writing()
    assert broker.stats()["queues"]["orders"]["locked"] == 23


async def test_draining_uses_credit_up(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(10, drain=True)
    frames = [frame.body for frame in await peer.heard()]
    (drained,) = [body for body in frames if isinstance(body, Flow) and body.handle == 7]
    assert len([body for body in frames if isinstance(body, Transfer)]) == 3
    assert (drained.delivery_count, drained.link_credit, drained.drain) == (10, 0, True)


async def test_an_echo_is_answered(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    await peer.heard()
    peer.say(Flow(1, 100, 0, 100, echo=True))
    assert [flow.incoming_window for flow in await peer.heard_of(Flow)] == [5_000]


async def test_senders_are_given_credit_again_before_they_run_out(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    await peer.heard()
    for number in range(500):
        peer.say(Transfer(8, number, b"t", 0, False), wire())
    flows = await peer.heard_of(Flow)
    assert [(flow.delivery_count, flow.link_credit) for flow in flows if flow.handle == 8] == [(500, 1_000)]


async def test_the_window_is_renewed_while_a_long_message_comes(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    await peer.heard()
    for _ in range(2_500):
        peer.say(Transfer(8, 0, b"t", 0, False, more=True), b"x")
    (flow,) = await peer.heard_of(Flow)
    assert (flow.handle, flow.next_incoming_id, flow.incoming_window) == (None, 2_500, 5_000)


async def test_too_large_a_message_is_rejected_and_its_link_detached(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    await peer.heard()
    for part in range(5):
        peer.say(Transfer(8, 0, b"t", 0, False, more=part < 4), b"x" * 60_000)
    rejection, detach = [frame.body for frame in await peer.heard()]
    assert isinstance(rejection, Disposition)
    assert isinstance(outcome(rejection.state), Rejected)
    assert isinstance(detach, Detach)
    assert Error.of(detach.error).condition == "amqp:link:message-size-exceeded"


async def test_what_is_meant_for_one_hop_only_is_not_handed_on(broker: ServiceBusServer) -> None:
    annotations: dict[Any, Any] = {Symbol("x-opt-hop"): "once"}
    peer = Peer(broker)
    peer.send_to("orders")
    peer.say(Transfer(8, 0, b"t", 0, False), encode(Described(ULong(0x71), annotations)) + wire("a"))
    *_, stored = broker.namespace.queue("orders").peek(0, 9)
    assert b"x-opt-hop" not in stored.encode()


async def test_dead_letters_cannot_be_sent_to(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders/$DeadLetterQueue")
    (detach,) = await peer.heard_of(Detach)
    assert Error.of(detach.error).condition == "amqp:not-allowed"


async def test_an_aborted_message_is_dropped(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    peer.say(Transfer(8, 0, b"t", 0, False, more=True), b"half")
    peer.say(Transfer(8, 0, b"t", 0, False, aborted=True))
    peer.say(Transfer(8, 1, b"t", 0, False), wire("whole"))
    assert [disposition.first for disposition in await peer.heard_of(Disposition)] == [1]
    assert broker.stats()["queues"]["orders"]["accepted"] == 4


async def test_what_is_sent_settled_is_not_answered(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    peer.say(Transfer(8, 0, b"t", 0, settled=True), wire("quiet"))
    assert await peer.heard_of(Disposition) == []
    assert broker.stats()["queues"]["orders"]["accepted"] == 4


async def test_a_message_that_is_none_is_rejected(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.send_to("orders")
    peer.say(Transfer(8, 0, b"t", 0, False), b"\x00\x53\x75nonsense")
    (disposition,) = await peer.heard_of(Disposition)
    state = outcome(disposition.state)
    assert isinstance(state, Rejected)
    assert Error.of(state.error).condition == "amqp:decode-error"


async def test_several_deliveries_are_settled_at_once(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(3)
    await peer.heard()
    peer.say(Disposition(RECEIVER, 0, 2, settled=False, state=Accepted()))
    assert [(answer.first, answer.settled) for answer in await peer.heard_of(Disposition)] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert broker.stats()["queues"]["orders"]["completed"] == 3


async def test_a_settled_settlement_is_applied_and_not_answered(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(1)
    await peer.heard()
    peer.say(Disposition(RECEIVER, 0, settled=True, state=Accepted()))
    peer.say(Disposition(RECEIVER, 0, 4_000_000_000, settled=True, state=Accepted()))
    assert await peer.heard_of(Disposition) == []
    assert broker.stats()["queues"]["orders"]["completed"] == 1


async def test_a_refused_link_is_attached_to_nothing_and_detached(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    await peer.heard()
    peer.receive_from("nothing")
    attach, detach = [frame.body for frame in await peer.heard()]
    assert isinstance(attach, Attach)
    assert (attach.name, attach.role, attach.source, attach.target) == ("from nothing", SENDER, None, None)
    assert isinstance(detach, Detach)
    assert (detach.handle, detach.closed, Error.of(detach.error).condition) == (7, True, "amqp:not-found")
    peer.receive_from("orders")
    assert len(await peer.heard_of(Attach)) == 1


async def test_without_a_token_no_queue_is_shown(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.connection._opened.clear()
    peer.receive_from("orders")
    (detach,) = await peer.heard_of(Detach)
    assert Error.of(detach.error).condition == "amqp:unauthorized-access"


async def test_a_detached_link_receives_nothing_more(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(1)
    await peer.heard()
    peer.say(Detach(7, closed=True))
    assert [detach.closed for detach in await peer.heard_of(Detach)] == [True]
    broker.namespace.queue("orders").send([message("late")])
    assert await peer.heard_of(Transfer) == []
    assert broker.stats()["queues"]["orders"]["locked"] == 1
    assert not broker.namespace.queue("orders")._watchers


@pytest.mark.parametrize("goodbye", [End(), Close()])
async def test_an_ended_session_frees_what_it_held(broker: ServiceBusServer, goodbye: Composite) -> None:
    peer = Peer(broker)
    named: dict[Any, Any] = {"com.microsoft:session-filter": "s"}
    peer.say(Attach("s", 1, RECEIVER, source=Source("groups", filter=named), target=Target("me")))
    sessions = broker.namespace.queue("groups").sessions
    assert sessions is not None
    assert sessions.is_held("s")
    await peer.heard()
    peer.say(goodbye)
    assert [type(frame.body) for frame in await peer.heard()] == [type(goodbye)]
    if isinstance(goodbye, Close):
        assert peer.wire.is_over
        peer.connection.connection_lost(None)
    assert not sessions.is_held("s")


@pytest.mark.parametrize(
    "nonsense",
    [Attach("x", 5_000, SENDER, source=Source("me"), target=Target("orders")), Open("again"), Begin()],
)
async def test_what_makes_no_sense_does_no_harm(broker: ServiceBusServer, nonsense: Composite) -> None:
    peer = Peer(broker)
    await peer.heard()
    peer.say(nonsense)
    assert await peer.heard() != []
    other = Peer(broker)
    other.receive_from("orders")
    other.credit(1)
    assert len(await other.heard_of(Transfer)) == 1


async def test_a_frame_for_a_session_that_is_not_there_ends_the_connection(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    await peer.heard()
    peer.connection.data_received(write_frame(9, Flow()))
    (close,) = await peer.heard_of(Close)
    assert Error.of(close.error).condition == "amqp:connection:framing-error"
    assert peer.wire.is_over


async def test_bytes_may_come_one_by_one(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    await peer.heard()
    for octet in write_frame(3, Attach("o", 7, RECEIVER, source=Source("orders"), target=Target("me"))):
        peer.connection.data_received(bytes((octet,)))
    assert len(await peer.heard_of(Attach)) == 1


async def test_a_struck_delivery_is_locked_but_never_seen(broker: ServiceBusServer) -> None:
    broker.faults.add(Fault(operation="receive", stall=True, count=1))
    peer = Peer(broker)
    peer.receive_from("orders")
    peer.credit(2)
    assert len(await peer.heard_of(Transfer)) == 1
    assert broker.stats()["queues"]["orders"]["locked"] == 2


async def test_what_had_to_wait_is_dropped_with_its_link(broker: ServiceBusServer) -> None:
    broker.namespace.queue("orders").send([message("x" * 2_000)])
    peer = Peer(broker, max_frame_bytes=512)
    peer.receive_from("orders")
    peer.credit(9, window=4)
    await peer.heard()
    peer.say(Detach(7, closed=True))
    peer.say(Flow(5, 100, 0, 100))
    assert await peer.heard_of(Transfer) == []


async def test_a_link_can_be_refused_after_it_was_there(broker: ServiceBusServer) -> None:
    broker.faults.add(Fault(operation="attach.receive", when="after", condition="com.microsoft:server-busy"))
    peer = Peer(broker)
    peer.receive_from("orders")
    (detach,) = await peer.heard_of(Detach)
    assert Error.of(detach.error).condition == "com.microsoft:server-busy"


async def test_a_client_that_wants_to_hear_from_us_does(broker: ServiceBusServer) -> None:
    peer = Peer(broker)
    await peer.heard()
    peer.connection.data_received(write_frame(0, Open("peer", idle_time_out=20)))
    await peer.heard()
    await asyncio.sleep(0.03)
    empty = [frame for frame in await peer.heard() if frame.body is None]
    peer.connection.connection_lost(None)
    assert len(empty) >= 1

"""Frames that were damaged on the way end their own connection at most."""

from __future__ import annotations

import asyncio
import struct
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.amqp import wire
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.servicebus.amqp.composites import Accepted, Composite, Modified, Source, Target
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.frames import AMQP_HEADER, SASL, SASL_HEADER, write_frame
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
from sandbox.servicebus.amqp.sections import Properties, compose
from sandbox.servicebus.amqp.types import Array, Described, Int, Long, Symbol, Timestamp, UInt, ULong, Value
from sandbox.servicebus.wire.connection import Connection

SESSION: dict[Value, Value] = {"com.microsoft:session-filter": "s"}


BY_NUMBER: dict[Value, Value] = {"sequence-numbers": Array([Long(1)]), "receiver-settle-mode": UInt(1)}


def request(operation: str, body: Value) -> bytes:
    """A request to `$management`."""
    application: dict[Value, Value] = {"operation": f"com.microsoft:{operation}"}
    return compose(body, Properties(message_id=UUID(int=1), reply_to="node"), application)


CONVERSATION: list[tuple[Composite, bytes]] = [
    (Begin(incoming_window=100), b""),
    (Attach("send", 0, SENDER, source=Source("me"), target=Target("orders")), b""),
    (Attach("receive", 1, RECEIVER, source=Source("orders"), target=Target("me")), b""),
    (Attach("session", 2, RECEIVER, source=Source("groups", filter=SESSION), target=Target("me")), b""),
    (Attach("ask", 3, SENDER, source=Source("node"), target=Target("orders/$management")), b""),
    (Attach("answers", 4, RECEIVER, source=Source("orders/$management"), target=Target("node")), b""),
    (Flow(1, 100, 0, 100, 1, 0, 10), b""),
    (Flow(1, 100, 0, 100, 4, 0, 10, drain=True, echo=True), b""),
    (Transfer(0, 0, b"t", 0, False), wire("a", message_id="1", a="b")),
    (Transfer(0, 1, b"t", 0x80013700, False), b"\x00\x53\x75" + encode(wire("b"))),
    (
        Transfer(3, 2, b"t", 0, False),
        request("peek-message", {"from-sequence-number": Long(0), "message-count": Int(9)}),
    ),
    (Transfer(3, 3, b"t", 0, False), request("schedule-message", {"messages": [{"message": wire("c")}]})),
    (Transfer(3, 4, b"t", 0, False), request("renew-lock", {"lock-tokens": Array([UUID(int=5)])})),
    (
        Transfer(3, 5, b"t", 0, False),
        request("receive-by-sequence-number", {"sequence-numbers": Array([Long(1)]), "receiver-settle-mode": UInt(1)}),
    ),
    (Disposition(RECEIVER, 0, 1, settled=False, state=Accepted()), b""),
    (Disposition(RECEIVER, 1, settled=False, state=Modified(delivery_failed=True)), b""),
    (Detach(0, closed=True), b""),
    (End(), b""),
    (Close(), b""),
]
FRAMES = [write_frame(1, body, payload) for body, payload in CONVERSATION]
GREETING = SASL_HEADER + write_frame(0, SaslInit("ANONYMOUS"), kind=SASL) + AMQP_HEADER + write_frame(0, Open("peer"))
damages = st.lists(
    st.tuples(st.integers(0, len(FRAMES) - 1), st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4
)


class Nowhere(asyncio.Transport):
    """What is written is lost."""

    def write(self, data: Any) -> None:
        del data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to abort."""


async def converse(frames: list[bytes]) -> ServiceBusServer:
    """Say all of them to a new broker."""
    broker = ServiceBusServer({"orders": QueueSettings(), "groups": QueueSettings(sessions=True)})
    connection = Connection(broker._service, lambda _: None, lambda _: None)
    connection.connection_made(Nowhere())
    connection.open_path("")
    connection.data_received(GREETING)
    for frame in frames:
        connection.data_received(frame)
    connection.connection_lost(None)
    return broker


def test_the_conversation_undamaged_does_what_it_says() -> None:
    broker = asyncio.run(converse(FRAMES))
    counts = broker.stats()["queues"]["orders"]
    assert (counts["accepted"], counts["completed"]) == (3, 2)
    assert broker.stats()["operations"]["manage.peek-message"] == {"done": 1}


@given(damages)
@settings(max_examples=400, deadline=None)
def test_no_damage_is_more_than_the_connection_can_answer(done: list[tuple[int, int, int]]) -> None:
    """Whatever octets are changed beyond the frame's own header, nothing is raised."""
    frames = [bytearray(frame) for frame in FRAMES]
    for number, at, octet in done:
        frame = frames[number]
        frame[8 + at % (len(frame) - 8)] = octet
    asyncio.run(converse([bytes(frame) for frame in frames]))


strangers: st.SearchStrategy[Value] = st.sampled_from(
    [
        None,
        True,
        "text",
        b"octets",
        0.5,
        UInt(7),
        Int(-1),
        Long(2**62),
        Timestamp(5),
        Symbol("symbol"),
        UUID(int=9),
        [],
        [Int(1)],
        {},
        {"a": Int(1)},
        Described(ULong(0x24), []),
        Described([Int(1)], "odd descriptor"),
        Described(ULong(0x28), [Int(1), "x", {}, [], None]),
        Array(["a"]),
    ]
)
FIELDS = [(number, field) for number, (body, _) in enumerate(CONVERSATION) for field in range(len(body.kinds))]


@given(st.sampled_from(FIELDS), strangers)
@settings(max_examples=600, deadline=None)
def test_no_field_of_another_type_is_more_than_the_connection_can_answer(place: tuple[int, int], value: Value) -> None:
    number, field = place
    body, payload = CONVERSATION[number]
    described = body.described()
    assert isinstance(described.value, list)
    described.value[field] = value
    written = encode(described) + payload
    frames = [*FRAMES]
    frames[number] = struct.pack(">IBBH", 8 + len(written), 2, 0, 1) + written
    asyncio.run(converse(frames))


OPERATIONS = """
peek-message schedule-message renew-lock receive-by-sequence-number cancel-scheduled-message update-disposition
renew-session-lock get-session-state set-session-state get-message-sessions put-token nothing
"""
MEMBERS = """
from-sequence-number message-count session-id messages lock-tokens sequence-numbers receiver-settle-mode
disposition-status session-state last-updated-time skip top properties-to-modify
"""
bodies = st.dictionaries(st.sampled_from(MEMBERS.split()), strangers)


@given(st.sampled_from(OPERATIONS.split()), bodies, st.sampled_from(["orders", "groups"]))
@settings(max_examples=300, deadline=None)
def test_no_request_is_more_than_an_answer_can_refuse(operation: str, body: dict[Value, Value], queue: str) -> None:
    frames = [
        write_frame(1, Begin(incoming_window=100)),
        write_frame(1, Attach("ask", 3, SENDER, source=Source("node"), target=Target(f"{queue}/$management"))),
        write_frame(1, Transfer(3, 0, b"t", 0, False), request(operation, body)),
    ]
    broker = asyncio.run(converse(frames))
    assert sum(broker.stats()["operations"][f"manage.{operation}"].values()) == 1

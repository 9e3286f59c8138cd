"""The local Service Bus broker, driven by the unmodified async SDK over sockets."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest
from azure.core.credentials import AzureSasCredential
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
    ServiceBusServerBusyError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from fakes.amqp import body_of
from fakes.servicebus import eventually, lying, put, receive, text, token_for
from sandbox.servicebus import ServiceBusServer


async def test_a_wrong_key_is_refused(broker: ServiceBusServer, hurried: None) -> None:
    string = broker.connection_string.replace("SAS_KEY_VALUE", "another")
    async with ServiceBusClient.from_connection_string(string, retry_total=0) as stranger:
        with pytest.raises(ServiceBusAuthenticationError):
            await stranger.get_queue_sender("orders").__aenter__()
    assert broker.stats()["operations"]["cbs"] == {"amqp:unauthorized-access": 1}


async def test_a_token_for_one_queue_opens_no_other(broker: ServiceBusServer, hurried: None) -> None:
    address = f"{broker.host}:{broker.port}"
    token = token_for(f"sb://{address}/orders", +60)
    async with ServiceBusClient(address, AzureSasCredential(token), retry_total=0, use_tls=False) as limited:
        async with limited.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage("allowed"))
        with pytest.raises(ServiceBusAuthenticationError):
            await limited.get_queue_sender("once").__aenter__()
    assert lying(broker, "orders") == ["allowed"]


async def test_an_expired_token_is_refused(broker: ServiceBusServer, hurried: None) -> None:
    address = f"{broker.host}:{broker.port}"
    token = token_for(f"sb://{address}/orders", -1)
    string = f"Endpoint=sb://{address};SharedAccessSignature={token};UseDevelopmentEmulator=true"
    async with ServiceBusClient.from_connection_string(string, retry_total=0) as late:
        with pytest.raises(ServiceBusError):
            await late.get_queue_sender("orders").__aenter__()
    assert "attach.send" not in broker.stats()["operations"]


async def test_an_unknown_queue_is_not_found(bus: ServiceBusClient) -> None:
    with pytest.raises(MessagingEntityNotFoundError, match="amqp:not-found"):
        await bus.get_queue_sender("nothing").__aenter__()
    with pytest.raises(MessagingEntityNotFoundError, match="amqp:not-found"):
        await bus.get_queue_receiver("nothing").__aenter__()


async def test_single_messages_lists_and_batches_arrive_in_order(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("1"))
        await sender.send_messages([ServiceBusMessage("2"), ServiceBusMessage("3")])
        batch = await sender.create_message_batch()
        batch.add_message(ServiceBusMessage("4"))
        batch.add_message(ServiceBusMessage("5"))
        await sender.send_messages(batch)
    assert lying(broker, "ORDERS") == ["1", "2", "3", "4", "5"]
    assert broker.stats()["operations"]["send"] == {"done": 1}
    assert broker.stats()["operations"]["send.batch"] == {"done": 2}
    assert broker.stats()["accepted"] == 5


async def test_many_messages_pass_one_link(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    """More than the windows of sessions and links hold at once."""
    async with bus.get_queue_sender("orders") as sender:
        for number in range(1_200):
            await sender.send_messages(ServiceBusMessage(str(number)))
    assert lying(broker, "orders") == [str(number) for number in range(1_200)]


EVERY_TYPE: dict[str, Any] = {
    "text": "é😀",
    "true": True,
    "int": -(2**31),
    "double": 0.1,
    "uuid": UUID(int=7),
    "moment": datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC),
    "nothing": None,
    "long": {"TYPE": "LONG", "VALUE": 2**62},
    "ulong": {"TYPE": "ULONG", "VALUE": 2**64 - 1},
    "ubyte": {"TYPE": "UBYTE", "VALUE": 200},
    "short": {"TYPE": "SHORT", "VALUE": -300},
    "float": {"TYPE": "FLOAT", "VALUE": 0.5},
    "symbol": {"TYPE": "SYMBOL", "VALUE": "s"},
    "stamp": {"TYPE": "TIMESTAMP", "VALUE": 1_700_000_000_123},
}


async def test_every_type_arrives_as_it_was_sent(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    """Byte by byte: what the SDK wrote is what the queue holds and what a receiver is handed."""
    properties = AmqpMessageProperties(
        message_id=UUID(int=1), user_id=b"u", to="t", subject="s", reply_to="r", correlation_id="c",
        content_type="text/plain", content_encoding="gzip", group_id="g", group_sequence=9, reply_to_group_id="rg",
    )  # fmt: skip
    sent = AmqpAnnotatedMessage(
        data_body=[b"\x00\xff", b"two"],
        properties=properties,
        application_properties=EVERY_TYPE,
        annotations={"x-opt-own": {"TYPE": "LONG", "VALUE": 5}, "x-opt-text": "kept"},
        footer={"f": 1},
    )
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(sent)
    (stored,) = broker.namespace.queue("orders").peek(0, 1)
    content = stored.content
    untouched = content.properties + content.application_properties + content.body + content.footer
    assert untouched in encode_payload(bytearray(), PyamqpTransport.to_outgoing_amqp_message(sent))
    assert stored.encode().endswith(untouched)
    values = content.application_values()
    assert {name: type(value).__name__ for name, value in values.items()} == {
        "text": "str", "true": "bool", "int": "Int", "double": "float", "uuid": "UUID", "moment": "Timestamp",
        "nothing": "NoneType", "long": "Long", "ulong": "ULong", "ubyte": "UByte", "short": "Short", "float": "Float",
        "symbol": "Symbol", "stamp": "Timestamp",
    }  # fmt: skip
    assert values["ulong"] == 2**64 - 1
    async with bus.get_queue_receiver("orders") as receiver:
        (received,) = await receive(receiver)
        raw = received.raw_amqp_message
        assert list(raw.body) == [b"\x00\xff", b"two"]
        assert raw.properties is not None
        assert raw.properties.message_id == UUID(int=1)
        assert raw.properties.correlation_id == b"c"
        assert raw.properties.group_sequence == 9
        assert (raw.annotations or {})[b"x-opt-own"] == 5
        assert (raw.footer or {})[b"f"] == 1
        assert (received.application_properties or {})[b"stamp"] == 1_700_000_000_123


@pytest.mark.parametrize("body", [{"value_body": {"key": [1, 2.5, "x"]}}, {"sequence_body": [[1, "a"], [True]]}])
async def test_other_kinds_of_bodies_arrive(bus: ServiceBusClient, body: dict[str, Any]) -> None:
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(AmqpAnnotatedMessage(**body))
    async with bus.get_queue_receiver("orders", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        (received,) = await receive(receiver)
    found = received.raw_amqp_message.body
    assert found == {b"key": [1, 2.5, b"x"]} if "value_body" in body else list(found) == [[1, b"a"], [True]]


async def test_a_message_of_many_frames_passes_both_ways(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    sent = bytes(range(256)) * 4 * 1_000
    async with bus.get_queue_sender("large") as sender:
        await sender.send_messages(ServiceBusMessage(sent))
    async with bus.get_queue_receiver("large") as receiver:
        (received,) = await receive(receiver)
        assert b"".join(received.body) == sent
        await receiver.complete_message(received)
    assert broker.stats()["queues"]["large"]["completed"] == 1


async def test_what_is_too_large_is_refused_and_the_next_message_passes(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    async with bus.get_queue_sender("orders") as sender:
        assert (await sender.create_message_batch()).max_size_in_bytes == 262_144
        with pytest.raises(MessageSizeExceededError, match="exceeds the limit \\(262144 bytes\\)"):
            await sender.send_messages(ServiceBusMessage("x" * 262_144))
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("x" * 261_000))
    assert broker.stats()["accepted"] == 1


async def test_a_batch_has_its_own_limit(bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("large") as sender:
        batch = await sender.create_message_batch()
        assert batch.max_size_in_bytes == 1_048_576
        with pytest.raises(MessageSizeExceededError):
            batch.add_message(ServiceBusMessage("x" * 1_048_576))
        await sender.send_messages(ServiceBusMessage("x" * 3_000_000))


async def test_duplicates_are_dropped_within_the_window(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("once") as sender:
        for body in ("first", "again"):
            await sender.send_messages(ServiceBusMessage(body, message_id="1"))
        await sender.send_messages(
            [ServiceBusMessage("in a batch", message_id="1"), ServiceBusMessage("2", message_id="2")]
        )
        assert lying(broker, "once") == ["first", "2"]
        broker.clock.advance(61)
        await sender.send_messages(ServiceBusMessage("later", message_id="1"))
    assert lying(broker, "once") == ["first", "2", "later"]
    assert (broker.stats()["accepted"], broker.stats()["duplicates"]) == (3, 2)


async def test_scheduled_messages_wait_and_can_be_cancelled(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    async with bus.get_queue_sender("orders") as sender:
        kept, cancelled = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("not")], due)
        await sender.send_messages(ServiceBusMessage("by annotation", scheduled_enqueue_time_utc=due))
        await sender.cancel_scheduled_messages(cancelled)
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages([kept, cancelled])
    assert broker.stats()["queues"]["orders"] | {"scheduled": 2, "active": 0} == broker.stats()["queues"]["orders"]
    async with bus.get_queue_receiver("orders") as receiver:
        (peeked, _) = await receiver.peek_messages(2)
        assert (peeked.state, peeked.scheduled_enqueue_time_utc) == (
            ServiceBusMessageState.SCHEDULED,
            due.replace(microsecond=due.microsecond // 1_000 * 1_000),
        )
        broker.clock.advance(3_601)
        assert [text(received) for received in await receive(receiver, 2)] == ["kept", "by annotation"]


async def test_too_fast_a_sender_is_told_that_the_server_is_busy(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    async with bus.get_queue_sender("slow") as sender:
        await sender.send_messages(ServiceBusMessage("in time"))
        with pytest.raises(ServiceBusServerBusyError, match="50009"):
            await sender.send_messages(ServiceBusMessage("too soon"))
        broker.clock.advance(2)
        await sender.send_messages(ServiceBusMessage("now"))
    assert lying(broker, "slow")[-1] == "now"


async def test_a_full_queue_says_so(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "small", "x" * 2_000)
    async with bus.get_queue_sender("small") as sender:
        with pytest.raises(ServiceBusQuotaExceededError, match="maximum entity size"):
            await sender.send_messages(ServiceBusMessage("x" * 2_000))


async def test_a_queue_of_sessions_takes_no_message_without_one(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    async with bus.get_queue_sender("groups") as sender:
        with pytest.raises(ServiceBusError, match="SessionId was not set"):
            await sender.send_messages([ServiceBusMessage("a", session_id="s"), ServiceBusMessage("b")])
    assert lying(broker, "groups") == []


async def test_settling_does_what_it_says(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "complete", "abandon", "defer", "dead-letter")
    async with bus.get_queue_receiver("orders") as receiver:
        done, given_back, deferred, dead = await receive(receiver, 4)
        assert [received.delivery_count for received in (done, given_back, deferred, dead)] == [0, 0, 0, 0]
        await receiver.complete_message(done)
        await receiver.abandon_message(given_back)
        await receiver.defer_message(deferred)
        await receiver.dead_letter_message(dead, reason="why", error_description="because")
        (again,) = await receive(receiver)
        assert (text(again), again.delivery_count) == ("abandon", 1)
    assert broker.stats()["queues"]["orders"] | {
        "active": 1, "locked": 1, "deferred": 1, "completed": 1, "dead_letters": 1,
    } == broker.stats()["queues"]["orders"]  # fmt: skip
    async with bus.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as graveyard:
        (buried,) = await receive(graveyard)
        assert (text(buried), buried.dead_letter_reason, buried.dead_letter_error_description) == (
            "dead-letter", "why", "because",
        )  # fmt: skip
        await graveyard.complete_message(buried)
    assert lying(broker, "orders/$DeadLetterQueue") == []


async def test_receive_and_delete_leaves_nothing(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "a", "b", "c")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with bus.get_queue_receiver("orders", receive_mode=mode) as receiver:
        assert [text(received) for received in await receive(receiver, 2)] == ["a", "b"]
    assert lying(broker, "orders") == ["c"]


async def test_a_lock_that_ends_returns_the_message_and_refuses_its_holder(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    put(broker, "orders", "a")
    async with bus.get_queue_receiver("orders") as receiver:
        (first,) = await receive(receiver)
        broker.clock.advance(31)
        with pytest.raises(MessageLockLostError, match="message-lock-lost"):
            await receiver.complete_message(first)
        (second,) = await receive(receiver)
        assert second.delivery_count == 1
        await receiver.complete_message(second)
    assert lying(broker, "orders") == []


async def test_locks_can_be_renewed_until_they_are_lost(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "a")
    async with bus.get_queue_receiver("orders") as receiver:
        (received,) = await receive(receiver)
        assert received.locked_until_utc is not None
        assert received.locked_until_utc.timestamp() == pytest.approx(broker.clock.now() + 30, abs=2)
        broker.clock.advance(20)
        until = await receiver.renew_message_lock(received)
        assert until.timestamp() == pytest.approx(broker.clock.now() + 30, abs=2)
        broker.clock.advance(20)
        await receiver.renew_message_lock(received)
        broker.clock.advance(31)
        with pytest.raises(MessageLockLostError):
            await receiver.renew_message_lock(received)


async def test_after_the_last_delivery_a_message_is_buried(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "poison")
    async with bus.get_queue_receiver("orders") as receiver:
        for count in range(3):
            (received,) = await receive(receiver)
            assert received.delivery_count == count
            await receiver.abandon_message(received)
    assert lying(broker, "orders/$deadletterqueue") == ["poison"]


async def test_deferred_messages_are_received_by_number(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "a")
    async with bus.get_queue_receiver("orders") as receiver:
        (received,) = await receive(receiver)
        await receiver.defer_message(received)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages([99])
        (deferred,) = await receiver.receive_deferred_messages([received.sequence_number or 0])
        await receiver.renew_message_lock(deferred)
        await receiver.dead_letter_message(deferred, reason="late")
    (buried,) = broker.namespace.find("orders/$deadletterqueue").peek(0, 1)
    assert buried.content.application_values()["DeadLetterReason"] == "late"


async def test_peeking_locks_nothing(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", *"abcd")
    async with bus.get_queue_receiver("orders") as receiver:
        assert [text(peeked) for peeked in await receiver.peek_messages(2)] == ["a", "b"]
        assert [text(peeked) for peeked in await receiver.peek_messages(9)] == ["c", "d"]
        assert [text(peeked) for peeked in await receiver.peek_messages(1, sequence_number=2)] == ["b"]
        assert await receiver.peek_messages(1, sequence_number=99) == []
    assert broker.stats()["queues"]["orders"]["locked"] == 0


async def test_no_more_is_sent_than_there_is_credit_for(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", *"abcdefgh")
    async with bus.get_queue_receiver("orders") as receiver:
        await receive(receiver, 3)
        assert broker.stats()["queues"]["orders"]["locked"] == 3
        await receive(receiver, 2)
        assert broker.stats()["queues"]["orders"]["locked"] == 5


async def test_a_receiver_that_leaves_gives_back_what_it_has_not_looked_at(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    put(broker, "orders", *"abcdefgh")
    async with bus.get_queue_receiver("orders", prefetch_count=5) as receiver:
        await receive(receiver)
    (kept, *others) = broker.namespace.queue("orders").peek(0, 9)
    assert kept.lock is not None
    assert [(other.lock, other.delivery_count) for other in others] == [(None, 0)] * 7


async def test_a_waiting_receiver_is_handed_a_message_at_once(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("orders") as receiver, anyio.create_task_group() as tasks:

        async def send_when_it_waits() -> None:
            await eventually(lambda: broker.namespace.queue("orders")._watchers)
            put(broker, "orders", "new")

        tasks.start_soon(send_when_it_waits)
        begun = time.monotonic()
        assert [text(received) for received in await receive(receiver)] == ["new"]
        assert time.monotonic() - begun < 2


async def test_a_waiting_receiver_is_handed_a_scheduled_message_when_it_is_due(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    """By the broker's own alarm: nothing else happens meanwhile."""
    async with bus.get_queue_receiver("orders") as receiver:
        put(broker, "orders", "due", due_at=broker.clock.now() + 0.3)
        received = await receiver.receive_messages(1, max_wait_time=3)
        assert [text(one) for one in received] == ["due"]


async def test_receivers_share_messages_without_overlap(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", *map(str, range(40)))
    async with bus.get_queue_receiver("orders") as one, bus.get_queue_receiver("orders") as other:
        shares = [await receive(receiver, 10) for receiver in (one, other, one, other)]
    assert sorted(int(text(received)) for share in shares for received in share) == list(range(40))


async def test_expired_messages_are_buried_with_their_reason(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("brief") as sender:
        await sender.send_messages(ServiceBusMessage("own", time_to_live=timedelta(seconds=5)))
        await sender.send_messages(ServiceBusMessage("queue's"))
    broker.clock.advance(6)
    assert lying(broker, "brief") == ["queue's"]
    broker.clock.advance(15)
    async with bus.get_queue_receiver("brief", sub_queue="deadletter") as graveyard:
        buried = await receive(graveyard, 2)
        assert [(text(one), one.dead_letter_reason) for one in buried] == [
            ("own", "TTLExpiredException"),
            ("queue's", "TTLExpiredException"),
        ]


async def test_a_session_is_one_receivers_and_in_order(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    for body in ("1", "2"):
        put(broker, "groups", f"a{body}", session="a")
        put(broker, "groups", f"b{body}", session="b")
    async with bus.get_queue_receiver("groups", session_id="b") as receiver:
        assert receiver.session.session_id == "b"
        with pytest.raises(SessionCannotBeLockedError):
            await bus.get_queue_receiver("groups", session_id="b").__aenter__()
        first, second = await receive(receiver, 2)
        assert [text(first), text(second), first.session_id] == ["b1", "b2", "b"]
        await receiver.complete_message(first)
    (again,) = broker.namespace.queue("groups").peek(0, 9, "b")
    assert (body_of(again.content), again.lock, again.delivery_count) == ("b2", None, 0)


async def test_the_next_session_is_the_one_with_the_oldest_message(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    for session in ("x", "y"):
        put(broker, "groups", session, session=session)
    options: dict[str, Any] = {"session_id": NEXT_AVAILABLE_SESSION, "max_wait_time": 0.3}
    async with (
        bus.get_queue_receiver("groups", **options) as one,
        bus.get_queue_receiver("groups", **options) as two,
    ):
        assert (one.session.session_id, two.session.session_id) == ("x", "y")
        with pytest.raises(OperationTimeoutError):
            await bus.get_queue_receiver("groups", **options).__aenter__()


async def test_whoever_waits_for_a_session_gets_the_one_that_comes(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    async with anyio.create_task_group() as tasks:

        async def send_when_it_waits() -> None:
            await eventually(lambda: broker.namespace.queue("groups")._watchers)
            put(broker, "groups", "a", session="late")

        tasks.start_soon(send_when_it_waits)
        waiting = bus.get_queue_receiver("groups", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5)
        async with waiting as receiver:
            assert receiver.session.session_id == "late"


async def test_a_session_keeps_its_state(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("groups", session_id="s") as receiver:
        assert await receiver.session.get_state() is None
        await receiver.session.set_state(b"\x00half-way")
    put(broker, "groups", "a", session="other")
    assert [session async for session in bus.list_queue_sessions("groups")] == ["other", "s"]
    async with bus.get_queue_receiver("groups", session_id="s") as receiver:
        assert await receiver.session.get_state() == b"\x00half-way"
        await receiver.session.set_state(None)
        assert await receiver.session.get_state() is None


async def test_a_session_can_be_renewed_until_its_lock_is_lost(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "groups", "a", session="s")
    async with bus.get_queue_receiver("groups", session_id="s") as receiver:
        (received,) = await receive(receiver)
        broker.clock.advance(20)
        until = await receiver.session.renew_lock()
        assert until.timestamp() == pytest.approx(broker.clock.now() + 30, abs=2)
        broker.clock.advance(31)
        with pytest.raises(SessionLockLostError):
            await receiver.complete_message(received)
    (again,) = broker.namespace.queue("groups").peek(0, 1)
    assert (again.lock, again.delivery_count) == (None, 1)


async def test_a_deferred_message_of_a_session_is_received_in_it(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    put(broker, "groups", "a", session="s")
    async with bus.get_queue_receiver("groups", session_id="s") as receiver:
        (received,) = await receive(receiver)
        await receiver.defer_message(received)
        (deferred,) = await receiver.receive_deferred_messages(received.sequence_number or 0)
        await receiver.complete_message(deferred)
    assert lying(broker, "groups") == []


async def test_receivers_with_and_without_session_need_the_queue_to_fit(bus: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusError, match="requires sessions"):
        await bus.get_queue_receiver("groups").__aenter__()
    with pytest.raises(ServiceBusError, match="does not require sessions"):
        await bus.get_queue_receiver("orders", session_id="s").__aenter__()

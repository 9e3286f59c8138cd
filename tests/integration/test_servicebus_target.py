"""The Service Bus target passes messages on: whole, typed, in order within their group, each at least once.

The unmodified SDK over sockets, against the local broker, whose statistics say what reached it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from connectors.azure.servicebus import sending
from connectors.azure.servicebus.mapping import Outgoing, from_servicebus
from fakes.buses import SENT_AT, consumed, job, ready, sessions_of, step, text
from fakes.servicebus import lying
from sandbox.servicebus import Fault, QueueSettings, ServiceBusServer

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

    from replicator.messages import Message

pytestmark = pytest.mark.usefixtures("hurried")

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def properties(received: ServiceBusReceivedMessage) -> dict[str, Any]:
    """As the SDK gives them to a consumer, texts decoded."""
    found = (received.application_properties or {}).items()
    return {
        name.decode() if isinstance(name, bytes) else name: value.decode() if isinstance(value, bytes) else value
        for name, value in found
    }


def told_back(received: ServiceBusReceivedMessage) -> Message:
    """The neutral message that a consumer could make of what it got."""
    return from_servicebus(
        Outgoing(
            message_id=str(received.message_id),
            body=b"".join(received.body),
            session_id=received.session_id,
            content_type=received.content_type,
            properties=properties(received),
        )
    )


async def test_a_consumer_gets_everything_with_its_type(broker: ServiceBusServer) -> None:
    attributes = {
        "text": text("String", "é😀"),
        "empty": text("String", ""),
        "small": text("Number", "7"),
        "large": text("Number", "-9223372036854775808"),
        "huge": text("Number", "9223372036854775808"),
        "price": text("Number", "1.50"),
        "binary": text("Binary", b"\x00\xff"),
        "labelled": text("String.json", "{}"),
    }
    sent = job(1, "body é", attributes=attributes, sequence="5", deduplication_id="d", trace_header=TRACE, received=2)
    async with ready(broker, "orders") as bench:
        assert await bench.apply(sent) == []
    (received,) = await consumed(broker, "orders")
    found = properties(received)
    expected = {
        "text": "é😀",
        "empty": "",
        "small": 7,
        "large": -(2**63),
        "huge": "9223372036854775808",
        "price": 1.5,
        "binary": "AP8=",
        "labelled": "{}",
        "replicator_source_queue": "jobs",
        "replicator_sent_at": SENT_AT.isoformat(),
        "replicator_received": 2,
        "Diagnostic-Id": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
    }
    assert expected.items() <= found.items()
    assert (received.message_id, received.session_id) == ("m1", None)
    assert received.content_type == "text/plain; charset=utf-8"
    assert str(received) == "body é"
    assert told_back(received) == sent.record


async def test_the_groups_of_an_ordered_queue_become_sessions_and_keep_their_order(broker: ServiceBusServer) -> None:
    groups = ["a", "b", "c", "d", "e"]
    changes = [step(group, number) for number in range(60) for group in groups]
    async with ready(broker, "groups", sessions=True) as bench:
        for start in range(0, len(changes), 70):
            assert await bench.apply(*changes[start : start + 70]) == []
    assert sessions_of(broker, "groups") == {g: [f"{g}{n}" for n in range(60)] for g in groups}
    received = await consumed(broker, "groups", sessions=True)
    assert sorted(map(str, map(told_back, received))) == sorted(str(change.record) for change in changes)


async def test_ungrouped_messages_go_in_few_batches(broker: ServiceBusServer) -> None:
    async with ready(broker, "orders") as bench:
        assert await bench.apply(*(job(n) for n in range(350))) == []
    assert sorted(map(int, lying(broker, "orders"))) == list(range(350))
    assert broker.stats()["operations"]["send.batch"] == {"done": 4}


async def test_a_rejected_message_takes_those_behind_it_in_its_group_along_and_no_others(
    broker: ServiceBusServer,
) -> None:
    poison = text("String", "x" * 40_000)
    changes = [step("a", 1), step("b", 1), step("a", 2, attributes={"p": poison}), step("a", 3), step("b", 2)]
    async with ready(broker, "groups", sessions=True) as bench:
        rejections = {r.key: r.reason for r in await bench.apply(*changes)}
        assert sessions_of(broker, "groups") == {"a": ["a1"], "b": ["b1", "b2"]}
        assert rejections.keys() == {"ma2", "ma3"}
        assert "property p" in rejections["ma2"]
        assert rejections["ma3"] == sending.BEHIND
        assert await bench.apply(step("a", 2), step("a", 3)) == []
    assert sessions_of(broker, "groups")["a"] == ["a1", "a2", "a3"]


async def test_a_batch_that_is_refused_is_sent_in_parts(broker: ServiceBusServer) -> None:
    async with ready(broker, "groups", sessions=True, senders=1) as bench:
        broker.faults.add(Fault(operation="send.batch", condition="amqp:not-allowed", count=2))
        broker.faults.add(Fault(operation="send", condition="amqp:not-allowed", count=1))
        rejections = await bench.apply(*(step("a", n) for n in range(4)))
    assert {r.key: r.reason.partition(":")[0] for r in rejections} == {
        "ma0": "Service Bus refuses the message",
        **{f"ma{n}": sending.BEHIND.partition(":")[0] for n in (1, 2, 3)},
    }
    assert sessions_of(broker, "groups") == {}


async def test_ordered_messages_do_not_go_into_a_queue_without_sessions(broker: ServiceBusServer) -> None:
    async with ready(broker, "orders") as bench:
        rejections = await bench.apply(step("a", 1), step("a", 2), job(1))
        assert [r.key for r in rejections] == ["ma1", "ma2"]
        assert "sessions: true" in rejections[0].reason
    assert lying(broker, "orders") == ["1"]
    async with ready(broker, "orders", drop_order=True) as bench:
        assert await bench.apply(step("a", 1), step("a", 2)) == []
    assert lying(broker, "orders") == ["1", "a1", "a2"]


async def test_no_two_tasks_share_a_sender(broker: ServiceBusServer) -> None:
    """Many batches at once, of more groups than there are senders: a sender that is shared hangs or fails."""
    async with ready(broker, "groups", sessions=True, senders=2) as bench, anyio.create_task_group() as tasks:
        for group in range(20):
            tasks.start_soon(bench.apply, *(step(f"g{group}-", n) for n in range(10)))
    found = sessions_of(broker, "groups")
    assert found == {f"g{group}-": [f"g{group}-{n}" for n in range(10)] for group in range(20)}
    assert broker.stats()["operations"]["attach.send"]["done"] == 1


async def test_what_is_too_large_is_rejected_with_the_way_out(broker: ServiceBusServer) -> None:
    async with ready(broker, "orders") as bench:
        (rejection,) = await bench.apply(job(1, "x" * 262_144), job(2))
    assert "oversize: claim_check" in rejection.reason
    assert "262144" in rejection.reason
    assert lying(broker, "orders") == ["2"]


async def test_what_the_queue_takes_is_the_limit(broker: ServiceBusServer) -> None:
    """Above what a batch may have, a message goes alone."""
    async with ready(broker, "large") as bench:
        assert await bench.apply(job(1, "x" * 1_500_000), job(2, "y" * 1_000_000), job(3, "z" * 40_000)) == []
    assert sorted(len(stored.content.encode()) // 10_000 for stored in broker.namespace.queue("large").peek(0, 9)) == [
        4, 100, 150,
    ]  # fmt: skip


async def test_a_configured_limit_can_only_be_lower(broker: ServiceBusServer) -> None:
    async with ready(broker, "orders", max_message_bytes=2_000) as bench:
        (rejection,) = await bench.apply(job(1, "x" * 2_000), job(2))
    assert "2000" in rejection.reason
    async with ready(broker, "orders", max_message_bytes=104_857_600) as bench:
        (rejection,) = await bench.apply(job(1, "x" * 300_000))
    assert "262144" in rejection.reason


async def test_a_limit_that_was_raised_meanwhile_holds_for_what_was_too_large_before(
    broker: ServiceBusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LOOK_INTERVAL_S", 0)
    async with ready(broker, "orders") as bench:
        (rejection,) = await bench.apply(job(1, "x" * 300_000), job(2))
        assert rejection.key == "m1"
        broker.namespace.delete("orders")
        broker.namespace.create("orders", QueueSettings(max_message_bytes=1024 * 1024))
        assert await bench.apply(job(1, "x" * 300_000)) == []
    assert lying(broker, "orders") == ["x" * 300_000]


async def test_ten_thousand_messages_pass_in_order(broker: ServiceBusServer) -> None:
    """As eight receivers would bring them, each with groups of its own."""
    async with ready(broker, "groups", sessions=True) as bench, anyio.create_task_group() as tasks:

        async def receive(receiver: int) -> None:
            for start in range(0, 125, 10):
                steps = range(start, min(start + 10, 125))
                changes = [step(f"r{receiver}g{group}-", n, "x" * 200 + str(n)) for n in steps for group in range(10)]
                assert await bench.apply(*changes) == []

        for receiver in range(8):
            tasks.start_soon(receive, receiver)
    found = sessions_of(broker, "groups")
    assert found == {f"r{r}g{g}-": ["x" * 200 + str(n) for n in range(125)] for r in range(8) for g in range(10)}


@pytest.mark.parametrize(("queue", "counted"), [("orders", 2), ("once", 1)])
async def test_redeliveries_that_the_queue_may_not_recognise_are_counted(
    broker: ServiceBusServer, queue: str, counted: int
) -> None:
    """One queue detects nothing, the other one remembers a minute."""
    now = datetime.now(UTC)
    async with ready(broker, queue) as bench:
        await bench.apply(job(1, sent_at=now), job(2, sent_at=now, received=2))
        await bench.apply(job(3, sent_at=now - timedelta(minutes=2), received=2))
        assert bench.possible_duplicates == counted

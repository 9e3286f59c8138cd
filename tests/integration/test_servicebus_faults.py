"""Every fault of the local Service Bus broker does what it says to the real SDK, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from azure.servicebus import (
    ServiceBusMessage,
)
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusConnectionError,
    ServiceBusError,
    ServiceBusServerBusyError,
)

from fakes.servicebus import connect, eventually, lying, put, receive
from sandbox.servicebus import Fault, ServiceBusServer


async def test_throttling_is_reported_as_the_service_does(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    number = broker.faults.add(Fault(operation="send", queue="or*", count=1, condition="com.microsoft:server-busy"))
    async with bus.get_queue_sender("orders") as sender:
        with pytest.raises(ServiceBusServerBusyError):
            await sender.send_messages(ServiceBusMessage("1"))
        await sender.send_messages(ServiceBusMessage("2"))
    assert lying(broker, "orders") == ["2"]
    assert broker.faults.struck(number) == 1
    assert broker.stats()["operations"]["send"] == {"com.microsoft:server-busy": 1, "done": 1}


async def test_a_message_can_be_kept_and_yet_called_an_error(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    broker.faults.add(Fault(operation="send", when="after", condition="amqp:internal-error"))
    async with bus.get_queue_sender("orders") as sender:
        with pytest.raises(ServiceBusError, match="Injected"):
            await sender.send_messages(ServiceBusMessage("kept"))
    assert lying(broker, "orders") == ["kept"]


@pytest.mark.parametrize(("when", "kept"), [("before", []), ("after", ["a"])])
async def test_a_stalled_send_times_out_whether_or_not_the_message_is_kept(
    broker: ServiceBusServer, bus: ServiceBusClient, when: Any, kept: list[str]
) -> None:
    broker.faults.add(Fault(operation="send*", when=when, stall=True))
    async with bus.get_queue_sender("orders") as sender:
        with pytest.raises(OperationTimeoutError):
            await sender.send_messages(ServiceBusMessage("a"), timeout=0.3)
    assert lying(broker, "orders") == kept


@pytest.mark.parametrize(("when", "kept"), [("before", []), ("after", ["a"])])
async def test_a_cut_connection_is_an_error_whether_or_not_the_message_is_kept(
    broker: ServiceBusServer, bus: ServiceBusClient, when: Any, kept: list[str]
) -> None:
    broker.faults.add(Fault(operation="send", when=when, cut=True, count=1))
    async with bus.get_queue_sender("orders") as sender:
        with pytest.raises(ServiceBusConnectionError):
            await sender.send_messages(ServiceBusMessage("a"))
    assert lying(broker, "orders") == kept


async def test_a_repeated_send_is_dropped_by_duplicate_detection(broker: ServiceBusServer, hurried: None) -> None:
    broker.faults.add(Fault(operation="send", when="after", cut=True, count=1))
    async with (
        connect(broker, retry_total=2, retry_backoff_factor=0.01) as bus,
        bus.get_queue_sender("once") as sender,
    ):
        await sender.send_messages(ServiceBusMessage("a", message_id="1"))
    assert lying(broker, "once") == ["a"]
    assert broker.stats()["duplicates"] == 1


async def test_a_delayed_send_lands_later_than_the_ones_after_it(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    broker.faults.add(Fault(operation="send", delay_s=0.6, count=1))
    async with bus.get_queue_sender("orders") as sender:
        with pytest.raises(OperationTimeoutError):
            await sender.send_messages(ServiceBusMessage("late"), timeout=0.2)
        await sender.send_messages(ServiceBusMessage("next"))
    await eventually(lambda: lying(broker, "orders") == ["next", "late"])


async def test_a_late_answer_is_still_an_answer(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    broker.faults.add(Fault(operation="send", when="after", delay_s=0.3, count=1))
    async with bus.get_queue_sender("orders") as sender, anyio.create_task_group() as tasks:
        begun = time.monotonic()
        tasks.start_soon(sender.send_messages, ServiceBusMessage("a"))
        await eventually(lambda: lying(broker, "orders") == ["a"])
        kept_s = time.monotonic() - begun
    assert kept_s < 0.3 <= time.monotonic() - begun


async def test_a_detached_link_is_attached_anew(broker: ServiceBusServer, hurried: None) -> None:
    broker.faults.add(Fault(operation="send", detach=True, condition="amqp:link:detach-forced", count=1))
    async with (
        connect(broker, retry_total=2, retry_backoff_factor=0.01) as bus,
        bus.get_queue_sender("orders") as sender,
    ):
        await sender.send_messages(ServiceBusMessage("a"))
    assert lying(broker, "orders") == ["a"]
    assert broker.stats()["operations"]["attach.send"] == {"done": 2}


async def test_a_link_that_was_idle_for_long_is_attached_anew(broker: ServiceBusServer, hurried: None) -> None:
    async with (
        connect(broker, retry_total=2, retry_backoff_factor=0.01) as bus,
        bus.get_queue_sender("orders") as sender,
    ):
        broker.detach_links("orders")
        await sender.send_messages(ServiceBusMessage("a"))
    assert lying(broker, "orders") == ["a"]


async def test_a_lost_connection_leaves_messages_locked_until_their_locks_end(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    put(broker, "orders", "a")
    async with bus.get_queue_receiver("orders") as receiver:
        await receive(receiver)
        broker.cut()
    (stored,) = broker.namespace.queue("orders").peek(0, 1)
    assert stored.lock is not None
    broker.clock.advance(31)
    (again,) = broker.namespace.queue("orders").peek(0, 1)
    assert (again.lock, again.delivery_count) == (None, 1)


async def test_a_settlement_can_fail(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    put(broker, "orders", "a")
    broker.faults.add(Fault(operation="settle.complete", condition="com.microsoft:server-busy", count=1))
    async with bus.get_queue_receiver("orders") as receiver:
        (received,) = await receive(receiver)
        with pytest.raises(ServiceBusServerBusyError):
            await receiver.complete_message(received)
    assert broker.stats()["queues"]["orders"]["locked"] == 1


async def test_management_operations_can_be_struck(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    broker.faults.add(Fault(operation="manage.peek-message", condition="com.microsoft:server-busy"))
    async with bus.get_queue_receiver("orders") as receiver:
        with pytest.raises(ServiceBusServerBusyError):
            await receiver.peek_messages(1)


async def test_a_server_that_was_down_has_kept_its_messages(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("before"))
        await broker.stop()
        with pytest.raises(ServiceBusConnectionError):
            await sender.send_messages(ServiceBusMessage("while down"))
        await broker.start()
        await sender.send_messages(ServiceBusMessage("after"))
    assert lying(broker, "orders") == ["before", "after"]

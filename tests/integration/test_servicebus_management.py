"""Queues of the local Service Bus broker are managed by the real SDK over HTTP; the broker as a program."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import aiohttp
import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from azure.core.exceptions import ClientAuthenticationError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.servicebus import (
    ServiceBusMessage,
)
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.servicebus.exceptions import (
    ServiceBusError,
    ServiceBusServerBusyError,
)

from fakes.servicebus import QUEUES, lying, put
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.servicebus.amqp.frames import SASL, SASL_HEADER, write_frame
from sandbox.servicebus.amqp.performatives import SaslInit, SaslOutcome

pytestmark = pytest.mark.embedded("servicebus", "looks into the broker, or steers it")


class PlainHttp(AioHttpTransport):  # type: ignore[misc]  # exported without types
    """The SDK builds addresses with https only; this sends to them in plain HTTP."""

    async def send(self, request: Any, **options: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return await super().send(request, **options)


def administer(broker: ServiceBusServer, **options: Any) -> ServiceBusAdministrationClient:
    settings = {"connection_verify": str(broker.certificate), "retry_total": 0, **options}
    return ServiceBusAdministrationClient.from_connection_string(broker.management_connection_string, **settings)


async def test_queues_are_created_looked_at_listed_and_deleted(broker: ServiceBusServer) -> None:
    async with administer(broker) as admin:
        created = await admin.create_queue(
            "site/new",
            requires_session=True,
            requires_duplicate_detection=True,
            duplicate_detection_history_time_window=timedelta(minutes=5),
            lock_duration="PT30S",
            max_delivery_count=7,
            default_message_time_to_live=timedelta(days=1),
            dead_lettering_on_message_expiration=True,
            max_message_size_in_kilobytes=2_048,
        )
        found = await admin.get_queue("site/new")
        assert dict(found.items()) == dict(created.items())
        assert (found.requires_session, found.requires_duplicate_detection, found.max_delivery_count) == (True, True, 7)
        assert found.duplicate_detection_history_time_window == timedelta(minutes=5)
        assert (found.lock_duration, found.default_message_time_to_live) == (timedelta(seconds=30), timedelta(days=1))
        assert found.max_message_size_in_kilobytes == 2_048
        assert [queue.name async for queue in admin.list_queues()] == sorted([*QUEUES, "site/new"])
        with pytest.raises(ResourceExistsError):
            await admin.create_queue("Site/New")
        await admin.delete_queue("site/new")
        with pytest.raises(ResourceNotFoundError):
            await admin.get_queue("site/new")
        with pytest.raises(ResourceNotFoundError):
            await admin.delete_queue("site/new")


async def test_what_a_queue_holds_is_counted(broker: ServiceBusServer) -> None:
    put(broker, "orders", "a", "b", "c")
    put(broker, "orders", "later", due_at=broker.clock.now() + 99)
    stored = broker.namespace.queue("orders").take()
    assert stored is not None
    assert stored.lock is not None
    broker.namespace.queue("orders").dead_letter(stored.lock.token, None, None)
    async with administer(broker) as admin:
        counts = await admin.get_queue_runtime_properties("orders")
        assert (counts.active_message_count, counts.dead_letter_message_count) == (2, 1)
        assert (counts.scheduled_message_count, counts.total_message_count) == (1, 4)
        assert (counts.size_in_bytes or 0) > 0


async def test_long_lists_come_in_pages(broker: ServiceBusServer) -> None:
    for number in range(130):
        broker.namespace.create(f"n{number:03}", QueueSettings())
    async with administer(broker) as admin:
        assert len([queue async for queue in admin.list_queues()]) == 130 + len(QUEUES)


async def test_plain_http_serves_the_same(broker: ServiceBusServer) -> None:
    string = broker.management_connection_string.replace(str(broker.management_port), str(broker.http_port))
    admin = ServiceBusAdministrationClient.from_connection_string(string, transport=PlainHttp(), retry_total=0)
    async with admin:
        assert (await admin.get_queue("groups")).requires_session is True


async def test_administration_needs_the_key(broker: ServiceBusServer) -> None:
    string = broker.management_connection_string.replace("SAS_KEY_VALUE", "another")
    options: dict[str, Any] = {"connection_verify": str(broker.certificate), "retry_total": 0}
    async with ServiceBusAdministrationClient.from_connection_string(string, **options) as stranger:
        with pytest.raises(ClientAuthenticationError):
            await stranger.get_queue("orders")


async def test_links_to_a_deleted_queue_end(broker: ServiceBusServer, bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("orders") as sender:
        broker.namespace.delete("orders")
        with pytest.raises(ServiceBusError):
            await sender.send_messages(ServiceBusMessage("a"))


async def test_the_program_is_driven_over_http_and_ends_when_told(hurried: None) -> None:
    command = [sys.executable, "-m", "sandbox.servicebus", "--queues", json.dumps({"jobs": {"lock_s": 30}})]
    async with await anyio.open_process(command) as program:
        assert program.stdout is not None
        where = json.loads(await anext(aiter(TextReceiveStream(program.stdout))))
        async with aiohttp.ClientSession(f"{where['http_endpoint']}_sandbox/") as control:
            await control.post("queues", json={"groups": {"sessions": True}})
            assert (await control.post("queues", json={"bad": {"lock": 1}})).status == 400
            fault = {"operation": "send", "condition": "com.microsoft:server-busy", "count": 1}
            assert await (await control.post("faults", json=fault)).json() == {"number": 1}
            bus = ServiceBusClient.from_connection_string(where["connection_string"], retry_total=0)
            async with bus, bus.get_queue_sender("jobs") as sender:
                with pytest.raises(ServiceBusServerBusyError):
                    await sender.send_messages(ServiceBusMessage("a"))
                await sender.send_messages(ServiceBusMessage("a", time_to_live=timedelta(seconds=9)))
            await control.post("clock", json={"advance_s": 10})
            stats = await (await control.get("stats")).json()
            assert stats["queues"]["jobs"]["expired"] == 1
            assert "groups" in stats["queues"]
            await control.post("reset")
            assert (await (await control.get("stats")).json())["queues"].keys() == {"jobs"}
            assert (await control.get("nothing")).status == 404
        program.send_signal(signal.SIGTERM)
        assert await program.wait() == 0


async def exchange(broker: ServiceBusServer, sent: bytes, until: bytes = b"\xff" * 9) -> bytes:
    """What the broker answers to raw bytes, up to the end of the connection or to these bytes."""
    answer = b""
    async with await anyio.connect_tcp(broker.host, broker.port) as stream:
        await stream.send(sent)
        with anyio.fail_after(30), suppress(anyio.EndOfStream):
            while until not in answer:
                answer += await stream.receive()
    return answer


async def test_another_protocol_is_told_which_one_is_spoken(broker: ServiceBusServer) -> None:
    assert await exchange(broker, b"GET / HTTP/1.1\r\n\r\n") == SASL_HEADER


@pytest.mark.parametrize(("password", "code"), [(b"SAS_KEY_VALUE", 0), (b"wrong", 1)])
async def test_sasl_plain_takes_the_key_itself(broker: ServiceBusServer, password: bytes, code: int) -> None:
    init = SaslInit("PLAIN", b"\0RootManageSharedAccessKey\0" + password)
    outcome = write_frame(0, SaslOutcome(code), kind=SASL)
    answer = await exchange(broker, SASL_HEADER + write_frame(0, init, kind=SASL), outcome)
    assert answer.endswith(outcome)


async def test_nonsense_ends_the_connection_with_an_error_and_nothing_else(
    broker: ServiceBusServer, bus: ServiceBusClient
) -> None:
    assert b"framing-error" in await exchange(broker, SASL_HEADER + b"\xff" * 64)
    async with bus.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("still there"))
    assert lying(broker, "orders") == ["still there"]

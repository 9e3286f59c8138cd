"""What tests of the local Service Bus broker share: its queues, and short ways to fill them and look into them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from azure.servicebus import ServiceBusReceiveMode
from azure.servicebus._pyamqp.utils import generate_sas_token
from azure.servicebus.aio import ServiceBusClient

from fakes.amqp import body_of, message
from sandbox.servicebus import EMULATOR_KEY, KEY_NAME, QueueSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

    from sandbox.servicebus import ServiceBusServer

QUEUES = {
    "orders": QueueSettings(lock_s=30, max_delivery_count=3),
    "once": QueueSettings(duplicate_window_s=60),
    "groups": QueueSettings(sessions=True, lock_s=30),
    "large": QueueSettings(max_message_bytes=4 * 1024 * 1024),
    "small": QueueSettings(max_bytes=3_000),
    "slow": QueueSettings(sends_per_s=1),
    "brief": QueueSettings(time_to_live_s=20, dead_letter_expired=True),
}
LONGEST_PAUSE_S = 0.005


class Hurried:
    """Stands for the module asyncio where the SDK polls: its pauses, up to a second each, are cut short."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, LONGEST_PAUSE_S))


class Namespace(Protocol):
    """Where a namespace is: a local broker of ours, or an emulator in a container."""

    @property
    def connection_string(self) -> str: ...


def connect(broker: Namespace, **options: Any) -> ServiceBusClient:
    """A client that repeats nothing."""
    return ServiceBusClient.from_connection_string(broker.connection_string, **{"retry_total": 0, **options})


def token_for(address: str, seconds: float) -> str:
    """A shared access signature that is good for so many seconds from now."""
    token: str = generate_sas_token(address, KEY_NAME, EMULATOR_KEY, time.time() + seconds)  # type: ignore[no-untyped-call]
    return token


def put(broker: ServiceBusServer, queue: str, *bodies: str, **options: Any) -> list[int]:
    """Put messages into a queue without a client; their numbers."""
    return broker.namespace.queue(queue).send([message(body, **options) for body in bodies])


def lying(broker: ServiceBusServer, path: str) -> list[str]:
    """The bodies that lie in a queue or dead-letter queue, in order."""
    return [body_of(stored.content) for stored in broker.namespace.find(path).peek(0, 100_000)]


def text(received: ServiceBusReceivedMessage) -> str:
    """The body of a message."""
    return b"".join(received.body).decode()


async def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly so many messages, in as many calls as it takes."""
    received: list[ServiceBusReceivedMessage] = []
    with anyio.fail_after(60):
        while len(received) < count:
            received += await receiver.receive_messages(count - len(received), max_wait_time=5)
    return received


async def empty(bus: ServiceBusClient) -> None:
    """Take whatever lies in the queues without sessions."""
    for name in [name for name, settings in QUEUES.items() if not settings.sessions]:
        async with bus.get_queue_receiver(name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
            while await receiver.receive_messages(100, max_wait_time=0.2):
                pass


async def eventually(holds: Callable[[], object]) -> None:
    """Return once something holds that nobody announces."""
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 -- nobody announces it
            await anyio.sleep(0.01)

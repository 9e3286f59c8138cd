"""Microsoft's emulators of Cosmos DB and Service Bus, in containers: seen only as an application sees them."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from unittest.mock import patch

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusReceivedMessage
from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import (
    ServiceBusClient,
    ServiceBusReceiver,
    _servicebus_receiver_async,
    _servicebus_sender_async,
)
from azure.servicebus.exceptions import OperationTimeoutError
from contracts.worlds import servicebus as embedded
from contracts.worlds.documents import KEY_NAMES, numbers, with_text
from contracts.worlds.messages import body_of, number_of, sent
from contracts.worlds.sides import LocalClouds, TargetWorld
from pydantic import SecretStr

from connectors.azure.servicebus.config import ServiceBusTargetConfig
from fakes import buses
from fakes import cosmos as fakes
from fakes.records import delete, document, key_of, upsert
from fakes.servicebus import Hurried, connect, text
from replicator.documents import Document, digest
from replicator.messages import Message
from replicator.model import Change
from sandbox.faults import FaultProxy
from sandbox.faults.rules import CutBefore, HoldDelivery

LIFETIME_S = 1.0
TIMEOUT_S = 5.0
AT_ONCE = 100
NO_MORE_S = 2.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@asynccontextmanager
async def cosmos(clouds: LocalClouds) -> AsyncIterator[TargetWorld[Document]]:
    """The real target and the real SDK, through a proxy that loses answers; a database of its own."""
    account = clouds.cosmos()
    name = f"contract-{uuid.uuid4().hex}"
    async with (
        FaultProxy("127.0.0.1", account.port) as proxy,
        fakes.opened(
            f"{proxy.endpoint}/", fakes.telemetry(), database=name, lifetime_s=LIFETIME_S, timeout_s=LIFETIME_S / 2
        ) as (target, _),
        fakes.connect(account) as client,
    ):
        container = client.get_database_client(name).get_container_client(fakes.CONTAINER)

        async def held() -> dict[str, int]:
            return numbers(fakes.found([body async for body in container.read_all_items()], KEY_NAMES))

        async def put_foreign(name: str) -> None:
            await container.upsert_item({"id": name, "number": 0})

        async def put_leftover(name: str) -> None:
            note = {"v": 1, "digest": digest(document(name, 0)), "version": ""}
            await container.upsert_item({"id": f"once {name}", "id_": name, "number": 0, "_replicator": note})

        def lose_next(lands_s: float | None) -> None:
            for method in WRITES:
                proxy.inject(CutBefore() if lands_s is None else HoldDelivery(seconds=lands_s), method=method, count=1)

        yield TargetWorld(
            target, upsert, key_of, held, with_text(upsert("refused", 1), "x" * 2**21), delete,
            put_foreign=put_foreign, put_leftover=put_leftover, lose_next=lose_next,
            key_names=KEY_NAMES, lifetime_s=LIFETIME_S,
        )  # fmt: skip


@asynccontextmanager
async def plain_queue(clouds: LocalClouds) -> AsyncIterator[TargetWorld[Message]]:
    """The real target and the real SDK, on a queue that the target makes."""
    async with _queue(clouds, sessions=False) as world:
        yield world


@asynccontextmanager
async def sessions_queue(clouds: LocalClouds) -> AsyncIterator[TargetWorld[Message]]:
    """Likewise; groups become sessions."""
    async with _queue(clouds, sessions=True) as world:
        world.in_group = embedded.in_group
        yield world


@asynccontextmanager
async def _queue(clouds: LocalClouds, *, sessions: bool) -> AsyncIterator[TargetWorld[Message]]:
    namespace = clouds.servicebus()
    config = ServiceBusTargetConfig(
        type="servicebus",
        queue=f"contract-{uuid.uuid4().hex[:12]}",
        connection_string=SecretStr(namespace.connection_string),
        management_endpoint=namespace.management_endpoint,
        create=True,
        sessions=sessions,
    )
    with ExitStack() as patches:
        for module in (_client_async, _servicebus_receiver_async, _servicebus_sender_async):
            patches.enter_context(patch.object(module, "asyncio", Hurried()))
        async with buses.opened(config, TIMEOUT_S) as (target, _, _), connect(namespace) as bus:

            async def held() -> dict[str, int]:
                found = await _lying(bus, config.queue, sessions=sessions)
                return {str(message.message_id): number_of(text(message)) for message in found}

            async def consumed() -> list[str]:
                found = await _lying(bus, config.queue, sessions=sessions)
                return [str(message.message_id) for message in found]

            def upsert(name: str, number: int) -> Change[Message]:
                return sent(name, body_of(name, number), name if sessions else None)

            refused = sent("refused", embedded.TOO_LARGE, "refused" if sessions else None)
            yield TargetWorld(target, upsert, str, held, refused, consumed=consumed, lifetime_s=2 * TIMEOUT_S)


async def _lying(bus: ServiceBusClient, queue: str, *, sessions: bool) -> list[ServiceBusReceivedMessage]:
    """Every message of a queue, in order; session by session, each held until the last was seen."""
    if not sessions:
        async with bus.get_queue_receiver(queue) as receiver:
            return await _peeked(receiver)
    found: list[ServiceBusReceivedMessage] = []
    async with AsyncExitStack() as held:
        while True:
            receiver = bus.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=NO_MORE_S)
            try:
                await held.enter_async_context(receiver)
            except OperationTimeoutError:
                return found
            found += await _peeked(receiver)


async def _peeked(receiver: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
    found: list[ServiceBusReceivedMessage] = []
    while page := await receiver.peek_messages(AT_ONCE, sequence_number=_after(found)):
        found += page
    return found


def _after(found: list[ServiceBusReceivedMessage]) -> int:
    return (found[-1].sequence_number or 0) + 1 if found else 0

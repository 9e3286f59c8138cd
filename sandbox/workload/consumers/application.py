"""`python -m sandbox.workload.consumers.application SETTINGS.json`: writes events, where its traffic is sent.

An event is an item, an object or a message with an id of its own. It is noted when its write was acknowledged.
What fails ends the program.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from zlib import crc32

import anyio
from aiobotocore.session import AioSession
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import CosmosClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob.aio import ContainerClient

from replicator.client import install
from sandbox.workload.consumers.journal import Journal
from sandbox.workload.consumers.running import POLL_S, until_told
from sandbox.workload.consumers.settings import AWS, AZURE, EVENT, NOWHERE, ApplicationSettings, Sending
from sandbox.workload.consumers.traffic import confirmation, wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.servicebus.aio import ServiceBusSender

    Write = Callable[[str], Awaitable[None]]

CUSTOMERS = 7
HOOK_TIMEOUT_S = 15.0


class AtAws:
    """Writes there."""

    def __init__(self, settings: ApplicationSettings, clients: dict[str, Any]) -> None:
        self._settings = settings
        self._clients = clients

    async def put_item(self, event: str) -> None:
        """Of the table."""
        item = {name: {"S": text} for name, text in order(event).items()}
        await self._clients["dynamodb"].put_item(TableName=self._settings.table, Item=item)

    async def put_object(self, event: str) -> None:
        """Into the bucket."""
        await self._clients["s3"].put_object(Bucket=self._settings.bucket, Key=event, Body=event.encode())

    async def send(self, sending: Sending, event: str) -> None:
        """To a queue or a topic."""
        if sending.queue:
            await self._clients["sqs"].send_message(QueueUrl=sending.queue, MessageBody=message(event))
        else:
            await self._clients["sns"].publish(TopicArn=sending.topic, Message=message(event))


class AtAzure:
    """Writes there."""

    def __init__(self, settings: ApplicationSettings, cosmos: Any, blobs: ContainerClient, bus: Any) -> None:
        database = cosmos.get_database_client(settings.database)
        self._container = database.get_container_client(settings.container)
        self._blobs = blobs
        self._bus = bus
        self._senders: dict[str, ServiceBusSender] = {}

    async def put_item(self, event: str) -> None:
        """Into the container of documents."""
        await self._container.upsert_item({"id": event, **order(event)})

    async def put_object(self, event: str) -> None:
        """Into the container of blobs."""
        await self._blobs.upload_blob(event, event.encode(), overwrite=True)

    async def send(self, sending: Sending, event: str) -> None:
        """To a queue of Service Bus."""
        if sending.at_azure not in self._senders:  # kept open, since that takes half a second; closed with the client
            self._senders[sending.at_azure] = self._bus.get_queue_sender(sending.at_azure)
        sender = self._senders[sending.at_azure]
        await sender.send_messages(ServiceBusMessage(message(event), message_id=event), timeout=10)


class Application:
    """One event after the other, of each kind in turn."""

    def __init__(self, settings: ApplicationSettings, sides: dict[str, AtAws | AtAzure]) -> None:
        self._settings = settings
        self._sides = sides
        self._journals = {name: Journal(settings.journal, name) for name in sides}
        self._where = ""

    async def run(self, stopping: anyio.Event) -> None:
        """What is in hand when the traffic is moved is finished before that is confirmed."""
        numbers = itertools.count(1)
        while not stopping.is_set():
            self._confirm(wanted(self._settings.traffic))
            if self._where == NOWHERE:
                await anyio.sleep(POLL_S)
            else:
                await self._write_each(next(numbers))
                await anyio.sleep(1 / self._settings.rate_per_s)
        confirmation(self._settings.traffic).unlink(missing_ok=True)

    async def _write_each(self, number: int) -> None:
        settings, side, journal = self._settings, self._sides[self._where], self._journals[self._where]
        event = f"{settings.name}-{number}"
        await side.put_item(f"{event}-order")
        journal.note("orders", f"{event}-order")
        await side.put_object(f"{event}-upload")
        journal.note("uploads", f"{event}-upload")
        for sending in settings.sendings:
            await side.send(sending, f"{event}-{sending.kind}")
            journal.note(sending.kind, f"{event}-{sending.kind}")

    def _confirm(self, where: str) -> None:
        if where != self._where:
            self._where = where
            confirmation(self._settings.traffic).write_text(where)


def order(event: str) -> dict[str, str]:
    """The attributes of an item, the members of a document."""
    return {"customer": f"c{crc32(event.encode()) % CUSTOMERS}", "order_id": event, EVENT: event}


def message(event: str) -> str:
    """The body of one."""
    return json.dumps({EVENT: event})


async def run(settings: ApplicationSettings) -> None:
    """Until it is told to end."""
    async with AsyncExitStack() as stack:
        session = AioSession()
        clients = {
            service: await stack.enter_async_context(session.create_client(service, endpoint_url=settings.endpoint))
            for service in ("dynamodb", "s3", "sqs", "sns")
        }
        if settings.daemon:
            hook = install(clients["dynamodb"], settings.daemon, timeout_s=HOOK_TIMEOUT_S, exceeded="count")
            await stack.enter_async_context(hook)
        transport = AioHttpTransport(use_env_settings=False)
        cosmos = CosmosClient(
            settings.cosmos, os.environ["COSMOS_KEY"], transport=transport, enable_endpoint_discovery=False
        )
        azure = AtAzure(
            settings,
            await stack.enter_async_context(cosmos),
            await stack.enter_async_context(
                ContainerClient.from_connection_string(os.environ["BLOBS"], settings.blobs)
            ),
            await stack.enter_async_context(ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"])),
        )
        application = Application(settings, {AWS: AtAws(settings, clients), AZURE: azure})
        await until_told([application.run])
        if settings.daemon:
            sys.stdout.write(json.dumps({"waited": hook.waited, "exceeded": hook.exceeded}) + "\n")


if __name__ == "__main__":
    anyio.run(run, ApplicationSettings.of(sys.argv))

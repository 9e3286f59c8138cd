"""`python -m sandbox.workload.consumers.functions SETTINGS.json`: a function app at Azure, each function only while its
application settings do not say that it is disabled.

A message is completed after it was noted. Changes of the container and blobs trigger from the instant that a setting
names, or else from when the function was first on, and what was worked on is remembered: as a lease container does, and
as a subscription to Event Grid would, which the local Blob Storage has not.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob.aio import ContainerClient

from sandbox.workload.consumers.journal import Journal
from sandbox.workload.consumers.running import POLL_S, Memory, tick, until_told
from sandbox.workload.consumers.settings import AZURE, EVENT, FunctionsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = 10
WAIT_S = 0.2


class App:
    """The function app as its host sees it."""

    def __init__(self, settings: FunctionsSettings, http: aiohttp.ClientSession) -> None:
        self._url = settings.arm + settings.app
        self._http = http
        self._options: dict[str, Any] = {
            "params": {"api-version": "2024-04-01"},
            "headers": {"Authorization": f"Bearer {settings.token}"},
        }

    async def is_on(self, function: str) -> bool:
        """What its settings in force say."""
        async with self._http.get(f"{self._url}/functions/{function}", **self._options) as answer:
            answer.raise_for_status()
            return not (await answer.json())["properties"]["isDisabled"]

    async def begins_at(self, function: str) -> datetime:
        """The instant from which on it is triggered."""
        async with self._http.post(f"{self._url}/config/appsettings/list", **self._options) as answer:
            answer.raise_for_status()
            told = (await answer.json())["properties"].get(f"{function}_FROM")
        return datetime.fromisoformat(told) if told else datetime.now(UTC)


class Functions:
    """All of them."""

    def __init__(self, settings: FunctionsSettings, app: App) -> None:
        self._settings = settings
        self._app = app
        self._journal = Journal(settings.journal, AZURE)
        self._leases = Memory(settings.leases)

    async def work_orders(self, client: CosmosClient, stopping: anyio.Event) -> None:
        """The change feed: a page at a time, then its continuation is kept."""
        container = client.get_database_client(self._settings.database).get_container_client(self._settings.container)
        while not stopping.is_set():
            if not (await self._app.is_on(self._settings.orders) and await self._read_feed(container)):
                await anyio.sleep(POLL_S)

    async def work_uploads(self, client: ContainerClient, stopping: anyio.Event) -> None:
        """New blobs."""
        while not stopping.is_set():
            if not (await self._app.is_on(self._settings.uploads) and await self._look_for_blobs(client)):
                await anyio.sleep(POLL_S)

    async def work_queue(self, client: ServiceBusClient, queue: str, function: str, stopping: anyio.Event) -> None:
        """It is received from only while the function is on."""
        while not stopping.is_set():
            if not await self._app.is_on(function):
                await anyio.sleep(POLL_S)
                continue
            async with client.get_queue_receiver(queue) as receiver:
                while not stopping.is_set() and await self._app.is_on(function):
                    for message in await receiver.receive_messages(PAGE, max_wait_time=WAIT_S):
                        await self._handle(queue, json.loads(b"".join(message.body)).get(EVENT))
                        await receiver.complete_message(message)

    async def tick(self, stopping: anyio.Event) -> None:
        """While the timer's function is on."""
        await tick(self._journal, self._settings.tick_s, partial(self._app.is_on, self._settings.timer), stopping)

    async def _read_feed(self, container: Any) -> int:
        """From the beginning, and what is older is passed over: the client cannot go on from where it began at an
        instant, since it takes milliseconds for seconds there (azure-cosmos 4.17.1).
        """
        begin = await self._begin(self._settings.orders)
        token = self._leases.content.get("feed")
        where = {"continuation": token} if token else {"start_time": "Beginning"}
        pages = container.query_items_change_feed(max_item_count=PAGE, **where).by_page()
        found = 0
        try:
            async for page in pages:
                async for document in page:
                    found += 1
                    if document["_ts"] >= int(begin.timestamp()):
                        await self._handle("orders", triggers(document))
                self._leases.content["feed"] = pages.continuation_token
                self._leases.save()
        except CosmosResourceNotFoundError:
            return 0
        return found

    async def _look_for_blobs(self, client: ContainerClient) -> int:
        receipts: dict[str, str] = self._leases.content.setdefault("blobs", {})
        begin = await self._begin(self._settings.uploads)
        found = 0
        try:
            async for blob in client.list_blobs():
                if blob.last_modified >= begin and receipts.get(blob.name) != blob.etag:
                    found += 1
                    await self._handle("uploads", blob.name)
                    receipts[blob.name] = blob.etag
                    self._leases.save()
        except ResourceNotFoundError:
            return 0
        return found

    async def _begin(self, function: str) -> datetime:
        """From when on it is triggered, in whole seconds, as the services tell times; found once, and kept."""
        known = self._leases.content.setdefault("begin", {})
        if function not in known:
            known[function] = (await self._app.begins_at(function)).isoformat()
            self._leases.save()
        return datetime.fromisoformat(known[function]).replace(microsecond=0)

    async def _handle(self, kind: str, event: str | None) -> None:
        if event is not None:
            await anyio.sleep(self._settings.work_s)
            self._journal.note(kind, event)


def triggers(document: Mapping[str, Any]) -> str | None:
    """The event of a document. What replicator has left in place of a deleted one is none."""
    event = document.get(EVENT)
    return None if document.get("_replicator", {}).get("deleted") else event


async def run(settings: FunctionsSettings) -> None:
    """Until it is told to end."""
    async with AsyncExitStack() as stack:
        functions = Functions(settings, App(settings, await stack.enter_async_context(aiohttp.ClientSession())))
        works: list[Any] = [functions.tick] * bool(settings.timer)
        if settings.orders:
            transport = AioHttpTransport(use_env_settings=False)
            cosmos = CosmosClient(
                settings.cosmos, os.environ["COSMOS_KEY"], transport=transport, enable_endpoint_discovery=False
            )
            works.append(partial(functions.work_orders, await stack.enter_async_context(cosmos)))
        if settings.uploads:
            blobs = ContainerClient.from_connection_string(os.environ["BLOBS"], settings.blobs)
            works.append(partial(functions.work_uploads, await stack.enter_async_context(blobs)))
        if settings.queues:
            bus = ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"])
            bus = await stack.enter_async_context(bus)
            works += [partial(functions.work_queue, bus, queue, name) for queue, name in settings.queues.items()]
        await until_told(works)


if __name__ == "__main__":
    anyio.run(run, FunctionsSettings.of(sys.argv))

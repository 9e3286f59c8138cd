"""What the tests against local clouds share: clients, and buckets, containers and queues of their own."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import _servicebus_receiver_async, _servicebus_sender_async
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from containers.choice import is_chosen
from containers.clouds import Cloud
from fakes import cosmos
from fakes.servicebus import QUEUES, Hurried, Namespace, connect, empty
from sandbox.cosmos import CosmosServer
from sandbox.servicebus import ServiceBusServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from azure.cosmos.aio import CosmosClient
    from azure.servicebus.aio import ServiceBusClient

    from sandbox.azurite import Azurite

    Clients = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening and closing a link takes the SDK 1.5 s, nearly all of it in pauses between polls: cut them short."""
    for module in (_client_async, _servicebus_receiver_async, _servicebus_sender_async):
        monkeypatch.setattr(module, "asyncio", Hurried())


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBusServer]:
    """A broker with one queue of every kind."""
    async with ServiceBusServer(QUEUES) as running:
        yield running


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Namespace:
    """That broker, or the emulator in a container."""
    chosen: Namespace = request.getfixturevalue(
        "servicebus_container" if is_chosen(request, Cloud.SERVICEBUS) else "broker"
    )
    return chosen


@pytest.fixture
async def bus(namespace: Namespace, hurried: None) -> AsyncIterator[ServiceBusClient]:
    """A client of it that repeats nothing; its queues without sessions are empty."""
    async with connect(namespace) as connected:
        if not isinstance(namespace, ServiceBusServer):
            await empty(connected)
        yield connected


@pytest.fixture
async def cosmos_server() -> AsyncIterator[CosmosServer]:
    """The embedded account, to look into and to steer."""
    async with CosmosServer() as running:
        yield running


@pytest.fixture
def cosmos_account(request: pytest.FixtureRequest) -> cosmos.Account:
    """That one, or the emulator in a container."""
    chosen: cosmos.Account = request.getfixturevalue(
        "cosmos_container" if is_chosen(request, Cloud.COSMOS) else "cosmos_server"
    )
    return chosen


@pytest.fixture
async def cosmos_client(cosmos_account: cosmos.Account) -> AsyncIterator[CosmosClient]:
    """A client of it; nothing is there."""
    async with cosmos.connect(cosmos_account) as connected:
        if not isinstance(cosmos_account, CosmosServer):
            for database in [found["id"] async for found in connected.list_databases()]:
                await connected.delete_database(database)
        yield connected


@pytest.fixture
async def container(azurite: Azurite) -> AsyncIterator[ContainerClient]:
    """A container of its own, reached with the account's key."""
    service = BlobServiceClient.from_connection_string(azurite.connection_string, retry_total=0)
    async with service:
        client = await service.create_container(f"c{uuid.uuid4().hex}")
        yield client
        await client.delete_container()


@pytest.fixture
async def by_token(azurite: Azurite, container: ContainerClient) -> AsyncIterator[ContainerClient]:
    """The same container, reached in a way that does not sign the path."""
    token = generate_container_sas(
        azurite.account_name,
        container.container_name,
        account_key=azurite.account_key,
        permission=ContainerSasPermissions(read=True, write=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    async with ContainerClient.from_container_url(f"{container.url}?{token}", retry_total=0) as client:
        yield client


@pytest.fixture
async def s3(aws_client: Clients) -> AsyncIterator[Any]:
    async with aws_client("s3") as client:
        yield client


@pytest.fixture
async def sqs(aws_client: Clients) -> AsyncIterator[Any]:
    async with aws_client("sqs") as client:
        yield client


@pytest.fixture
async def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    await s3.create_bucket(Bucket=name)
    return name

"""What the tests of the local Service Bus broker share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import _servicebus_receiver_async, _servicebus_sender_async

from fakes.servicebus import QUEUES, Hurried, connect
from sandbox.servicebus import ServiceBusServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.servicebus.aio import ServiceBusClient


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
async def bus(broker: ServiceBusServer, hurried: None) -> AsyncIterator[ServiceBusClient]:
    """A client of it that repeats nothing."""
    async with connect(broker) as connected:
        yield connected

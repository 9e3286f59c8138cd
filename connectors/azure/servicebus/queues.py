"""The settings of the queue, read and made over HTTP, where that is permitted: sending needs fewer rights."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
from azure.core import exceptions
from azure.core.pipeline.transport import AioHttpTransport
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from connectors.azure.credentials import default_credential
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from replicator.errors import AccessError, TransientError, UnreachableError
from replicator.tls import trusted_authorities

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5.0

FOR_EVER: Final = timedelta(days=3650)
"""What is not shorter is as good as no limit; the service says ten million days."""


@dataclass(frozen=True, slots=True)
class Queue:
    """What a queue is set to. Durations in seconds; `time_to_live_s` None: messages live for ever;
    `duplicate_window_s` None: duplicates are not detected. `messages` counts what can be received.
    """

    sessions: bool
    duplicate_window_s: float | None
    time_to_live_s: float | None
    dead_letter_expired: bool
    lock_s: float
    max_delivery_count: int
    status: str
    partitioned: bool
    max_message_bytes: int | None
    forward_to: str | None
    messages: int
    dead_letters: int


class Queues(Protocol):
    """The management of one queue. Raises TransientError; AccessError where it is not permitted."""

    async def find(self) -> Queue | None:
        """None where there is no such queue."""

    async def create(self) -> None:
        """Nothing where there is one meanwhile."""


class PlainTransport(AioHttpTransport):  # type: ignore[misc]  # azure-core loads it lazily, so it has no type
    """The SDK builds its addresses with https, whatever it was given; local emulators speak plain HTTP."""

    async def send(self, request: Any, **options: Any) -> Any:
        """As in the base class."""
        request.url = request.url.replace("https://", "http://", 1)
        return await super().send(request, **options)


class ManagedQueue:
    """See Queues."""

    def __init__(self, client: ServiceBusAdministrationClient, config: ServiceBusTargetConfig) -> None:
        self._client = client
        self._config = config

    async def find(self) -> Queue | None:
        try:
            found = await _answered(self._client.get_queue(self._config.queue))
            counts = await _answered(self._client.get_queue_runtime_properties(self._config.queue))
        except exceptions.ResourceNotFoundError:
            return None
        window, life = found.duplicate_detection_history_time_window, _duration(found.default_message_time_to_live)
        size_kb = found.max_message_size_in_kilobytes
        return Queue(
            sessions=bool(found.requires_session),
            duplicate_window_s=_duration(window).total_seconds() if found.requires_duplicate_detection else None,
            time_to_live_s=None if life >= FOR_EVER else life.total_seconds(),
            dead_letter_expired=bool(found.dead_lettering_on_message_expiration),
            lock_s=_duration(found.lock_duration).total_seconds(),
            max_delivery_count=found.max_delivery_count or 0,
            status=str(getattr(found.status, "value", found.status)),
            partitioned=bool(found.enable_partitioning),
            max_message_bytes=size_kb * 1024 if size_kb else None,
            forward_to=found.forward_to or None,
            messages=counts.active_message_count or 0,
            dead_letters=counts.dead_letter_message_count or 0,
        )

    async def create(self) -> None:
        try:
            await _answered(
                self._client.create_queue(
                    self._config.queue,
                    requires_session=self._config.sessions,
                    requires_duplicate_detection=True,
                    duplicate_detection_history_time_window=timedelta(seconds=self._config.duplicate_window_s),
                    dead_lettering_on_message_expiration=True,
                )
            )
        except exceptions.ResourceExistsError:
            return


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else FOR_EVER


async def _answered(request: Awaitable[T]) -> T:
    try:
        return await request
    except (exceptions.ResourceNotFoundError, exceptions.ResourceExistsError):
        raise
    except exceptions.ClientAuthenticationError as error:
        raise AccessError(_text(error)) from error
    except exceptions.HttpResponseError as error:
        kind = AccessError if error.status_code in {401, 403} else TransientError
        raise kind(_text(error)) from error
    except (exceptions.AzureError, aiohttp.ClientError, OSError) as error:
        raise UnreachableError(_text(error)) from error


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@asynccontextmanager
async def open_queues(config: ServiceBusTargetConfig, where: str) -> AsyncIterator[ManagedQueue | None]:
    """The management of the queue; None where there is no address for it. Nothing is sent here."""
    url = config.management_url
    if url is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(ssl=trusted_authorities(config.ca_bundle, where))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        kind = PlainTransport if url.startswith("http://") else AioHttpTransport
        options: dict[str, Any] = {
            "transport": kind(session=session, session_owner=False, use_env_settings=False),
            "proxies": {"http": config.proxy, "https": config.proxy} if config.proxy else {},
            "connection_timeout": CONNECT_TIMEOUT_S,
            "retry_total": 0,
        }
        host, access = urlsplit(url).netloc, config.access
        if access.key is not None:
            text = f"Endpoint=sb://{host};SharedAccessKeyName={access.key_name};SharedAccessKey={access.key}"
            client = ServiceBusAdministrationClient.from_connection_string(text, **options)
        else:
            credential = await stack.enter_async_context(default_credential())
            client = ServiceBusAdministrationClient(host, credential, **options)
        yield ManagedQueue(await stack.enter_async_context(client), config)

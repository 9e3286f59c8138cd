"""Links of the SDK, with its own retries and its background task off: one of them, and one request on it, at a time.

A link is cut as soon as anything about it is in doubt, and another one opened. What the SDK would do about it takes
longer, and is not bounded.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import anyio
from azure.core.credentials import AzureNamedKeyCredential
from azure.servicebus import ServiceBusMessage, TransportType
from azure.servicebus._pyamqp.error import AMQPException
from azure.servicebus._pyamqp.types import TYPE, VALUE, AMQPTypes
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

from connectors.azure.credentials import default_credential
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.errors import translate, translate_opening
from connectors.azure.servicebus.mapping import Outgoing
from connectors.azure.servicebus.properties import PropertyValue
from replicator.tls import trusted_authorities

CLOSE_S: Final = 1.0
"""A link that is not closed within this is left to the operating system."""

SDK_ERRORS: Final = (ServiceBusError, AMQPException, OSError, AttributeError, ValueError)
"""What it raises where a connection ends; the last but one where it uses a part of it that it has dropped."""

PORTS: Final = {"http": 80, "https": 443}

STANDARD_BYTES: Final = 256 * 1024
"""Where a link tells no limit."""


class Link(Protocol):
    """An open link to the queue. Its limits are the service's, in bytes."""

    max_message_bytes: int
    max_batch_bytes: int

    @property
    def usable(self) -> bool:
        """False once it was ended by either side."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all are durable; they are taken together or not at all.

        Raises MessageRefusal, ThrottledError, other TransientErrors that had no effect, AmbiguousError.
        """

    async def close(self) -> None:
        """Bounded; raises nothing."""


Open = Callable[[], Awaitable[Link]]
"""Raises TransientError when no link can be had; bounded by whoever calls."""


class CloseableSender(ServiceBusSender):
    """Knows its connection, which the SDK forgets, open, when opening a link is given up or fails."""

    opened: Any = None

    def _create_handler(self, auth: Any) -> None:
        super()._create_handler(auth)
        self.opened = self._handler

    async def cut(self) -> None:
        """Closes the connection without a word, so that nothing on its way is taken up again."""
        connection = getattr(self.opened, "_connection", None)
        transport = getattr(connection, "_transport", None)
        session = getattr(transport, "session", None)  # of WebSockets, which is left open where there was no socket
        with anyio.move_on_after(CLOSE_S, shield=True):
            if transport is not None:
                with suppress(*SDK_ERRORS):
                    await transport.close()
            if session is not None:
                await session.close()


class SdkLink:
    """See Link."""

    def __init__(self, sender: CloseableSender, max_batch_bytes: int) -> None:
        self._sender = sender
        self._link = sender.opened._link  # noqa: SLF001 — the SDK forgets it when it is ended
        self.max_message_bytes: int = getattr(sender, "_max_message_size_on_link", 0) or STANDARD_BYTES
        self.max_batch_bytes = min(max_batch_bytes, self.max_message_bytes)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        parcels = [parcel(message) for message in messages]
        try:
            if len(parcels) == 1:
                await self._sender.send_messages(parcels[0])
            else:
                await self._sender.send_messages(parcels)
        except SDK_ERRORS as error:
            raise translate(error, self._detached_by) from error

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_S, shield=True), suppress(*SDK_ERRORS):
            await self._sender.close()
        await self._sender.cut()

    @property
    def usable(self) -> bool:
        return bool(self._sender._running) and self._detached_by is None  # noqa: SLF001 — there is no public way

    @property
    def _detached_by(self) -> str | None:
        """The condition with which the service has ended the link."""
        found = getattr(getattr(self._link, "_error", None), "condition", None)
        return found.decode() if isinstance(found, bytes) else None


def parcel(message: Outgoing) -> ServiceBusMessage:
    """As the SDK wants it."""
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        session_id=message.session_id,
        content_type=message.content_type,
        application_properties={name: _typed(value) for name, value in message.properties.items()},
    )


def _typed(value: PropertyValue) -> Any:
    """Every integer is a long: the SDK would take a narrower type where it fits, and so another one each time."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {TYPE: AMQPTypes.long, VALUE: value}
    return value


@asynccontextmanager
async def opener(config: ServiceBusTargetConfig, where: str) -> AsyncIterator[Open]:
    """What opens links; nothing is sent here. Raises ConfigurationError for a `ca_bundle` that cannot be used."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    logging.getLogger("azure.servicebus").setLevel(logging.CRITICAL)  # it logs, with a traceback, what it also raises
    access = config.access
    async with AsyncExitStack() as stack:
        credential: Any
        if access.key is not None:
            credential = AzureNamedKeyCredential(access.key_name, access.key)
        else:
            credential = await stack.enter_async_context(default_credential())
        options = _options(config, where)

        async def open_link() -> Link:
            sender = CloseableSender(access.host, credential, queue_name=config.queue, **options)
            return await _opened(sender)

        yield open_link


async def _opened(sender: CloseableSender) -> SdkLink:
    try:
        await sender.__aenter__()
        batch = await sender.create_message_batch()
        return SdkLink(sender, batch.max_size_in_bytes)
    except SDK_ERRORS as error:
        await sender.cut()
        raise translate_opening(error) from error
    except BaseException:
        await sender.cut()
        raise


def _options(config: ServiceBusTargetConfig, where: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "retry_total": 0,
        "keep_alive": None,
        "user_agent": "replicator",
        "use_tls": not config.access.plain,
    }
    if not config.access.plain:
        options["ssl_context"] = trusted_authorities(config.ca_bundle, where)
    if config.websockets:
        options["transport_type"] = TransportType.AmqpOverWebsocket
    if config.proxy is not None:
        parts = urlsplit(config.proxy)
        port = parts.port or PORTS[parts.scheme]
        options["http_proxy"] = {"proxy_hostname": f"{parts.scheme}://{parts.hostname}", "proxy_port": port}
        if parts.username:
            options["http_proxy"] |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    return options

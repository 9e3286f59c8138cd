"""How SDKs reach Azure: certificates verified, no silent repetition, nothing else taken for the service."""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport

from connectors.azure.errors import from_service
from replicator.delivery import may_start
from replicator.tls import trusted_authorities

NO_RETRIES: dict[str, Any] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
"""Ours are the only ones, and they know what an unknown outcome means."""

TOO_LATE = "not sent: the lease may end before the request does"


class ServiceTransport(AioHttpTransport):  # type: ignore[misc]  # azure-core loads it lazily, so it has no type
    """Takes nobody else for the service.

    Certificates are verified as the session says, whatever the SDK asks for: it asks not to verify those of localhost
    and 127.0.0.1 at all, and with a bundle would read that file again for each request. And an answer of something on
    the way is no success: the SDK takes any below 400, an empty page of a proxy too, for a write that was done.
    """

    async def send(self, request: Any, **options: Any) -> Any:
        """As in the base class; raises ServiceResponseError for what is no answer of the service."""
        options["connection_verify"] = True
        response = await super().send(request, **options)
        moved = 300 <= response.status_code < 400 and response.status_code != 304
        if response.status_code < 400 and (moved or not from_service(response.headers)):
            raise ServiceResponseError(f"status {response.status_code} from something that is not the service")
        return response


class FencedRequest(aiohttp.ClientRequest):
    """Looks at the fence once more with the first byte at hand: with the head, and with a body, for which the head
    waits in a task of its own.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """As in the base class; raises ClientConnectionError where it is too late."""
        if not may_start():
            raise aiohttp.ClientConnectionError(TOO_LATE)
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, *rest: Any) -> None:
        """As in the base class; where it is too late, whoever waits for the answer gets that error instead."""
        if may_start():
            await super().write_bytes(writer, conn, *rest)
        else:
            conn.protocol.set_exception(aiohttp.ClientConnectionError(TOO_LATE))


class Reach(Protocol):
    """How to reach a service on a private network: `replicator.config.EndpointConfig`, and what else says so."""

    @property
    def proxy(self) -> str | None:
        """The URL of a proxy."""

    @property
    def ca_bundle(self) -> Path | None:
        """The only authorities to trust."""


def proxies(config: Reach) -> dict[str, str]:
    """As the SDKs want them. Looking them up in the environment would cost a thread hop per request."""
    return {"http": config.proxy, "https": config.proxy} if config.proxy else {}


@asynccontextmanager
async def open_session(config: Reach, where: str, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """As the SDKs make their own, but without aiohttp's silent second attempt and its limit on connections.

    aiohttp repeats a PUT or DELETE whose kept-alive connection was lost. The first one may still take effect, after
    later writes of the same record, and nobody would know that the record is suspect. How many requests are under
    way is the delivery's business: one that waited here for a connection would seem to be one without an answer.

    Raises ConfigurationError for a `ca_bundle` that cannot be used; `where` is the target's path in the config.
    """
    logging.getLogger("azure").setLevel(logging.WARNING)  # it logs two records a request
    trusted: ssl.SSLContext = trusted_authorities(config.ca_bundle, where)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        trust_env=False,
        request_class=FencedRequest,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        **options,
    )
    session._retry_connection = False  # noqa: SLF001 — there is no public way
    async with session:
        yield session

"""The SDK's client, with its own retries off: ours are the only ones, and they know what an unknown outcome means."""

import logging
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import ceil
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos._retry_options import RetryOptions
from azure.cosmos.aio import CosmosClient
from azure.cosmos.documents import ConnectionPolicy
from azure.cosmos.http_constants import HttpHeaders
from azure.identity.aio import DefaultAzureCredential

from connectors.azure.cosmos.calls import CONNECT_TIMEOUT_S, container_replaced
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.errors import from_service
from replicator.tls import trusted_authorities

CONTAINER_PATH = re.compile("/+dbs/[^/]+/colls/(?P<name>[^/]+)")

QUIET = ("azure.cosmos.aio._GlobalEndpointManager", "azure.cosmos.LocationCache")
"""They tell, with a traceback, of failures of what the SDK asks in the background; we tell of our own requests."""


class CarefulTransport(AioHttpTransport):  # type: ignore[misc]  # azure-core loads it lazily, so it has no type
    """Takes nobody else for the service.

    Certificates are verified as the session says, whatever the SDK asks for: it asks not to verify those of localhost
    and 127.0.0.1 at all, and with a bundle would read that file again for each request. And an answer of something on
    the way is no success: the SDK takes any below 400, an empty page of a proxy too, for a write that was done. Nor is
    a container that was deleted and made again the one that was claimed: the SDK would look up which one has the name
    now, and repeat the request there.
    """

    def __init__(self, where: str, **options: Any) -> None:
        super().__init__(**options)
        self._where = where
        self._incarnations: dict[str, str] = {}

    async def send(self, request: Any, **options: Any) -> Any:
        """As in the base class; raises ServiceResponseError for what is no answer of the service, ForeignOwnerError
        instead of sending anything to another container than the first of its name.
        """
        self._keep_to_container(request)
        options["connection_verify"] = True
        response = await super().send(request, **options)
        moved = 300 <= response.status_code < 400 and response.status_code != 304
        if response.status_code < 400 and (moved or not from_service(response.headers)):
            raise ServiceResponseError(f"status {response.status_code} from something that is not the service")
        return response

    def _keep_to_container(self, request: Any) -> None:
        intended = request.headers.get(HttpHeaders.IntendedCollectionRID)
        found = CONTAINER_PATH.match(urlsplit(request.url).path)
        if intended and found and self._incarnations.setdefault(found[0], intended) != intended:
            raise container_replaced(self._where, unquote(found["name"]))


@asynccontextmanager
async def open_client(config: CosmosTargetConfig, where: str, read_timeout_s: float) -> AsyncIterator[CosmosClient]:
    """A client whose first call is the caller's: nothing is sent here. Closed on leaving.

    Raises ConfigurationError for a `ca_bundle` that cannot be used; `where` is the target's path in the config.
    """
    _hold_back()
    trusted = trusted_authorities(config.ca_bundle, where)
    async with AsyncExitStack() as stack:
        credential: Any
        if config.key is not None:
            credential = config.key.get_secret_value()
        else:
            credential = await stack.enter_async_context(DefaultAzureCredential())
        session = await stack.enter_async_context(_session(trusted))
        # Looking proxies up in the environment costs a thread hop per request; they are in the config.
        transport = CarefulTransport(where, session=session, session_owner=False, use_env_settings=False)
        client = CosmosClient(
            config.endpoint,
            credential=credential,
            connection_policy=_policy(),
            transport=transport,
            enable_endpoint_discovery=False,
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            proxies={"http": config.proxy, "https": config.proxy} if config.proxy else {},
            no_response_on_write=True,
            user_agent_suffix="replicator",
            retry_total=0,
            retry_connect=0,
            retry_read=0,
            retry_status=0,
        )
        stack.push_async_callback(client.close)
        yield client


def _hold_back() -> None:
    """What the SDK does for the whole process: it logs two records a request, and repeats reads of the account."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("AZURE_COSMOS_HEALTH_CHECK_MAX_RETRIES", "0")


def _session(trusted: ssl.SSLContext) -> aiohttp.ClientSession:
    """As the SDK makes its own, but without aiohttp's silent second attempt and its limit on connections.

    aiohttp repeats a PUT or DELETE whose kept-alive connection was lost. The first one may still take effect, after
    later writes of the same document, and nobody would know that the document is suspect. How many requests are under
    way is the delivery's business: one that waited here for a connection would seem to be one without an answer.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    session._retry_connection = False  # noqa: SLF001 — there is no public way
    return session


def _policy() -> ConnectionPolicy:
    policy = ConnectionPolicy()
    policy.RetryOptions = RetryOptions(0, None, 0)
    policy.DBAConnectionTimeout = policy.DBAReadTimeout = ceil(CONNECT_TIMEOUT_S)
    return policy

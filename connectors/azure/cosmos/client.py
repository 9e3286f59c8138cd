"""The SDK's client, with its own retries off: ours are the only ones, and they know what an unknown outcome means."""

import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import ceil
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.cosmos._retry_options import RetryOptions
from azure.cosmos.aio import CosmosClient
from azure.cosmos.documents import ConnectionPolicy
from azure.cosmos.http_constants import HttpHeaders

from connectors.azure.cosmos.calls import container_replaced
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.credentials import default_credential
from connectors.azure.probing import CONNECT_TIMEOUT_S
from connectors.azure.transport import NO_RETRIES, ServiceTransport, open_session, proxies

CONTAINER_PATH = re.compile("/+dbs/[^/]+/colls/(?P<name>[^/]+)")

QUIET = ("azure.cosmos.aio._GlobalEndpointManager", "azure.cosmos.LocationCache")
"""They tell, with a traceback, of failures of what the SDK asks in the background; we tell of our own requests."""


class CarefulTransport(ServiceTransport):
    """Nor is a container that was deleted and made again the one that was claimed: the SDK would look up which one has
    the name now, and repeat the request there.
    """

    def __init__(self, where: str, **options: Any) -> None:
        super().__init__(**options)
        self._where = where
        self._incarnations: dict[str, str] = {}

    async def send(self, request: Any, **options: Any) -> Any:
        """As in the base class; raises ForeignOwnerError instead of sending anything to another container than the
        first of its name.
        """
        self._keep_to_container(request)
        return await super().send(request, **options)

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
    async with AsyncExitStack() as stack:
        credential: Any
        if config.key is not None:
            credential = config.key.get_secret_value()
        else:
            credential = await stack.enter_async_context(default_credential())
        session = await stack.enter_async_context(open_session(config, where))
        transport = CarefulTransport(where, session=session, session_owner=False, use_env_settings=False)
        client = CosmosClient(
            config.endpoint,
            credential=credential,
            connection_policy=_policy(),
            transport=transport,
            enable_endpoint_discovery=False,
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            proxies=proxies(config),
            no_response_on_write=True,
            user_agent_suffix="replicator",
            **NO_RETRIES,
        )
        stack.push_async_callback(client.close)
        yield client


def _hold_back() -> None:
    """What the SDK does for the whole process: it logs failures in the background, and repeats reads of the account."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("AZURE_COSMOS_HEALTH_CHECK_MAX_RETRIES", "0")


def _policy() -> ConnectionPolicy:
    policy = ConnectionPolicy()
    policy.RetryOptions = RetryOptions(0, None, 0)
    policy.DBAConnectionTimeout = policy.DBAReadTimeout = ceil(CONNECT_TIMEOUT_S)
    return policy

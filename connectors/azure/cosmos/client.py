"""The SDK's client, with its own retries off: ours are the only ones, and they know what an unknown outcome means."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos._retry_options import RetryOptions
from azure.cosmos.aio import CosmosClient
from azure.cosmos.documents import ConnectionPolicy, SSLConfiguration
from azure.identity.aio import DefaultAzureCredential

from connectors.azure.cosmos.config import CosmosTargetConfig

CONNECT_TIMEOUT_S = 5


@asynccontextmanager
async def open_client(config: CosmosTargetConfig, read_timeout_s: float) -> AsyncIterator[CosmosClient]:
    """A client whose first call is the caller's: nothing is sent here. Closed on leaving."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        credential: Any
        if config.key is not None:
            credential = config.key.get_secret_value()
        else:
            credential = await stack.enter_async_context(DefaultAzureCredential())
        session = await stack.enter_async_context(_session())
        # Looking proxies up in the environment costs a thread hop per request; they are in the config.
        transport = AioHttpTransport(session=session, session_owner=False, use_env_settings=False)
        client = CosmosClient(
            config.endpoint,
            credential=credential,
            connection_policy=_policy(config),
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


def _session() -> aiohttp.ClientSession:
    """As the SDK makes its own, but without aiohttp's silent second attempt.

    aiohttp repeats a PUT or DELETE whose kept-alive connection was lost. The first one may still take effect, after
    later writes of the same document, and nobody would know that the document is suspect.
    """
    session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
    session._retry_connection = False  # noqa: SLF001 — there is no public way
    return session


def _policy(config: CosmosTargetConfig) -> ConnectionPolicy:
    policy = ConnectionPolicy()
    policy.RetryOptions = RetryOptions(0, None, 0)
    if config.ca_bundle:
        policy.SSLConfiguration = SSLConfiguration()
        policy.SSLConfiguration.SSLCaCerts = str(config.ca_bundle)
    return policy

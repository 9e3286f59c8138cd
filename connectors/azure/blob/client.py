"""The SDK's client, with its own retries off: ours are the only ones, and they know what an unknown outcome means."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from azure.storage.blob.aio import BlobServiceClient
from pydantic import SecretStr

from connectors.azure.credentials import default_credential
from connectors.azure.probing import CONNECT_TIMEOUT_S
from connectors.azure.transport import NO_RETRIES, Reach, ServiceTransport, open_session, proxies

READ_TIMEOUT_S = 7200
"""Beyond every deadline of ours, which then always comes first."""

MOST_HEADERS = 1024
MOST_HEADER_BYTES = 64 * 1024
"""A blob with much metadata could be written, but never be read, by aiohttp's own limits."""


class AccountConfig(Reach, Protocol):
    """How to reach a storage account, and as whom; see `connectors.azure.blob.config.BlobTargetConfig`."""

    @property
    def endpoint(self) -> str:
        """URL of its blob service."""

    @property
    def account_name(self) -> str:
        """As the key's signature needs it."""

    @property
    def key(self) -> SecretStr | None:
        """None for DefaultAzureCredential."""


@asynccontextmanager
async def open_client(config: AccountConfig, where: str) -> AsyncIterator[BlobServiceClient]:
    """A client whose first call is the caller's: nothing is sent here. Closed on leaving.

    Raises ConfigurationError for a `ca_bundle` that cannot be used; `where` is the target's path in the config.
    """
    async with AsyncExitStack() as stack:
        credential: Any
        if config.key is not None:
            credential = {"account_name": config.account_name, "account_key": config.key.get_secret_value()}
        else:
            credential = await stack.enter_async_context(default_credential())
        limits = {"max_headers": MOST_HEADERS, "max_field_size": MOST_HEADER_BYTES, "max_line_size": MOST_HEADER_BYTES}
        session = await stack.enter_async_context(open_session(config, where, **limits))
        client = BlobServiceClient(
            config.endpoint,
            credential=credential,
            transport=ServiceTransport(session=session, session_owner=False, use_env_settings=False),
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            proxies=proxies(config),
            user_agent="replicator",
            **NO_RETRIES,
        )
        stack.push_async_callback(client.close)
        yield client

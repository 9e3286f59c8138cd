"""Opens the state store that a config names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.azure.blob.calls import sent
from connectors.azure.blob.client import open_client
from connectors.azure.errors import AzureRefusal, configuration_error
from connectors.azure.probing import TOKEN_TIMEOUT_S, probed
from connectors.azure.state.blobs import ContainerBlobs
from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.store import BlobStore
from replicator.errors import ConfigurationError

WHERE = "state"


@asynccontextmanager
async def open_store(config: BlobStateConfig) -> AsyncIterator[BlobStore]:
    """A store whose container is there. Raises ConfigurationError where it cannot be used."""
    async with open_client(config, WHERE) as client:
        container = client.get_container_client(config.container)
        timeout_s = TOKEN_TIMEOUT_S if config.key is None else None
        try:
            await probed(WHERE, lambda: sent(container.get_container_properties), timeout_s)
        except AzureRefusal as refusal:
            if refusal.status != 404:
                raise configuration_error(f"{WHERE}.container", refusal) from refusal
            if not config.create:
                raise ConfigurationError(
                    f"{WHERE}.container",
                    f"container {config.container} does not exist",
                    "Create it, or allow that with create: true",
                ) from refusal
            try:
                await probed(WHERE, lambda: sent(container.create_container), timeout_s)
            except AzureRefusal as again:
                if again.code != "ContainerAlreadyExists":
                    raise configuration_error(f"{WHERE}.create", again) from again
        async with BlobStore(ContainerBlobs(container, config.prefix, config.request_timeout_s)) as store:
            yield store

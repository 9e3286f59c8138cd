"""Opens the state store that a config names, to be worked with or to be looked at."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.storage.blob import ContainerProperties

from connectors.azure.blob.calls import sent
from connectors.azure.blob.client import open_client
from connectors.azure.blob.sdk import Container
from connectors.azure.errors import AzureRefusal, configuration_error
from connectors.azure.probing import TOKEN_TIMEOUT_S, probed
from connectors.azure.state.blobs import ContainerBlobs
from connectors.azure.state.cells import LEASE
from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.store import BlobStore
from connectors.azure.state.unwritten import UnwrittenBlobs
from replicator.errors import ConfigurationError

WHERE = "state"

AGE_TOLERANCE_S = 1.0
"""The account's clock is told in whole seconds."""


@asynccontextmanager
async def open_store(config: BlobStateConfig) -> AsyncIterator[BlobStore]:
    """A store whose container is there. Raises ConfigurationError where it cannot be used."""
    async with open_container(config) as container:
        if await find(container, config) is None:
            await _create(container, config)
        async with BlobStore(blobs_of(container, config)) as store:
            yield store


@asynccontextmanager
async def look_at_store(config: BlobStateConfig) -> AsyncIterator[BlobStore]:
    """One whose changes go nowhere: no request writes. Raises ConfigurationError as `open_store` does."""
    async with open_container(config) as container:
        there = await find(container, config) is not None
        blobs = blobs_of(container, config)
        async with BlobStore(UnwrittenBlobs(blobs if there else None)) as store:
            if there:
                await _end_lease(blobs, store, config)
            yield store


@asynccontextmanager
async def open_container(config: BlobStateConfig) -> AsyncIterator[Container]:
    """Sends nothing yet."""
    async with open_client(config, WHERE) as client:
        yield client.get_container_client(config.container)


def blobs_of(container: Container, config: BlobStateConfig) -> ContainerBlobs:
    """Those of the store."""
    return ContainerBlobs(container, config.prefix, config.request_timeout_s)


def patience_s(config: BlobStateConfig) -> float | None:
    """Of the first requests, in seconds; None for the usual."""
    return TOKEN_TIMEOUT_S if config.key is None else None


async def find(container: Container, config: BlobStateConfig) -> ContainerProperties | None:
    """None where it is missing and may be created. Raises ConfigurationError where it cannot be used."""
    try:
        return await probed(WHERE, lambda: sent(container.get_container_properties), patience_s(config))
    except AzureRefusal as refusal:
        if refusal.status != 404:
            raise configuration_error(f"{WHERE}.container", refusal) from refusal
        if not config.create:
            raise ConfigurationError(
                f"{WHERE}.container",
                f"container {config.container} does not exist",
                "Create it, or allow that with create: true",
            ) from refusal
        return None


async def _create(container: Container, config: BlobStateConfig) -> None:
    try:
        await probed(WHERE, lambda: sent(container.create_container), patience_s(config))
    except AzureRefusal as refusal:
        if refusal.code != "ContainerAlreadyExists":
            raise configuration_error(f"{WHERE}.create", refusal) from refusal


async def _end_lease(blobs: ContainerBlobs, store: BlobStore, config: BlobStateConfig) -> None:
    """Lets a lease that has run out by the account's clock count as such: whoever only looks does not wait to see that
    nobody renews it.
    """
    held = await probed(WHERE, lambda: blobs.get(LEASE), patience_s(config))
    age_s = None if held is None else await probed(WHERE, lambda: blobs.age_s(LEASE), patience_s(config))
    if held is None or age_s is None:
        return
    tenure = json.loads(held.data)["body"]
    if age_s > tenure["duration_s"] + AGE_TOLERANCE_S:
        await store.release_lease(tenure["owner"], 0)

"""The blobs that hold bodies too large for the queue: one for each message, named by its id, so safe to write again."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, Protocol

import aiohttp
import anyio
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import ContainerClient

from connectors.azure.contents import read_exactly
from connectors.azure.credentials import default_credential
from connectors.azure.errors import CREDENTIALS_FIX, AzureRefusal, configuration_error, translate
from connectors.azure.servicebus.config import ClaimCheckConfig
from connectors.azure.servicebus.mapping import MessageRefusedError, Outgoing, short_id
from connectors.azure.servicebus.pointers import claim_check
from connectors.azure.servicebus.starting import probed
from replicator.config import EndpointConfig
from replicator.delivery import Delivery
from replicator.errors import AccessError, ConfigurationError, TransientError
from replicator.messages import Payload
from replicator.registry import TargetContext
from replicator.telemetry import PipelineTelemetry
from replicator.tls import trusted_authorities

CONNECT_TIMEOUT_S: Final = 5.0

READ_TIMEOUT_S: Final = 120.0
"""Beyond our own deadlines, which come first."""

BLOCK_BYTES: Final = 1024 * 1024
MOST_BLOCKS: Final = 50_000
"""Of a payload that goes from the source to a blob."""

NEVER: Final[dict[str, Any]] = {"etag": '"0x0"', "match_condition": MatchConditions.IfNotModified}
"""A condition that holds of no blob."""

BLOCKS_AT_ONCE: Final = 8
"""Of all payloads: what they take of memory."""

BLOCK_TIMEOUT_S: Final = 90.0

PASSING: Final = frozenset({"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled", "AccountBeingCreated"})
"""Refusals that end when somebody mends the container."""


class Claims(Protocol):
    """Where bodies are left."""

    async def leave(self, outgoing: Outgoing) -> Outgoing:
        """Returns what is to be sent instead, when the body is durable. Raises MessageRefusedError."""

    async def leave_payload(self, outgoing: Outgoing, payload: Payload) -> Outgoing:
        """Likewise for a body that is still at the source, in blocks. Raises the errors of its content as well."""

    async def connect(self) -> None:
        """Looks at the container. Raises ConfigurationError where it is missing and may not be made, or may not be read
        or written.
        """

    async def create(self) -> None:
        """Makes the container where it is missing."""


class BlobClaims:
    """See Claims. `where` is the path of the section in the config."""

    def __init__(
        self,
        container: ContainerClient,
        delivery: Delivery,
        telemetry: PipelineTelemetry,
        config: ClaimCheckConfig,
        where: str,
        *,
        create: bool,
    ) -> None:
        self._container = container
        self._delivery = delivery
        self._telemetry = telemetry
        self._blocks = anyio.Semaphore(BLOCKS_AT_ONCE)
        self._prefix = config.prefix or ""
        self._where = where
        self._create = create
        self._missing = False

    async def leave(self, outgoing: Outgoing) -> Outgoing:
        blob = self._container.get_blob_client(blob_name(self._prefix, outgoing.message_id))
        sha256 = hashlib.sha256(outgoing.body).hexdigest()
        pointer = claim_check(outgoing, _url(blob), len(outgoing.body), sha256)
        settings = ContentSettings(content_type=outgoing.content_type)

        async def upload() -> None:
            await _sent(blob.upload_blob(outgoing.body, overwrite=True, content_settings=settings))

        with _refusing():
            await self._delivery.write((), upload)
        return pointer

    async def leave_payload(self, outgoing: Outgoing, payload: Payload) -> Outgoing:
        blob = self._container.get_blob_client(blob_name(self._prefix, outgoing.message_id))
        settings = ContentSettings(content_type=outgoing.content_type)
        with _refusing():
            ids, sha256 = await self._staged(blob, payload)
            pointer = claim_check(outgoing, _url(blob), payload.size, sha256)

            async def commit() -> None:
                await _sent(blob.commit_block_list([BlobBlock(id_) for id_ in ids], content_settings=settings))

            await self._delivery.write((), commit)
        return pointer

    async def _staged(self, blob: Any, payload: Payload) -> tuple[list[str], str]:
        """The names of the blocks, which nobody sees yet, and the hash of all bytes.

        A block is named by what is in it, so that deliveries of the same message at the same time do no harm.
        """
        assert payload.content is not None, "a payload with an obstacle was refused before"  # noqa: S101
        if payload.size > MOST_BLOCKS * BLOCK_BYTES:
            raise MessageRefusedError(f"the payload has {payload.size} bytes, and a blob takes fewer")
        whole, ids = hashlib.sha256(), []
        for number, start in enumerate(range(0, payload.size, BLOCK_BYTES)):
            async with self._blocks:
                length = min(BLOCK_BYTES, payload.size - start)
                data = b"".join(await read_exactly(payload.content, start, length, self._telemetry))
                whole.update(data)
                ids.append(f"{number:05}{hashlib.sha256(data).hexdigest()[:32]}")
                await self._delivery.stage(partial(_stage, blob, ids[-1], data), BLOCK_TIMEOUT_S)
        return ids, whole.hexdigest()

    async def connect(self) -> None:
        async def look() -> None:
            await _sent(self._container.get_container_properties())

        try:
            await probed(self._where, look)
        except AzureRefusal as refusal:
            raise configuration_error(self._where, refusal) from refusal
        except ConfigurationError as error:
            if not isinstance(error.__cause__, MissingError):
                raise
            if not self._create:
                problem = f"there is no container {self._container.container_name}"
                raise ConfigurationError(self._where, problem, "Create it, or set create: true") from error
            self._missing = True
        else:
            await self._require_writable()

    async def create(self) -> None:
        if not self._missing:
            return

        async def make() -> None:
            await _sent(self._container.create_container())

        try:
            await probed(self._where, make)
        except AzureRefusal as refusal:
            if refusal.status != 409:
                raise configuration_error(self._where, refusal) from refusal
        self._missing = False

    async def _require_writable(self) -> None:
        """Raises ConfigurationError where bodies could not be left; found out by a write on a condition that cannot
        hold.
        """
        blob = self._container.get_blob_client(f"{self._prefix}replicator-{uuid.uuid4()}")

        async def write() -> None:
            await _sent(blob.upload_blob(b"", overwrite=True, **NEVER))

        otherwise = f"container {self._container.container_name} may not be written"
        try:
            await probed(self._where, write)
        except AzureRefusal as refusal:
            if refusal.status not in {404, 412}:
                raise ConfigurationError(self._where, f"{otherwise}: {refusal}", CREDENTIALS_FIX) from refusal
        except ConfigurationError as error:
            if isinstance(error.__cause__, AccessError):
                raise ConfigurationError(self._where, f"{otherwise}: {error.__cause__}", CREDENTIALS_FIX) from error
            raise


class MissingError(TransientError):
    """The container is not there, or not usable now."""


def blob_name(prefix: str, message_id: str) -> str:
    """Always the same for a message. Ids that are no plain name are replaced by a hash of theirs."""
    plain = message_id.isascii() and message_id.replace("-", "").replace("_", "").isalnum()
    return f"{prefix}{message_id if plain else short_id(message_id).replace('~', '-')}"


def _url(blob: Any) -> str:
    """Without what may open it."""
    return str(blob.url).partition("?")[0]


async def _stage(blob: Any, id_: str, data: bytes) -> None:
    await _sent(blob.stage_block(id_, data, length=len(data)))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except AzureRefusal as refusal:
        raise MessageRefusedError(f"Blob Storage refuses the body: {refusal}") from refusal


async def _sent(request: Any) -> None:
    try:
        await request
    except AzureError as error:
        if getattr(error, "error_code", None) in PASSING:
            raise MissingError("the container for claim checks is missing or not usable") from error
        raise translate(error) from error


@asynccontextmanager
async def open_claims(
    config: ClaimCheckConfig, network: EndpointConfig, context: TargetContext, where: str, *, create: bool
) -> AsyncIterator[BlobClaims]:
    """A client of its own, closed on leaving; nothing is sent here. Proxy and authorities are those of `network`."""
    async with AsyncExitStack() as stack:
        credential: Any
        if config.key is not None:
            credential = config.key.get_secret_value()
        else:
            credential = await stack.enter_async_context(default_credential())
        # With a bundle of authorities for a private namespace the blob service is private, too.
        connector = aiohttp.TCPConnector(ssl=trusted_authorities(network.ca_bundle, where), limit=0)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False)
        )
        container = await stack.enter_async_context(
            ContainerClient(
                config.endpoint,
                config.container,
                credential,
                transport=AioHttpTransport(session=session, session_owner=False, use_env_settings=False),
                proxies={"http": network.proxy, "https": network.proxy} if network.proxy else {},
                connection_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retry_total=0,
            )
        )
        yield BlobClaims(container, context.delivery, context.telemetry, config, where, create=create)

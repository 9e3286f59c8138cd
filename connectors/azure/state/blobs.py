"""The few requests that the state store makes, each bounded in time, errors in the engine's words."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

import anyio
from azure.storage.blob import ContentSettings

from connectors.azure.blob.calls import CONFLICTS, sent
from connectors.azure.blob.label import unquoted
from connectors.azure.blob.sdk import Container
from connectors.azure.blob.writing import ABSENT_ONLY, unchanged
from connectors.azure.errors import AzureRefusal
from replicator.errors import AmbiguousError, TransientError

T = TypeVar("T")

REQUEST_TIMEOUT_S = 20.0
"""Of one request. What lands later than that is refused by its condition."""

MOST_AT_ONCE = 16
"""Requests under way."""

JSON = ContentSettings(content_type="application/json")


@dataclass(frozen=True, slots=True)
class Held:
    """What a blob holds, and its ETag."""

    data: bytes
    etag: str


class Blobs(Protocol):
    """A container, as far as the state store uses it. Every method may raise TransientError."""

    async def get(self, name: str) -> Held | None:
        """None where there is none."""

    async def put(self, name: str, data: bytes, etag: str | None) -> str | None:
        """Replaces what has this ETag, None for what is not there. The new ETag; None where it was not so.

        Raises AmbiguousError where it is unknown whether that was done, or will be.
        """

    async def remove(self, name: str) -> None:
        """Whether or not it is there."""

    def names(self, prefix: str) -> AsyncIterator[str]:
        """Of all that begin so."""


class ContainerBlobs:
    """Those of a container, behind a prefix."""

    def __init__(self, container: Container, prefix: str = "", timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._container = container
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._slots = anyio.CapacityLimiter(MOST_AT_ONCE)

    async def get(self, name: str) -> Held | None:
        """See `Blobs`."""
        blob = self._container.get_blob_client(self._prefix + name)

        async def send() -> Held:
            download = await blob.download_blob()
            return Held(await download.readall(), unquoted(download.properties.etag))

        try:
            return await self._bounded(send)
        except AzureRefusal as refusal:
            raise_unless(refusal, refusal.status == 404)
            return None

    async def put(self, name: str, data: bytes, etag: str | None) -> str | None:
        """See `Blobs`."""
        blob = self._container.get_blob_client(self._prefix + name)
        options: dict[str, Any] = {
            **(ABSENT_ONLY if etag is None else unchanged(etag)),
            "overwrite": True,
            "content_settings": JSON,
        }
        try:
            answer = await self._bounded(lambda: blob.upload_blob(data, **options))
        except AzureRefusal as refusal:
            raise_unless(refusal, refusal.code in CONFLICTS)
            return None
        return unquoted(answer["etag"])

    async def age_s(self, name: str) -> float | None:
        """How long ago it was written by the account's own clock, to a second; None where there is none."""
        blob = self._container.get_blob_client(self._prefix + name)
        told: list[datetime] = []

        def hear(answer: Any) -> None:
            told.append(parsedate_to_datetime(answer.http_response.headers["Date"]))

        async def send() -> float:
            written_at: datetime = (await blob.get_blob_properties(raw_response_hook=hear)).last_modified
            return (told[-1] - written_at).total_seconds()

        try:
            return await self._bounded(send)
        except AzureRefusal as refusal:
            raise_unless(refusal, refusal.status == 404)
            return None

    async def remove(self, name: str) -> None:
        """See `Blobs`."""
        blob = self._container.get_blob_client(self._prefix + name)
        try:
            await self._bounded(blob.delete_blob)
        except AzureRefusal as refusal:
            raise_unless(refusal, refusal.status == 404)

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """See `Blobs`."""
        pages = self._container.list_blobs(name_starts_with=self._prefix + prefix).by_page()
        while (page := await self._bounded(lambda: anext(pages, None))) is not None:
            for name in [blob.name async for blob in page]:
                yield name.removeprefix(self._prefix)

    async def _bounded(self, send: Callable[[], Awaitable[T]]) -> T:
        async with self._slots:
            try:
                with anyio.fail_after(self._timeout_s):
                    return await sent(send)
            except TimeoutError as error:
                raise AmbiguousError(f"the state store has not answered within {self._timeout_s:g} s") from error


def raise_unless(refusal: AzureRefusal, expected: bool) -> None:
    """Any other refusal may be mended while we wait: a policy, a lease of somebody else's, a name under repair."""
    if not expected:
        raise TransientError(f"the state store refuses: {refusal}") from refusal

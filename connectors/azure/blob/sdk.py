"""What is used of the SDK's clients, so that a fake need not have more."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from azure.storage.blob import BlobProperties, ContainerProperties


class Pages(Protocol):
    """A listing, page by page. Its `continuation_token` says where to go on."""

    continuation_token: str | None

    def __aiter__(self) -> AsyncIterator[AsyncIterator[BlobProperties]]:
        """Each page is an iterator of blobs."""

    def __anext__(self) -> Awaitable[AsyncIterator[BlobProperties]]:
        """The next page."""


class Listing(Protocol):
    """What `list_blobs` gives."""

    def by_page(self, continuation_token: str | None = None) -> Pages:
        """From the beginning, or after a page."""


class Blob(Protocol):
    """`azure.storage.blob.aio.BlobClient`. What writes takes a condition: `etag`, `match_condition`."""

    @property
    def url(self) -> str:
        """Its address."""

    def get_blob_properties(self, **options: Any) -> Awaitable[BlobProperties]:
        """404 where there is none."""

    def get_blob_tags(self, **options: Any) -> Awaitable[dict[str, str]]:
        """404 where there is none."""

    def upload_blob(self, data: bytes, **options: Any) -> Awaitable[Any]:
        """In one request where it is small enough."""

    def stage_block(self, block_id: str, data: Any, length: int, **options: Any) -> Awaitable[Any]:
        """Seen by nobody until it is committed."""

    def stage_block_from_url(
        self, block_id: str, source_url: str, source_offset: int, source_length: int, **options: Any
    ) -> Awaitable[Any]:
        """The service fetches the bytes itself."""

    def get_block_list(self, block_list_type: str, **options: Any) -> Awaitable[tuple[list[Any], list[Any]]]:
        """Committed and uncommitted ones."""

    def commit_block_list(self, block_list: list[Any], **options: Any) -> Awaitable[Any]:
        """Makes the blob out of blocks."""

    def delete_blob(self, **options: Any) -> Awaitable[None]:
        """404 where there is none, 412 where the condition does not hold."""

    def download_blob(self, **options: Any) -> Awaitable[Any]:
        """Its bytes."""


class Container(Protocol):
    """`azure.storage.blob.aio.ContainerClient`."""

    @property
    def container_name(self) -> str:
        """Its name."""

    def get_blob_client(self, blob: str) -> Any:
        """A `Blob`; nothing is sent."""

    def list_blobs(self, **options: Any) -> Any:
        """A `Listing`."""

    def get_container_properties(self, **options: Any) -> Awaitable[ContainerProperties]:
        """404 where it is missing."""

    def create_container(self, **options: Any) -> Awaitable[Any]:
        """409 where it exists."""

    def set_container_metadata(self, metadata: dict[str, str], **options: Any) -> Awaitable[Any]:
        """Replaces all of it."""

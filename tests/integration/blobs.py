"""Short forms of what tests ask a container and its blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, ContainerClient


async def content(blob: BlobClient) -> bytes:
    """As it is stored: by default the SDK undoes a content encoding."""
    return await (await blob.download_blob(decompress=False)).readall()


async def etag_of(blob: BlobClient) -> str:
    """Its quoted ETag."""
    return (await blob.get_blob_properties()).etag


async def listed(container: ContainerClient, **options: Any) -> list[str]:
    """The names in a container, in the order in which it lists them."""
    return [name async for name in container.list_blob_names(**options)]

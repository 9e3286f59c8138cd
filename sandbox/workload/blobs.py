"""A container of blobs read as a bucket of objects, by what the documentation says of the mapping alone."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from sandbox.workload.object_shapes import HeldObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from azure.storage.blob import BlobProperties

HEADERS = {
    "ContentType": "content_type",
    "ContentEncoding": "content_encoding",
    "ContentLanguage": "content_language",
    "ContentDisposition": "content_disposition",
    "CacheControl": "cache_control",
}
"""As S3's calls name them, and as those of Blob Storage do."""

OURS = "replicator_"
"""What the names of replicator's own metadata begin with."""

_IN_NAMES = re.compile(r"(?:_[0-9a-f]{2})+")
_IN_VALUES = re.compile(r"(?:%[0-9A-F]{2})+")
_IN_TAGS = re.compile(r"(?:=[0-9A-F]{2})+")
"""Escapes of bytes of UTF-8; one sign and two digits for each."""


async def read_container(connection_string: str, container: str) -> AsyncIterator[tuple[str, HeldObject | None]]:
    """Every blob by its name, its content read to the end; None for one that replicator did not write.

    Those that go while it is read are left out. Raises azure.core's errors.
    """
    async with ContainerClient.from_connection_string(connection_string, container) as client:
        async for blob in client.list_blobs(include=["metadata", "tags"]):
            if f"{OURS}digest" not in (blob.metadata or {}):
                yield str(blob.name), None
            elif (held := await _read(client, blob)) is not None:
                yield str(blob.name), held


async def _read(client: ContainerClient, blob: BlobProperties) -> HeldObject | None:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        content = await client.get_blob_client(str(blob.name)).download_blob(decompress=False)
        async for piece in content.chunks():
            digest.update(piece)
            size += len(piece)
    except ResourceNotFoundError:
        return None
    headers = {name: getattr(blob.content_settings, other) for name, other in HEADERS.items()}
    return HeldObject(
        size,
        digest.hexdigest(),
        metadata=read_metadata(blob.metadata or {}),
        tags=read_tags(blob.tags or {}),
        headers={name: value for name, value in headers.items() if value},
    )


def read_metadata(metadata: Mapping[str, str | None]) -> dict[str, str]:
    """The user's, as the object has it. A listing tells None of an empty value."""
    return {
        _read_escapes(_IN_NAMES, name.lower()): _read_escapes(_IN_VALUES, value or "")
        for name, value in metadata.items()
        if not name.startswith(OURS)
    }


def read_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """As the object has them."""
    return {_read_escapes(_IN_TAGS, name): _read_escapes(_IN_TAGS, value) for name, value in tags.items()}


def _read_escapes(escapes: re.Pattern[str], text: str) -> str:
    return escapes.sub(lambda found: bytes.fromhex("".join(re.findall("[0-9a-fA-F]{2}", found[0]))).decode(), text)

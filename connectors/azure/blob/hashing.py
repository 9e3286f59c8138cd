"""The digest of a blob's bytes, read in bounded blocks on the condition that it does not change meanwhile."""

import hashlib
from typing import Any

from azure.core import MatchConditions

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.sdk import Blob
from connectors.azure.errors import AzureRefusal

BLOCK_BYTES = 4 * 1024 * 1024
"""Read within the timeout of one request."""

GONE = frozenset({404, 412, 416})
"""It is no longer the blob that was begun."""


async def content_digest(blob: Blob, calls: Calls) -> str | None:
    """See `replicator.ports.Target.content_digest`."""
    whole = hashlib.sha256()
    try:
        properties = await calls.read(blob.get_blob_properties)
        for start in range(0, int(properties.size), BLOCK_BYTES):
            whole.update(await _block(blob, calls, start, str(properties.etag)))
    except AzureRefusal as refusal:
        if refusal.status not in GONE:
            raise
        return None if refusal.status == 404 else ""
    return whole.hexdigest()


async def _block(blob: Blob, calls: Calls, start: int, etag: str) -> bytes:
    condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}

    async def send() -> bytes:
        download = await blob.download_blob(offset=start, length=BLOCK_BYTES, decompress=False, **condition)
        block: bytes = await download.readall()
        return block

    return await calls.read(send)

"""Objects of a container as those of a bucket, read without the connector, and both compared."""

import hashlib
from collections.abc import AsyncIterator, Mapping

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient

from connectors.azure.blob.label import DIGEST
from connectors.azure.blob.metadata import decode_metadata, decode_tags
from replicator.engine.comparing import Comparison
from sandbox.workload import HeldObject

HEADERS = {
    "ContentType": "content_type",
    "ContentEncoding": "content_encoding",
    "ContentLanguage": "content_language",
    "ContentDisposition": "content_disposition",
    "CacheControl": "cache_control",
}
"""As S3's calls name them, and as those of Blob Storage do."""


async def read_container(container: ContainerClient) -> AsyncIterator[tuple[str, HeldObject | None]]:
    """Every blob by its name, its bytes read to the end; None for one that replicator did not write.

    Those that go while it is read are left out; of a container that is missing there are none.
    """
    try:
        async for blob in container.list_blobs(include=["metadata", "tags"]):
            if DIGEST not in (blob.metadata or {}):
                yield str(blob.name), None
            elif (held := await _read(container, blob)) is not None:
                yield str(blob.name), held
    except ResourceNotFoundError:
        return


async def _read(container: ContainerClient, blob: BlobProperties) -> HeldObject | None:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        content = await container.get_blob_client(blob.name).download_blob(decompress=False)
        async for piece in content.chunks():
            digest.update(piece)
            size += len(piece)
    except ResourceNotFoundError:
        return None
    metadata = {name.lower(): value or "" for name, value in (blob.metadata or {}).items()}
    headers = {name: getattr(blob.content_settings, ours) for name, ours in HEADERS.items()}
    return HeldObject(
        size,
        digest.hexdigest(),
        metadata=decode_metadata(metadata),
        tags=decode_tags(blob.tags or {}),
        headers={name: value for name, value in headers.items() if value},
    )


def compare_objects(source: Mapping[str, HeldObject], target: Mapping[str, HeldObject | None]) -> Comparison:
    """Both ways: names, bytes, headers, metadata and tags. Pure."""
    found = Comparison(source_records=len(source), target_records=sum(held is not None for held in target.values()))
    for key, held in sorted(source.items()):
        if target.get(key) == held:
            found.equal += 1
        elif target.get(key) is None:
            found.missing += 1
            found.name("missing", key)
        else:
            found.different += 1
            found.name("different", key)
    for key, copied in sorted(target.items()):
        if copied is None:
            found.foreign += 1
            found.name("foreign", key)
        elif key not in source:
            found.extra += 1
            found.name("extra", key)
    return found

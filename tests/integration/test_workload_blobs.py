"""A container is read as a bucket is: every blob, to the last byte, and what is not ours is told apart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from azure.storage.blob import ContentSettings

from sandbox.workload import HeldObject, read_container

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from sandbox.azurite import Azurite


async def test_blobs_are_read_as_objects(azurite: Azurite, container: ContainerClient) -> None:
    content = bytes(500_000)
    settings = ContentSettings(content_type="text/plain", content_encoding="gzip")  # which it is not
    await container.upload_blob(
        "a b/ü",
        content,
        metadata={"cost_2dcentre": "%C3%BC", "empty": "", "replicator_digest": "x"},
        tags={"team": "a=40b"},
        content_settings=settings,
    )
    await container.upload_blob("foreign", b"")
    found = {name: held async for name, held in read_container(azurite.connection_string, container.container_name)}
    assert found == {
        "a b/ü": HeldObject(
            len(content),
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            metadata={"cost-centre": "ü", "empty": ""},
            tags={"team": "a@b"},
            headers={"ContentType": "text/plain", "ContentEncoding": "gzip"},
        ),
        "foreign": None,
    }

"""The observer of the scenarios with buckets: what it would miss, no scenario could find."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from azure.storage.blob.aio import ContainerClient

from scenarios.bucket_world import Observer, md5

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.azurite import Azurite

Shown = tuple[bytes, "Mapping[str, str]", "Mapping[str, str]"]
"""Content, metadata and tags of a blob."""

OLD, NEW = {"version": "1"}, {"version": "2"}


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ([(b"1", OLD, OLD), (b"1", NEW, OLD), (b"1", NEW, NEW)], None),
        ([(b"1", NEW, NEW), (b"1", NEW, {}), (b"1", NEW, NEW)], None),
        ([(b"1", OLD, OLD), None, (b"1", NEW, NEW)], None),
        ([(b"1", NEW, NEW), (b"1", NEW, OLD)], "version 1 of the tags after 2"),
        ([(b"1", NEW, NEW), (b"1", NEW, {}), (b"1", NEW, OLD)], "version 1 of the tags after 2"),
        ([(b"1", NEW, NEW), (b"1", OLD, NEW)], "version 1 of the metadata after 2"),
        ([(b"1", OLD, NEW), None, (b"1", NEW, NEW)], "version 2 of the tags after 2"),
        ([(b"other", OLD, OLD)], "bytes that were never written"),
    ],
)
async def test_what_nobody_may_see_is_a_violation(
    azurite: Azurite, shown: Sequence[Shown | None], wrong: str | None
) -> None:
    written = defaultdict[str, set[tuple[int, str]]](lambda: {(1, md5(b"1"))})
    name = f"c{uuid4().hex}"
    async with ContainerClient.from_connection_string(azurite.connection_string, name) as container:
        await container.create_container()
        observer = Observer(container, written.__getitem__)
        for blob in shown:
            if blob is None:
                await container.delete_blob("a")
            else:
                data, metadata, tags = blob
                await container.upload_blob("a", data, metadata=dict(metadata), tags=dict(tags), overwrite=True)
            await observer.look()
        assert [wrong in violation for violation in observer.violations if wrong] == [True] * (wrong is not None)
        assert bool(observer.violations) == (wrong is not None)

"""Which keys, metadata and tags a blob takes, and the order in which names are listed."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError
from integration.blobs import content, etag_of, listed

from sandbox.workload.object_keys import KINDS
from sandbox.workload.object_labels import METADATA, TAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from azure.storage.blob.aio import ContainerClient

UNLISTABLE = ("control", "not in XML")
ARRIVING = [kind for kind in KINDS if kind not in {"dot segment", "backslash", *UNLISTABLE}]
IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


async def store(container: ContainerClient, keys: Sequence[str]) -> None:
    """Each key with itself as content."""
    for key in keys:
        await container.upload_blob(key, key.encode())


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ARRIVING)
async def test_a_key_arrives_as_it_is(container: ContainerClient, kind: str) -> None:
    """Beside its twins. The real service changes or refuses some of these: docs/connectors/blob-names.md."""
    await store(container, KINDS[kind])
    assert set(await listed(container)) == set(KINDS[kind])
    for key in KINDS[kind]:
        assert await content(container.get_blob_client(key)) == key.encode()


async def test_a_backslash_becomes_a_slash_and_so_another_blob(container: ContainerClient) -> None:
    """As at the service; nothing tells the writer that it has overwritten something."""
    await container.upload_blob("a/b", b"of its own")
    await container.upload_blob("a\\b", b"of another", overwrite=True)
    assert await listed(container) == ["a/b"]
    assert await content(container.get_blob_client("a/b")) == b"of another"


@pytest.mark.parametrize("key", KINDS["dot segment"])
async def test_a_dot_segment_is_refused_with_the_accounts_key(container: ContainerClient, key: str) -> None:
    """The client's HTTP library removes it after the path has been signed."""
    with pytest.raises(HttpResponseError):
        await container.upload_blob(key, b"")
    assert await listed(container) == []


async def test_with_a_token_a_dot_segment_overwrites_another_blob(by_token: ContainerClient) -> None:
    """So such keys must not be sent at all."""
    await by_token.upload_blob("a/b", b"of its own")
    await by_token.upload_blob("a/./b", b"of another", overwrite=True)
    assert await content(by_token.get_blob_client("a/b")) == b"of another"
    await by_token.upload_blob("a/../c", b"")
    assert await listed(by_token) == ["a/b", "c"]


@pytest.mark.parametrize("kind", UNLISTABLE)
async def test_a_key_that_xml_cannot_hold_ends_every_listing(container: ContainerClient, kind: str) -> None:
    """Of the whole container, until it is deleted; the real service refuses the upload."""
    for key in KINDS[kind]:
        blob = await container.upload_blob(key, b"")
        with pytest.raises(HttpResponseError) as broken:
            await listed(container)
        assert broken.value.status_code == 500
        await blob.delete_blob()


# --- listings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def awkward() -> list[str]:
    """What can be listed, in the order of UTF-16 code units."""
    return sorted((key for kind in ARRIVING for key in KINDS[kind]), key=lambda key: key.encode("utf-16-be"))


async def test_names_are_listed_by_utf_16_code_units_and_not_by_bytes(
    container: ContainerClient, awkward: list[str]
) -> None:
    """S3 lists by bytes of UTF-8. The orders differ about U+E000 to U+FFFF against what lies beyond."""
    await store(container, sorted(awkward))
    assert await listed(container) == awkward
    assert await listed(container, results_per_page=7) == awkward
    for prefix in ("order", "a/", "/", "%", " ", "😀", "\ud7ff", "a+"):
        assert await listed(container, name_starts_with=prefix) == [key for key in awkward if key.startswith(prefix)]
    for start in (awkward[len(awkward) // 2], "order", "nowhere"):
        rest = [key for key in awkward if key.encode("utf-16-be") >= start.encode("utf-16-be")]
        assert await listed(container, start_from=start) == rest


async def test_a_listing_carries_all_that_a_comparison_needs(container: ContainerClient) -> None:
    md5 = hashlib.md5(b"content", usedforsecurity=False).digest()
    blob = await container.upload_blob("compared", b"content", metadata={"a": "1"}, tags={"b": "2"})
    await container.upload_blob("compared, too", b"")
    first = await anext(aiter(container.list_blobs(include=["metadata", "tags"])))
    assert (first.name, first.size, first.metadata, first.tags) == ("compared", 7, {"a": "1"}, {"b": "2"})
    assert f'"{first.etag}"' == await etag_of(blob)  # the listing leaves the quotes out
    assert first.content_settings.content_md5 == bytearray(md5)


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", METADATA)
async def test_metadata_arrives_if_its_names_are_identifiers(container: ContainerClient, label: str) -> None:
    """Otherwise it is refused as a whole, sometimes as if the key were wrong: names are sorted for the signature."""
    blob = container.get_blob_client("described")
    if all(IDENTIFIER.fullmatch(name) for name in METADATA[label]):
        await blob.upload_blob(b"", metadata=METADATA[label])
        assert (await blob.get_blob_properties()).metadata == METADATA[label]
        return
    with pytest.raises(HttpResponseError) as refused:
        await blob.upload_blob(b"", metadata=METADATA[label])
    assert refused.value.status_code in {400, 403}
    assert not await blob.exists()


async def test_white_space_around_a_value_is_lost_and_other_letters_are_refused(container: ContainerClient) -> None:
    blob = await container.upload_blob("spaced", b"", metadata={"a": " b "})
    assert (await blob.get_blob_properties()).metadata == {"a": "b"}
    with pytest.raises(HttpResponseError):
        await blob.set_blob_metadata({"a": "ü"})


@pytest.mark.parametrize("label", TAGS)
async def test_tags_arrive_if_both_services_know_their_characters(container: ContainerClient, label: str) -> None:
    """The empty value is Azurite's own mistake: the service takes it."""
    blob = await container.upload_blob("tagged", b"")
    if label in {"empty value", "at sign", "other letters"}:
        with pytest.raises(HttpResponseError):
            await blob.set_blob_tags(TAGS[label])
        return
    await blob.set_blob_tags(TAGS[label])
    assert await blob.get_blob_tags() == TAGS[label]


async def test_an_eleventh_tag_is_refused(container: ContainerClient) -> None:
    blob = await container.upload_blob("tagged", b"")
    with pytest.raises(HttpResponseError) as refused:
        await blob.set_blob_tags({f"tag{n}": "" for n in range(11)} | {"eleventh": "x"})
    assert refused.value.status_code == 400

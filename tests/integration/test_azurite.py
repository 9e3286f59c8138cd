"""What the blob connector relies on, through the unmodified async SDK: blocks, conditions, leases, tiers.

Azurite stands for the real service here. Where it is known to be more lenient, docs/sandbox.md says so, and where it
agrees with the service about something surprising, the test says what.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, BlobSasPermissions, ContentSettings, StandardBlobTier, generate_blob_sas
from azure.storage.blob.aio import BlobLeaseClient
from integration.blobs import content, etag_of, listed

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from sandbox.azurite import Azurite

MISSING: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}


def blocks(*names: str) -> list[BlobBlock]:
    return [BlobBlock(name) for name in names]


def unless_changed(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


# --- blocks -----------------------------------------------------------------------------------------------------------


async def test_blocks_show_nothing_until_they_are_committed_and_then_everything(container: ContainerClient) -> None:
    blob = container.get_blob_client("large")
    parts = {"0002": b"second", "0001": b"first ", "0003": b"not used"}
    for name, part in parts.items():
        await blob.stage_block(name, io.BytesIO(part), length=len(part), validate_content=True)
    assert not await blob.exists()
    assert await listed(container) == []
    headers = ContentSettings(
        content_type="text/x",
        content_encoding="gzip",
        content_language="de",
        content_disposition="attachment",
        cache_control="no-cache",
        content_md5=bytearray(hashlib.md5(b"first second", usedforsecurity=False).digest()),
    )
    await blob.commit_block_list(
        blocks("0001", "0002"),
        content_settings=headers,
        metadata={"Owner": "billing"},
        tags={"team": "a"},
        standard_blob_tier=StandardBlobTier.COOL,
    )
    assert await content(blob) == b"first second"
    stored = await blob.get_blob_properties()
    assert stored.content_settings == headers
    assert (stored.metadata, stored.tag_count, stored.blob_tier) == ({"Owner": "billing"}, 1, "Cool")


async def test_no_md5_is_stored_for_blocks_unless_it_is_given(container: ContainerClient) -> None:
    blob = container.get_blob_client("large")
    await blob.stage_block("0001", b"first")
    await blob.commit_block_list(blocks("0001"))
    assert (await blob.get_blob_properties()).content_settings.content_md5 is None


async def test_a_commit_discards_the_blocks_that_another_writer_has_staged(container: ContainerClient) -> None:
    """As the service does: the slower one of two writers is told that its block list is invalid."""
    blob = container.get_blob_client("raced")
    await blob.stage_block("slow", b"slow")
    await blob.stage_block("fast", b"fast")
    await blob.commit_block_list(blocks("fast"))
    with pytest.raises(HttpResponseError, match="ErrorCode:InvalidBlockList"):
        await blob.commit_block_list(blocks("slow"))
    assert await content(blob) == b"fast"


async def test_a_commit_replaces_headers_metadata_and_tags(container: ContainerClient) -> None:
    blob = await container.upload_blob("replaced", b"old", metadata={"a": "1"}, tags={"b": "2"})
    await blob.commit_block_list([])
    stored = await blob.get_blob_properties()
    assert (stored.size, stored.metadata, stored.tag_count) == (0, {}, None)


async def test_damaged_content_is_refused(container: ContainerClient) -> None:
    wrong = ContentSettings(content_md5=bytearray(16))
    with pytest.raises(HttpResponseError, match="ErrorCode:Md5Mismatch"):
        await container.upload_blob("damaged", b"content", content_settings=wrong)
    assert await listed(container) == []


async def test_part_of_a_blob_is_read_on_the_condition_of_its_etag(container: ContainerClient) -> None:
    blob = await container.upload_blob("ranged", b"0123456789")
    etag = await etag_of(blob)
    part = await blob.download_blob(offset=2, length=3, **unless_changed(etag))
    assert await part.readall() == b"234"
    await blob.upload_blob(b"0123456789", overwrite=True)
    with pytest.raises(ResourceModifiedError):
        await blob.download_blob(offset=2, length=3, **unless_changed(etag))


# --- conditions -------------------------------------------------------------------------------------------------------


async def test_create_only_if_absent(container: ContainerClient) -> None:
    blob = container.get_blob_client("created")
    await blob.stage_block("0001", b"first")
    await blob.commit_block_list(blocks("0001"), **MISSING)
    with pytest.raises(ResourceExistsError, match="ErrorCode:BlobAlreadyExists") as refused:
        await blob.upload_blob(b"second", overwrite=True, **MISSING)
    assert refused.value.status_code == 409
    with pytest.raises(ResourceExistsError):
        await blob.commit_block_list(blocks("0001"), **MISSING)
    assert await content(blob) == b"first"


async def test_write_and_delete_only_if_unchanged(container: ContainerClient) -> None:
    """Also when what changed in between was a rewrite of the same bytes."""
    blob = await container.upload_blob("changed", b"same")
    stale = await etag_of(blob)
    await blob.upload_blob(b"same", overwrite=True, **unless_changed(stale))
    current = await etag_of(blob)
    assert current != stale
    await blob.stage_block("0001", b"late")
    for late in (
        blob.upload_blob(b"late", overwrite=True, **unless_changed(stale)),
        blob.commit_block_list(blocks("0001"), **unless_changed(stale)),
        blob.set_blob_metadata({"late": "yes"}, **unless_changed(stale)),
        blob.delete_blob(**unless_changed(stale)),
    ):
        with pytest.raises(ResourceModifiedError, match="ErrorCode:ConditionNotMet") as refused:
            await late
        assert refused.value.status_code == 412
    assert await content(blob) == b"same"
    await blob.delete_blob(**unless_changed(current))


async def test_what_is_gone_is_not_written_on_the_condition_of_its_etag(container: ContainerClient) -> None:
    blob = await container.upload_blob("gone", b"x")
    etag = await etag_of(blob)
    await blob.delete_blob()
    with pytest.raises(ResourceModifiedError):
        await blob.upload_blob(b"back", overwrite=True, **unless_changed(etag))
    with pytest.raises(ResourceNotFoundError):
        await blob.delete_blob()
    assert not await blob.exists()


async def test_tags_and_tiers_leave_the_etag_alone_and_metadata_does_not(container: ContainerClient) -> None:
    """A condition on the ETag therefore notices neither changed tags nor a changed tier."""
    blob = await container.upload_blob("labelled", b"x")
    etag = await etag_of(blob)
    await blob.set_blob_tags({"a": "1"})
    await blob.set_standard_blob_tier(StandardBlobTier.COOL)
    assert await etag_of(blob) == etag
    await blob.set_blob_metadata({"a": "1"})
    assert await etag_of(blob) != etag


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_one_holder_of_a_lease_writes_and_the_others_only_read(container: ContainerClient) -> None:
    blob = await container.upload_blob("leased", b"1")
    lease = await blob.acquire_lease(15)
    with pytest.raises(ResourceExistsError, match="ErrorCode:LeaseAlreadyPresent"):
        await blob.acquire_lease(15)
    other = BlobLeaseClient(blob, lease_id=str(uuid.uuid4()))
    for holder, code in ((None, "LeaseIdMissing"), (other, "LeaseIdMismatchWithBlobOperation")):
        with pytest.raises(HttpResponseError, match=f"ErrorCode:{code}") as late:
            await blob.upload_blob(b"2", overwrite=True, lease=holder)
        assert late.value.status_code == 412
    await lease.renew()
    await blob.upload_blob(b"3", overwrite=True, lease=lease)
    assert await content(blob) == b"3"
    await lease.release()
    await blob.upload_blob(b"4", overwrite=True)


async def test_a_broken_lease_is_not_renewed_and_can_be_taken_by_another(container: ContainerClient) -> None:
    blob = await container.upload_blob("broken", b"1")
    lease = await blob.acquire_lease(60)
    await BlobLeaseClient(blob).break_lease(0)
    other = await blob.acquire_lease(15)
    with pytest.raises(ResourceExistsError, match="ErrorCode:LeaseI"):
        await lease.renew()
    await other.release()


# --- tiers ------------------------------------------------------------------------------------------------------------


async def test_an_archived_blob_is_neither_read_nor_overwritten(container: ContainerClient) -> None:
    blob = await container.upload_blob("archived", b"1", standard_blob_tier=StandardBlobTier.ARCHIVE)
    for attempt in (blob.download_blob(), blob.upload_blob(b"2", overwrite=True)):
        with pytest.raises(ResourceExistsError, match="ErrorCode:BlobArchived"):
            await attempt
    assert (await blob.get_blob_properties()).blob_tier == "Archive"


# --- what is not there ------------------------------------------------------------------------------------------------


async def test_nothing_is_copied_from_elsewhere(azurite: Azurite, container: ContainerClient) -> None:
    """Transfers from presigned URLs are therefore tested against a fake; from Azurite itself blocks can be copied."""
    elsewhere = f"http://127.0.0.1:{azurite.port}/bucket/key?X-Amz-Signature=0"
    blob = container.get_blob_client("copied")
    for copy in (blob.stage_block_from_url("MQ==", elsewhere), blob.upload_blob_from_url(elsewhere)):
        with pytest.raises(HttpResponseError):
            await copy
    source = await container.upload_blob("source", b"0123456789")
    token = generate_blob_sas(
        azurite.account_name,
        container.container_name,
        "source",
        account_key=azurite.account_key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    await blob.stage_block_from_url("MQ==", f"{source.url}?{token}", source_offset=2, source_length=3)
    await blob.commit_block_list(blocks("MQ=="))
    assert await content(blob) == b"234"

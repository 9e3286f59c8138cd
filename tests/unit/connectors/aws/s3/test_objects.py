"""What S3 tells of an object, and the version that listing and HEAD agree on."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.s3.objects import absent, listed_object, looked_up, version_of
from replicator.model import Operation
from replicator.objects import Headers, StoredObject

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MD5 = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
COMMON = {"ETag": f'"{MD5}"', "LastModified": MOMENT}

etags = st.sampled_from([MD5, f"{MD5[:-1]}0", f"{MD5}-2"])
moments = st.datetimes(datetime(2006, 3, 14), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds are naive
classes = st.sampled_from(["STANDARD", "STANDARD_IA", "GLACIER", "INTELLIGENT_TIERING"])


def whole(**head: Any) -> StoredObject:
    return looked_up("k", {**COMMON, "ContentLength": 7, "Metadata": {}, **head}, {}, None)


@given(etags, st.integers(0, 2**45), moments, classes)
def test_listing_and_head_give_the_same_version(etag: str, size: int, moment: datetime, storage_class: str) -> None:
    """HEAD tells whole seconds in GMT and leaves STANDARD out; a listing may tell fractions, in any zone."""
    zoned = moment.astimezone(timezone(timedelta(hours=5)))
    entry = {"Key": "k", "ETag": f'"{etag}"', "Size": size, "LastModified": zoned, "StorageClass": storage_class}
    head: dict[str, Any] = {
        "ETag": f'"{etag}"', "ContentLength": size, "LastModified": moment.replace(microsecond=0)
    }  # fmt: skip
    if storage_class != "STANDARD":
        head["StorageClass"] = storage_class
    listed, found = listed_object(entry), looked_up("k", head, {}, None)
    assert listed.version == found.version
    assert (listed.modified_at, listed.size, listed.etag) == (found.modified_at, found.size, found.etag)
    assert listed.listed
    assert not found.listed


states = st.tuples(etags, st.integers(0, 3), moments.map(lambda m: m.replace(microsecond=0)), classes)


@given(states, states)
def test_versions_are_equal_exactly_when_what_is_shown_is(one: Any, other: Any) -> None:
    assert (version_of(*one) == version_of(*other)) == (one == other)


def test_headers_metadata_tags_and_the_rest_are_taken() -> None:
    head = {
        **COMMON, "ContentLength": 7, "ContentType": "text/plain", "ContentEncoding": "gzip", "ContentLanguage": "de",
        "ContentDisposition": "inline", "CacheControl": "no-store", "ExpiresString": "tomorrow",
        "WebsiteRedirectLocation": "/x", "Metadata": {"a": "=?UTF-8?B?w7w=?="}, "VersionId": "v1",
    }  # fmt: skip
    record = looked_up("k", head, {"t": "1"}, None)
    assert record.headers == Headers("text/plain", "gzip", "de", "inline", "no-store", "tomorrow", "/x")
    assert (record.metadata, record.tags) == ({"a": "=?UTF-8?B?w7w=?="}, {"t": "1"})
    assert (record.source_version, record.storage_class, record.etag) == ("v1", "STANDARD", MD5)
    assert whole(VersionId="null").source_version == ""
    assert whole().headers == Headers()


ONGOING = 'ongoing-request="true"'
CRC = base64.b64encode(b"\x01\x02\x03\x04").decode()


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ({}, {"md5"}),
        ({"ServerSideEncryption": "AES256"}, {"md5"}),
        ({"ServerSideEncryption": "aws:kms"}, set()),
        ({"ServerSideEncryption": "aws:kms:dsse"}, set()),
        ({"SSECustomerAlgorithm": "AES256"}, set()),
        ({"ETag": f'"{MD5}-1"'}, set()),
        ({"ChecksumCRC32": CRC, "ChecksumType": "FULL_OBJECT"}, {"md5", "crc32"}),
        ({"ChecksumCRC64NVME": CRC, "ChecksumType": "FULL_OBJECT"}, {"md5", "crc64nvme"}),
        ({"ChecksumSHA256": CRC, "ChecksumType": "COMPOSITE"}, {"md5"}),
        ({"ChecksumSHA1": f"{CRC}-3"}, {"md5"}),
        ({"ChecksumCRC32C": CRC}, {"md5", "crc32c"}),
        ({"ChecksumCRC32": "not base64!"}, {"md5"}),
    ],
)
def test_only_checksums_of_the_whole_content_are_taken(head: dict[str, str], names: set[str]) -> None:
    checksums = whole(**head).checksums
    assert checksums is not None
    assert set(checksums) == names
    assert checksums.get("md5", bytes.fromhex(MD5)) == bytes.fromhex(MD5)


@pytest.mark.parametrize(
    ("head", "obstacle"),
    [
        ({}, ""),
        ({"StorageClass": "GLACIER_IR"}, ""),
        ({"StorageClass": "STANDARD_IA"}, ""),
        ({"StorageClass": "INTELLIGENT_TIERING"}, ""),
        ({"StorageClass": "GLACIER"}, "is archived (GLACIER): restore it, then retry"),
        (
            {"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'},
            "is archived (DEEP_ARCHIVE) and being restored",
        ),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="…"'}, ""),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
            "is archived (ARCHIVE_ACCESS): restore it, then retry",
        ),
        ({"MissingMeta": 2}, "has 2 entries of metadata that S3 cannot send"),
        ({"Metadata": {"a": "\udcff"}}, "has a header or metadata that is not UTF-8"),
        ({"ContentDisposition": "\udce9"}, "has a header or metadata that is not UTF-8"),
    ],
)
def test_what_cannot_be_read_says_why(head: dict[str, Any], obstacle: str) -> None:
    assert whole(**head).obstacle == obstacle


def test_an_absent_object_is_its_key_alone() -> None:
    change = absent("k")
    assert (change.operation, change.record, change.version) == (Operation.DELETE, StoredObject("k"), "")

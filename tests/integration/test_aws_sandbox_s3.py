"""What the bucket connector relies on in the local S3, through aiobotocore: listings, conditions, checksums, labels."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from integration.aws import ODD_KEYS, refused
from yarl import URL

from sandbox.workload import METADATA, TAGS, object_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADERS = {
    "ContentType": "text/html; charset=utf-8",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ContentDisposition": 'attachment; filename="a.txt"',
    "CacheControl": "max-age=1",
}


async def listed(s3: Any, bucket: str, **options: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **options)
    return [entry["Key"] async for page in pages for entry in page.get("Contents", [])]


async def body(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    answer = await s3.get_object(Bucket=bucket, Key=key, **options)
    content: bytes = await answer["Body"].read()
    return content


# --- listings ---------------------------------------------------------------------------------------------------------


async def test_every_awkward_key_is_kept_and_listed_by_bytes_of_utf_8(s3: Any, bucket: str) -> None:
    keys = [key for _, key in object_keys()]
    for key in keys:
        await s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    in_order = sorted(keys, key=lambda key: key.encode())
    assert await listed(s3, bucket) == in_order
    assert await listed(s3, bucket, PaginationConfig={"PageSize": 7}) == in_order
    for key in ODD_KEYS[3:5]:
        assert await body(s3, bucket, key) == key.encode()
    for prefix in ("order", "a/", "/", "%", " ", "\n", "😀"):
        assert await listed(s3, bucket, Prefix=prefix) == [key for key in in_order if key.startswith(prefix)]
    for after in ("order", "a/", "nowhere"):  # exclusive, whether it exists or not
        rest = [key for key in in_order if key.encode() > after.encode()]
        assert await listed(s3, bucket, StartAfter=after) == rest
    assert await listed(s3, bucket, Prefix="a/", StartAfter="a/b") == [
        key for key in in_order if key.startswith("a/") and key > "a/b"
    ]


async def test_a_listing_goes_on_after_its_last_key_when_others_come_and_go(s3: Any, bucket: str) -> None:
    for number in range(6):
        await s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"")
    page = await s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    assert page["IsTruncated"]
    await s3.delete_object(Bucket=bucket, Key="k2")
    await s3.put_object(Bucket=bucket, Key="k0a", Body=b"")
    rest = await s3.list_objects_v2(Bucket=bucket, MaxKeys=9, ContinuationToken=page["NextContinuationToken"])
    assert [entry["Key"] for entry in rest["Contents"]] == ["k3", "k4", "k5"]
    assert not rest["IsTruncated"]


async def test_a_listing_tells_size_etag_time_and_storage_class(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"content", StorageClass="STANDARD_IA")
    (entry,) = (await s3.list_objects_v2(Bucket=bucket))["Contents"]
    head = await s3.head_object(Bucket=bucket, Key="k")
    assert (entry["Size"], entry["StorageClass"]) == (7, "STANDARD_IA")
    assert entry["ETag"] == head["ETag"]
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_part_of_an_object_is_read_on_the_condition_of_its_etag(s3: Any, bucket: str) -> None:
    etag = (await s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789"))["ETag"]
    assert await body(s3, bucket, "k", Range="bytes=2-4", IfMatch=etag) == b"234"
    await s3.put_object(Bucket=bucket, Key="k", Body=b"9876543210")
    assert await refused(body(s3, bucket, "k", Range="bytes=2-4", IfMatch=etag)) == (412, "PreconditionFailed")


async def test_an_empty_object_has_no_range(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert await refused(body(s3, bucket, "empty", Range="bytes=0-9")) == (416, "InvalidRange")
    assert await body(s3, bucket, "empty") == b""


async def test_what_is_not_there_is_told_apart_from_a_missing_bucket(s3: Any, bucket: str) -> None:
    assert await refused(body(s3, bucket, "k")) == (404, "NoSuchKey")
    assert await refused(s3.head_object(Bucket=bucket, Key="k")) == (404, "404")
    assert await refused(body(s3, "bucket-nowhere", "k")) == (404, "NoSuchBucket")


async def test_archived_objects_are_listed_but_not_read(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="DEEP_ARCHIVE")
    assert (await s3.head_object(Bucket=bucket, Key="k"))["StorageClass"] == "DEEP_ARCHIVE"
    assert await refused(body(s3, bucket, "k")) == (403, "InvalidObjectState")


async def test_a_large_object_is_read_in_chunks(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="large", Body=bytes(8 * 2**20))
    answer = await s3.get_object(Bucket=bucket, Key="large")
    sizes = [len(chunk) async for chunk in answer["Body"].iter_chunks(2**20)]
    assert sum(sizes) == answer["ContentLength"] == 8 * 2**20
    assert max(sizes) <= 2**20


@pytest.mark.parametrize("key", ["plain", *ODD_KEYS])
async def test_a_presigned_url_reads_a_range_on_condition(s3: Any, bucket: str, key: str) -> None:
    """The path of the URL must be sent as it is."""
    etag = (await s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789"))["ETag"]
    url = URL(await s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}), encoded=True)
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers={"Range": "bytes=2-4", "If-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (206, b"234")
        async with http.get(url, headers={"If-Match": '"other"'}) as answer:
            assert answer.status == 412


# --- checksums --------------------------------------------------------------------------------------------------------


def digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


async def test_etag_and_checksum_of_an_object_written_at_once(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"content", ChecksumSHA256=digest(b"content"))
    head = await s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ETag"].strip('"') == hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (digest(b"content"), "FULL_OBJECT")
    wrong = s3.put_object(Bucket=bucket, Key="k", Body=b"other", ChecksumSHA256=digest(b"content"))
    assert await refused(wrong) == (400, "BadDigest")
    assert await body(s3, bucket, "k") == b"content"


async def test_an_object_written_in_parts_has_no_md5_and_tells_its_parts(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    upload = where | {"UploadId": (await s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256"))["UploadId"]}
    bodies = (b"a" * 5 * 2**20, b"b")
    parts = [
        await s3.upload_part(**upload, PartNumber=n, Body=b, ChecksumAlgorithm="SHA256") for n, b in numbered(bodies)
    ]
    assert await listed(s3, bucket) == []
    assert [entry["Key"] for entry in (await s3.list_multipart_uploads(Bucket=bucket))["Uploads"]] == ["k"]
    names = ("ETag", "ChecksumSHA256")
    chosen = [{"PartNumber": n} | {name: part[name] for name in names} for n, part in numbered(parts)]
    await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": chosen})
    head = await s3.head_object(**where, ChecksumMode="ENABLED")
    assert head["ETag"].strip('"').endswith("-2")
    assert (head["ChecksumType"], head["ChecksumSHA256"][-2:]) == ("COMPOSITE", "-2")
    attributes = await s3.get_object_attributes(**where, ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"])
    assert attributes["ObjectSize"] == sum(map(len, bodies))
    assert [part["Size"] for part in attributes["ObjectParts"]["Parts"]] == [len(b) for b in bodies]
    assert f'"{attributes["ETag"]}"' == head["ETag"]  # it leaves the quotes out


def numbered(items: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(items, start=1))


# --- versions ---------------------------------------------------------------------------------------------------------


async def test_a_version_stays_readable_when_a_later_one_or_a_delete_hides_it(s3: Any, bucket: str) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = (await s3.put_object(Bucket=bucket, Key="k", Body=b"1"))["VersionId"]
    second = (await s3.put_object(Bucket=bucket, Key="k", Body=b"2"))["VersionId"]
    assert (await s3.head_object(Bucket=bucket, Key="k"))["VersionId"] == second
    marker = await s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"]
    assert await refused(body(s3, bucket, "k")) == (404, "NoSuchKey")
    assert await listed(s3, bucket) == []
    assert await body(s3, bucket, "k", VersionId=first) == b"1"
    await s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert await body(s3, bucket, "k") == b"2"


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", METADATA)
async def test_metadata_is_kept(s3: Any, bucket: str, label: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=METADATA[label])
    assert (await s3.head_object(Bucket=bucket, Key="k"))["Metadata"] == METADATA[label]


@pytest.mark.parametrize("label", TAGS)
async def test_tags_are_kept_and_do_not_show_in_the_etag(s3: Any, bucket: str, label: str) -> None:
    before = await s3.put_object(Bucket=bucket, Key="k", Body=b"")
    tags = [{"Key": key, "Value": value} for key, value in TAGS[label].items()]
    await s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert (await s3.get_object_tagging(Bucket=bucket, Key="k"))["TagSet"] == tags
    after = await s3.get_object(Bucket=bucket, Key="k")
    assert (after["ETag"], after["TagCount"]) == (before["ETag"], len(tags))


async def test_headers_are_kept_and_an_encoding_is_not_undone(s3: Any, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"not really gzip", **HEADERS)
    answer = await s3.get_object(Bucket=bucket, Key="k")
    assert {name: answer[name] for name in HEADERS} == HEADERS
    assert await answer["Body"].read() == b"not really gzip"

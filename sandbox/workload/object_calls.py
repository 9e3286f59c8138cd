"""Objects written to a bucket and read from it, without any being in memory as a whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from sandbox.workload.calls import error_code
from sandbox.workload.object_shapes import HEADERS, HeldObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sandbox.workload.calls import S3
    from sandbox.workload.object_shapes import NewObject, Texts

READ_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
SMALLEST_PART_BYTES = 5 * 1024 * 1024  # the service's limit for all parts but the last
HEADER_NAMES = sorted({name for headers in HEADERS for name in headers})


async def put(client: S3, bucket: str, new: NewObject, condition: Mapping[str, str] | None = None) -> str:
    """Write it, in parts where it says so; its ETag. `condition` is `IfMatch` or `IfNoneMatch`."""
    where = {"Bucket": bucket, "Key": new.key}
    if new.part_bytes is not None:
        return await _put_in_parts(client, where, new, new.part_bytes, condition or {})
    options: dict[str, Any] = {**new.headers, **(condition or {})}
    if new.tags:
        options["Tagging"] = urlencode(new.tags)
    answer = await client.put_object(**where, Body=new.content.whole(), Metadata=dict(new.metadata), **options)
    return str(answer["ETag"])


async def put_tags(client: S3, bucket: str, key: str, tags: Texts) -> None:
    """Replace the tags of an object, with none where there are none."""
    if not tags:
        await client.delete_object_tagging(Bucket=bucket, Key=key)
        return
    tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
    await client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tag_set})


async def put_labels(client: S3, bucket: str, key: str, labels: HeldObject, etag: str) -> str:
    """Replace metadata and headers of the object that has this ETag, by a copy onto itself; the new ETag."""
    answer = await client.copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": bucket, "Key": key},
        CopySourceIfMatch=etag,
        MetadataDirective="REPLACE",
        Metadata=dict(labels.metadata),
        **labels.headers,
    )
    return str(answer["CopyObjectResult"]["ETag"])


async def read(client: S3, bucket: str, key: str) -> HeldObject | None:
    """What is held under a key, its content read to the end; None where there is nothing."""
    try:
        answer = await client.get_object(Bucket=bucket, Key=key)
        tags = await client.get_object_tagging(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in {"NoSuchKey", "404"}:
            return None
        raise
    digest, size = hashlib.md5(usedforsecurity=False), 0
    async for piece in answer["Body"].iter_chunks(READ_BYTES):
        digest.update(piece)
        size += len(piece)
    return HeldObject(
        size,
        digest.hexdigest(),
        metadata=answer["Metadata"],
        tags={tag["Key"]: tag["Value"] for tag in tags["TagSet"]},
        headers={name: answer[name] for name in HEADER_NAMES if name in answer},
        etag=str(answer["ETag"]),
    )


async def read_bucket(client: S3, bucket: str, prefix: str = "") -> AsyncIterator[tuple[str, HeldObject]]:
    """Every object by its key, one after the other. Those that go while it is read are left out."""
    page: Mapping[str, Any] = {"NextContinuationToken": None, "IsTruncated": True}
    while page["IsTruncated"]:
        token = page["NextContinuationToken"]
        page = await client.list_objects_v2(
            Bucket=bucket, Prefix=prefix, **({"ContinuationToken": token} if token else {})
        )
        for entry in page.get("Contents", ()):
            if (held := await read(client, bucket, entry["Key"])) is not None:
                yield entry["Key"], held


async def _put_in_parts(
    client: S3, where: Mapping[str, str], new: NewObject, part_bytes: int, condition: Mapping[str, str]
) -> str:
    """Tags come in a request of their own: the local S3 forgets those that an upload begins with."""
    begun = await client.create_multipart_upload(**where, Metadata=dict(new.metadata), **new.headers)
    upload = {**where, "UploadId": begun["UploadId"]}
    parts = []
    for number, piece in enumerate(new.content.pieces(part_bytes), start=1):
        part = await client.upload_part(**upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    done = await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
    if new.tags:
        await put_tags(client, where["Bucket"], where["Key"], new.tags)
    return str(done["ETag"])

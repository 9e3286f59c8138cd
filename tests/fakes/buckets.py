"""A bucket in memory, and an `s3` client that reads it: answers as botocore parses them, errors as it raises them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
from botocore.exceptions import ClientError

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.errors import translate_s3
from connectors.aws.s3.lookup import Lookups
from connectors.aws.s3.sdk import ObjectClient
from fakes.follower import telemetry
from fakes.streams import no_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME = "media"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Answer = dict[str, Any]


def s3_error(operation: str, code: str, status: int, message: str = "no") -> Exception:
    """An error answer of S3 as botocore raises it."""
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {"x-amz-request-id": "id"}}
    error: Exception = ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation
    )
    return error


@dataclass
class Stored:
    """An object. `shown` is what HEAD and GET tell beside the usual."""

    content: bytes
    modified_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


class Body:
    """The body of an answer to GET. `left` bytes come before it ends; `breaks` is raised then."""

    def __init__(self, content: bytes, breaks: Exception | None = None) -> None:
        self._content = content
        self._breaks = breaks
        self.closed = False

    async def read(self, most: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        piece, self._content = self._content[:most], self._content[most:]
        if not piece and self._breaks is not None:
            raise self._breaks
        return piece

    def close(self) -> None:
        self.closed = True


class BucketClient:
    """`fault` is told of each operation and its key; what it returns is raised. `page` bounds what a listing shows."""

    def __init__(self, page: int = 1000) -> None:
        self.objects: dict[str, Stored] = {}
        self.calls: Counter[str] = Counter()
        self.fault: Callable[[str], Exception | None] = no_fault
        self.denied: dict[tuple[str, str], Exception] = {}
        self.gone = False
        self.bodies: list[Body] = []
        self.conditions: list[str] = []
        self.breaks: tuple[int, Exception | None] | None = None
        self.unsigned: Exception | None = None
        self._page = page
        self._writes = 0

    def put(self, key: str, content: bytes = b"", *, tags: Mapping[str, str] | None = None, **shown: Any) -> None:
        """Each write a second after the one before."""
        self._writes += 1
        self.objects[key] = Stored(content, EPOCH + timedelta(seconds=self._writes), tags or {}, shown)

    async def list_objects_v2(
        self,
        Bucket: str,  # noqa: N803 -- as the client has it
        Prefix: str = "",  # noqa: N803
        StartAfter: str = "",  # noqa: N803
        Delimiter: str = "",  # noqa: N803
        MaxKeys: int = 1000,  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
    ) -> Answer:
        await self._called("list_objects_v2", "")
        if self.gone:
            raise s3_error("ListObjectsV2", "NoSuchBucket", 404)
        entries: list[Answer] = []
        folders: list[Answer] = []
        room = min(MaxKeys, self._page)
        behind = [k for k in sorted(self.objects, key=str.encode) if k.startswith(Prefix) and k > StartAfter]
        for key in behind:
            cut = key.find(Delimiter, len(Prefix)) if Delimiter else -1
            folder = {"Prefix": key[: cut + 1]}
            if cut >= 0 and folder in folders:
                continue
            if len(entries) + len(folders) == room:
                return self._answer(
                    Contents=entries, CommonPrefixes=folders, IsTruncated=True, NextContinuationToken="t"
                )
            if cut >= 0:
                folders.append(folder)
            else:
                entries.append({"Key": key, "Size": len(self.objects[key].content), **self._common(key)})
        return self._answer(Contents=entries, CommonPrefixes=folders, IsTruncated=False)

    async def head_object(self, Bucket: str, Key: str, ChecksumMode: str = "") -> Answer:  # noqa: N803
        await self._called("head_object", Key)
        if self.gone or Key not in self.objects:
            raise s3_error("HeadObject", "404", 404)
        stored = self.objects[Key]
        return self._answer(
            **{"ContentLength": len(stored.content), "Metadata": {}, **self._common(Key), **stored.shown}
        )

    async def get_object_tagging(self, Bucket: str, Key: str) -> Answer:  # noqa: N803
        await self._called("get_object_tagging", Key)
        if Key not in self.objects:
            raise s3_error("GetObjectTagging", "NoSuchKey", 404)
        return self._answer(TagSet=[{"Key": k, "Value": v} for k, v in self.objects[Key].tags.items()])

    async def get_object(self, Bucket: str, Key: str, Range: str, IfMatch: str = "") -> Answer:  # noqa: N803
        await self._called("get_object", Key)
        if Key not in self.objects:
            raise s3_error("GetObject", "NoSuchKey", 404)
        stored = self.objects[Key]
        self.conditions.append(IfMatch)
        if IfMatch and stored.etag != IfMatch:
            raise s3_error("GetObject", "PreconditionFailed", 412)
        first, last = (int(end) for end in Range.removeprefix("bytes=").split("-"))
        content = stored.content[first : last + 1]
        cut, breaks = self.breaks or (len(content), None)
        self.bodies.append(Body(content[:cut], breaks))
        told = f"bytes {first}-{last}/{len(stored.content)}"
        return self._answer(Body=self.bodies[-1], ContentLength=len(content), ContentRange=told, **self._common(Key))

    async def generate_presigned_url(self, operation: str, parameters: Mapping[str, str], **_: Any) -> str:
        await anyio.lowlevel.checkpoint()
        if self.unsigned is not None:
            raise self.unsigned
        return f"https://{parameters['Bucket']}.local/{parameters['Key']}?Signature=sesame"

    def _common(self, key: str) -> Answer:
        stored = self.objects[key]
        return {"ETag": stored.etag, "LastModified": stored.modified_at}

    async def _called(self, operation: str, key: str) -> None:
        self.calls[operation] += 1
        await anyio.sleep(0.01)
        error = self.fault(operation) or self.denied.get((operation, key))
        if error is not None:
            raise error

    def _answer(self, **members: Any) -> Answer:
        headers = {"date": format_datetime(EPOCH + timedelta(hours=1), usegmt=True)}
        return {**members, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}


class BucketBench:
    """A bucket in memory and the parts of the connector over it."""

    def __init__(self, keys: tuple[str, ...] | list[str] = (), *, prefix: str = "", page: int = 1000) -> None:
        self.client = BucketClient(page)
        for key in keys:
            self.client.put(key, key.encode())
        self.telemetry = telemetry()
        self.caller = Caller("pipelines.media.source", self.telemetry, YieldingBudget(1e6), translate_s3)
        self.bucket = Bucket(self.caller, cast(ObjectClient, self.client), NAME, prefix)
        self.lookups = Lookups(self.bucket, tags=True)

"""The world of a bucket: the bucket with its queue of events, a container, fault proxies before S3, SQS and Blob
Storage, daemons as processes, and an observer.

The observer polls the container and reads every blob that has changed, whole and on the condition of its ETag: it sees
what any application could see there, and judges it by what was ever written to the bucket.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from connectors.azure.blob.metadata import decode_metadata, decode_tags
from sandbox.azurite import Azurite
from sandbox.faults import FaultProxy
from sandbox.workload import HeldObject, ObjectWriter, TaggingEvents, create_bucket, read_bucket
from scenarios.migration import DEADLINE_S, Daemon, Migration, Status, config_of, http_client

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob import BlobProperties

    from sandbox.aws import AwsServer

PIPELINE, CONTAINER = "media", "media"

EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
"""What S3 tells the queue at first, but for tags, which the local one tells nobody of by itself."""

PATIENT = {"request_timeout_s": 5, "request_lifetime_s": 6, "lease_s": 14}
"""Limits of a daemon that does not give up a request that is stalled for a moment."""

SOURCE = {
    "partitions": 4,
    "receivers": 4,
    "wait_s": 1,
    "visibility_timeout_s": 3,
    "idle_margin_s": 1,
    "relist_interval_s": None,
}
"""Nothing is found by listing again unless a scenario says so: what events lose stays lost."""

HEADERS = {
    "ContentType": "content_type",
    "ContentEncoding": "content_encoding",
    "ContentLanguage": "content_language",
    "ContentDisposition": "content_disposition",
    "CacheControl": "cache_control",
}

POLL_S = 0.1

VERSION = "version"
"""Name of a metadata entry and of a tag that a writer counts up."""

Written = tuple[int, str]
"""Size and MD5 of a content."""


@dataclass
class Observer:
    """`violations` names what nobody may ever see: bytes that were never written, and what goes backwards.

    `written` says what was ever written under a key.
    """

    container: ContainerClient
    written: Callable[[str], Collection[Written]]
    violations: list[str] = field(default_factory=list)
    seen: int = 0
    _etags: dict[str, str] = field(default_factory=dict)
    _highest: dict[tuple[str, str], int] = field(default_factory=dict)

    async def watch(self) -> None:
        """Until cancelled; the container may be made meanwhile."""
        while True:
            await self.look()
            await anyio.sleep(POLL_S)

    async def look(self) -> None:
        """Every blob that is not as it was at the last look."""
        found: dict[str, str] = {}
        tags: dict[str, Mapping[str, str]] = {}
        try:
            async for blob in self.container.list_blobs(include=["tags"]):
                found[blob.name] = blob.etag.strip('"')
                tags[blob.name] = blob.tags or {}
        except ResourceNotFoundError:
            return
        gone = self._etags.keys() - found.keys()
        for key, etag in found.items():
            if self._etags.get(key) != etag:
                await self._judge(key, etag, tags[key], created=key not in self._etags)
        for key in gone:
            del self._etags[key]

    async def _judge(self, key: str, etag: str, tags: Mapping[str, str], *, created: bool) -> None:
        held = await held_blob(self.container, key, etag)
        if held is None:
            return
        self.seen += 1
        self._etags[key] = etag
        if (held.size, held.md5) not in self.written(key):
            self.violations.append(f"{key}: {held.size} bytes that were never written")
        self._judge_version(key, "metadata", int(held.metadata.get(VERSION, 0)), created=created)
        if VERSION in tags:  # an object may lose all its tags
            self._judge_version(key, "tags", int(tags[VERSION]), created=created)

    def _judge_version(self, key: str, where: str, version: int, *, created: bool) -> None:
        highest = self._highest.get((key, where), 0)
        if version < highest or (created and 0 < version == highest):
            self.violations.append(f"{key}: version {version} of the {where} after {highest}, {created=}")
        self._highest[key, where] = max(version, highest)


@dataclass
class BucketWorld(Migration):
    """Clients and daemons go through the proxies; `s3`, `sqs` and `container` do not."""

    aws: AwsServer
    azurite: Azurite
    s3: Any
    sqs: Any
    bucket: str
    queue_url: str
    container: ContainerClient
    s3_proxy: FaultProxy
    sqs_proxy: FaultProxy
    target_proxy: FaultProxy
    observer: Observer
    written: dict[str, set[Written]]
    writers: list[ObjectWriter]

    @property
    def pipeline(self) -> dict[str, Any]:
        """The only one, of the config."""
        found: dict[str, Any] = self.config["pipelines"][PIPELINE]
        return found

    def writer(self, space: str, **options: Any) -> ObjectWriter:
        """A writer whose contents the observer knows."""
        tagging = TaggingEvents(self.sqs, self.queue_url, self.bucket)
        made = ObjectWriter(self.s3, self.bucket, space=space, tagging=tagging, **options)
        self.writers.append(made)
        return made

    async def put(self, key: str, data: bytes, **options: Any) -> None:
        """Writes an object in one request; the observer knows its content."""
        self.written[key].add((len(data), md5(data)))
        await self.s3.put_object(Bucket=self.bucket, Key=key, Body=data, **options)

    async def put_in_parts(self, key: str, data: bytes, part_bytes: int) -> None:
        """Writes an object whose ETag says nothing of its content."""
        self.written[key].add((len(data), md5(data)))
        where = {"Bucket": self.bucket, "Key": key}
        upload = {**where, "UploadId": (await self.s3.create_multipart_upload(**where))["UploadId"]}
        parts = []
        for number, start in enumerate(range(0, len(data), part_bytes), start=1):
            piece = data[start : start + part_bytes]
            sent = await self.s3.upload_part(**upload, PartNumber=number, Body=piece)
            parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        await self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    async def delete(self, key: str) -> None:
        await self.s3.delete_object(Bucket=self.bucket, Key=key)

    async def notify(self, *events: str) -> None:
        """S3 tells the queue of these events from now on, of nothing where there are none."""
        configuration: dict[str, Any] = {}
        if events:
            told = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
            queue = {"QueueArn": told["Attributes"]["QueueArn"], "Events": list(events)}
            configuration = {"QueueConfigurations": [queue]}
        await self.s3.put_bucket_notification_configuration(Bucket=self.bucket, NotificationConfiguration=configuration)

    async def blob(self, key: str) -> bytes | None:
        """The bytes at the target, None where there is no blob."""
        try:
            return await (await self.container.download_blob(key, decompress=False)).readall()
        except ResourceNotFoundError:
            return None

    async def until_blob(self, key: str, data: bytes | None, deadline_s: float = DEADLINE_S) -> None:
        """Waits until the target holds this, None for nothing."""
        found: bytes | None = None
        with anyio.move_on_after(deadline_s):
            while (found := await self.blob(key)) != data:  # noqa: ASYNC110 -- the service tells nobody
                await anyio.sleep(POLL_S)
            return
        described = "nothing" if found is None else f"{len(found)} bytes, MD5 {md5(found)}"
        raise AssertionError(f"{key} is not at the target as it should be, but {described}")

    async def waiting(self) -> int:
        """Messages in the queue of events, in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(told["Attributes"][name]) for name in names)

    async def settled(self, daemon: Daemon, deadline_s: float = DEADLINE_S) -> Status:
        """Once the copy is through and no event is left: a message is deleted when what it tells of is durable."""
        status = await daemon.until(lambda s: s["copy_stage"] == "swept", deadline_s)
        with anyio.fail_after(deadline_s):
            empty = 0
            while empty < 3:
                empty = 0 if await self.waiting() else empty + 1
                assert daemon.program.exit_code is None, daemon.program.tail()
                await anyio.sleep(0.1)
        return status

    async def differences(self) -> dict[str, tuple[HeldObject | None, HeldObject | None]]:
        """By key, what the bucket and what the container holds, where that is not the same."""
        wanted = {key: held async for key, held in read_bucket(self.s3, self.bucket)}
        found = await held_blobs(self.container)
        keys = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
        return {key: (wanted.get(key), found.get(key)) for key in sorted(keys)}

    async def assert_equal(self) -> None:
        """Names, bytes, headers, metadata and tags; nothing ever seen that may not be."""
        different = await self.differences()
        assert not different, f"{len(different)} differ: {list(different.items())[:3]}"
        await self.observer.look()
        self.assert_nothing_wrong_seen()

    def assert_nothing_wrong_seen(self) -> None:
        assert not self.observer.violations, self.observer.violations[:5]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Observer]:
        """The observer at work."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.observer.watch)
            try:
                yield self.observer
            finally:
                tasks.cancel_scope.cancel()


async def held_blobs(container: ContainerClient) -> dict[str, HeldObject]:
    """All that the container shows."""
    names = [blob.name async for blob in container.list_blobs()]
    found = {name: await held_blob(container, name) for name in names}
    return {name: held for name, held in found.items() if held is not None}


async def held_blob(container: ContainerClient, name: str, etag: str | None = None) -> HeldObject | None:
    """A blob as an application would read it, what replicator notes for itself left out; None where it is gone, or no
    longer has this ETag.
    """
    blob = container.get_blob_client(name)
    condition: dict[str, Any] = (
        {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
    )
    try:
        download = await blob.download_blob(decompress=False, **condition)
        digest, size = hashlib.md5(usedforsecurity=False), 0
        async for piece in download.chunks():
            digest.update(piece)
            size += len(piece)
        tags = await blob.get_blob_tags() if etag is None else {}
    except (ResourceNotFoundError, ResourceModifiedError):
        return None
    properties: BlobProperties = download.properties
    return HeldObject(
        size,
        digest.hexdigest(),
        metadata=decode_metadata({name.lower(): value for name, value in properties.metadata.items()}),
        tags=decode_tags(tags),
        headers=_headers(properties),
    )


def _headers(properties: BlobProperties) -> dict[str, str]:
    settings = properties.content_settings
    return {name: value for name, attribute in HEADERS.items() if (value := getattr(settings, attribute))}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def instant(text: str | None) -> float | None:
    """Unix seconds of a time in a status."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


@asynccontextmanager
async def bucket_world(
    aws: AwsServer,
    folder: Path,
    *,
    limits: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    target: Mapping[str, Any] | None = None,
    mode: str = "async",
) -> AsyncIterator[BucketWorld]:
    """A fresh bucket with a fresh queue, a fresh account of blobs, and a config that leads through the proxies."""
    bucket = f"media-{os.urandom(4).hex()}"
    async with AsyncExitStack() as stack:
        azurite = await stack.enter_async_context(Azurite(location=folder / "azurite"))
        s3_proxy, sqs_proxy, target_proxy = [
            await stack.enter_async_context(FaultProxy("127.0.0.1", port))
            for port in (aws.port, aws.port, azurite.port)
        ]
        http = await stack.enter_async_context(http_client())
        s3 = await stack.enter_async_context(aws.client("s3", max_pool_connections=50))
        sqs = await stack.enter_async_context(aws.client("sqs"))
        container = await stack.enter_async_context(
            ContainerClient.from_connection_string(azurite.connection_string, CONTAINER, retry_total=0)
        )
        queue_url = await create_bucket(s3, sqs, bucket, events_queue=f"{bucket}-events")
        reached = {"endpoint": s3_proxy.endpoint, "sqs_endpoint": sqs_proxy.endpoint}
        named = {"type": "s3", "bucket": bucket, "notifications": f"{bucket}-events"}
        pipeline = {
            "mode": mode,
            "source": {**named, **reached, **SOURCE, **(source or {})},
            "target": {
                "type": "blob",
                "endpoint": f"{target_proxy.endpoint}/{azurite.account_name}",
                "key": "${BLOB_KEY}",
                "container": CONTAINER,
                "create": True,
                **(target or {}),
            },
        }
        environment = {**aws.environment, "BLOB_KEY": azurite.account_key}
        written: dict[str, set[Written]] = defaultdict(set)
        writers: list[ObjectWriter] = []
        observer = Observer(container, lambda key: written[key].union(*(w.contents(key) for w in writers)))
        made = BucketWorld(
            folder, http, config_of({PIPELINE: pipeline}, limits), environment,
            aws, azurite, s3, sqs, bucket, queue_url, container, s3_proxy, sqs_proxy, target_proxy,
            observer, written, writers,
        )  # fmt: skip
        made.write_config()
        yield made

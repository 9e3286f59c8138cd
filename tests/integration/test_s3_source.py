"""The S3 source with the real client, against the local AWS and a proxy that breaks what passes."""

from __future__ import annotations

import hashlib
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from integration.aws import ODD_KEYS
from yarl import URL

from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.objects import looked_up
from connectors.aws.s3.source import open_source
from fakes.follower import telemetry
from replicator.errors import ConfigurationError, TransientError
from replicator.model import Mode, Operation, Resume, Size
from replicator.objects import ContentChangedError, ContentRefusedError
from replicator.registry import SourceContext
from sandbox.faults import Answer, FaultProxy
from sandbox.workload import METADATA, TAGS, object_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connectors.aws.s3.source import S3Source
    from replicator.model import Batch, Change, Partition
    from replicator.objects import Content, StoredObject
    from sandbox.aws import AwsServer

KEYS = [key for _, key in object_keys()]
CONTENT = bytes(range(256)) * 8192
HEADERS = {
    "ContentType": "text/html; charset=utf-8",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ContentDisposition": 'attachment; filename="a.txt"',
    "CacheControl": "max-age=1",
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ordinary chain finds."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def context(mode: Mode = Mode.ASYNC) -> SourceContext:
    return SourceContext("pipelines.media.source", telemetry(), mode)


@asynccontextmanager
async def connected(endpoint: str, bucket: str, **settings: Any) -> AsyncIterator[S3Source]:
    """A source that has looked at its bucket."""
    options = {"region": "us-east-1", "endpoint": endpoint, "bucket": bucket, **settings}
    async with open_source(S3SourceConfig(type="s3", **options), context()) as source:
        await source.connect()
        yield source


@pytest.fixture
async def source(aws: AwsServer, bucket: str) -> AsyncIterator[S3Source]:
    async with connected(aws.endpoint, bucket) as made:
        yield made


async def listed(source: S3Source, partition: Partition, resume: Resume | None = None) -> list[Batch[StoredObject]]:
    async with aclosing(source.read(partition, resume or Resume())) as batches:
        return [batch async for batch in batches]


async def looks(source: S3Source) -> dict[str, Change[StoredObject]]:
    """Every listed object, each once."""
    found: dict[str, Change[StoredObject]] = {}
    for partition in await source.copy_partitions():
        for batch in await listed(source, partition):
            assert not found.keys() & {change.key for change in batch.changes}
            found.update((change.key, change) for change in batch.changes)
    return found


async def whole(source: S3Source, key: str) -> StoredObject:
    return (await source.lookup([key]))[key].record


async def content_of(source: S3Source, key: str) -> Content:
    content = (await whole(source, key)).content
    assert content is not None
    return content


async def read(content: Content, start: int, length: int) -> bytes:
    async with aclosing(content.read(start, length)) as pieces:
        return b"".join([piece async for piece in pieces])


# --- what is there ----------------------------------------------------------------------------------------------------


async def test_the_corpus_is_listed_and_looked_up_exactly(s3: Any, bucket: str, source: S3Source) -> None:
    """Listing and HEAD tell the same version, and the content is the key's own."""
    for key in KEYS:
        await s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert 8 < len(await source.copy_partitions()) <= 16
    found = await looks(source)
    assert sorted(found) == sorted(KEYS)
    present = await source.lookup(KEYS)
    assert list(present) == KEYS
    for key in KEYS:
        assert present[key].operation is Operation.UPSERT
        assert present[key].version == found[key].version
        size = len(key.encode())
        assert present[key].record.size == size
        content = present[key].record.content
        assert content is not None
        assert await read(content, 0, size) == key.encode()
    assert await source.missing(KEYS) == set()
    assert await source.size() == Size(len(KEYS), sum(len(key.encode()) for key in KEYS))


async def test_what_is_missing_is_told_whatever_the_keys(s3: Any, bucket: str, source: S3Source) -> None:
    for key in KEYS[::2]:
        await s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert await source.missing(KEYS) == set(KEYS[1::2])
    found = await source.lookup(KEYS[1::2])
    assert {change.operation for change in found.values()} == {Operation.DELETE}


async def test_a_range_is_resumed_midway(s3: Any, bucket: str, source: S3Source) -> None:
    for key in KEYS:
        await s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for partition in (await source.copy_partitions())[::3]:
        everything = [change.key for batch in await listed(source, partition) for change in batch.changes]
        for done in {0, len(everything) // 2, len(everything) - 1}:
            rest = await listed(source, partition, Resume(everything[done]))
            assert [change.key for batch in rest for change in batch.changes] == everything[done + 1 :]


async def test_more_than_a_page(s3: Any, aws: AwsServer, bucket: str) -> None:
    for number in range(1005):
        await s3.put_object(Bucket=bucket, Key=f"{number:04d}", Body=b"x")
    async with connected(aws.endpoint, bucket, partitions=1) as source:
        (partition,) = await source.copy_partitions()
        batches = await listed(source, partition)
        assert [(batch.read, batch.bytes, batch.position) for batch in batches] == [
            (1000, 1000, "0999"),
            (5, 5, "1004"),
        ]
    async with connected(aws.endpoint, bucket, partitions=4) as source:
        assert len(await source.copy_partitions()) == 2, "what fits into a page is not divided"
        assert len(await looks(source)) == 1005


async def test_a_version_changes_with_all_that_a_listing_can_tell(s3: Any, bucket: str, source: S3Source) -> None:
    async def version() -> str:
        found = (await looks(source))["k"].version
        assert found == (await whole(source, "k")).version
        got = await s3.get_object(Bucket=bucket, Key="k")
        assert found == looked_up("k", got, {}, None).version
        return found

    where = {"Bucket": bucket, "Key": "k"}
    await s3.put_object(**where, Body=b"one")
    versions = [await version()]
    await s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "t", "Value": "1"}]})
    assert await version() == versions[0], "tags do not show"
    await s3.put_object(**where, Body=b"two")
    versions.append(await version())
    await s3.put_object(**where, Body=b"two", StorageClass="STANDARD_IA")
    versions.append(await version())
    assert len(set(versions)) == 3


async def test_headers_metadata_tags_and_checksums(s3: Any, bucket: str, source: S3Source) -> None:
    for label, metadata in METADATA.items():
        await s3.put_object(Bucket=bucket, Key=f"metadata/{label}", Body=b"", Metadata=metadata)
        assert (await whole(source, f"metadata/{label}")).metadata == metadata
    for label, tags in TAGS.items():
        await s3.put_object(Bucket=bucket, Key="tags", Body=b"")
        tagging = {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}
        await s3.put_object_tagging(Bucket=bucket, Key="tags", Tagging=tagging)
        assert (await whole(source, "tags")).tags == tags, label
    await s3.put_object(Bucket=bucket, Key="k", Body=b"content", ChecksumAlgorithm="SHA256", **HEADERS)
    record = await whole(source, "k")
    assert record.headers is not None
    assert record.headers.content_type == HEADERS["ContentType"]
    assert record.headers.content_encoding == "gzip"
    assert record.checksums == {
        "md5": hashlib.md5(b"content", usedforsecurity=False).digest(),
        "sha256": hashlib.sha256(b"content").digest(),
    }


async def test_headers_that_cannot_be_read_are_an_obstacle_and_never_shown(
    s3: Any, bucket: str, source: S3Source
) -> None:
    await s3.put_object(Bucket=bucket, Key="many", Body=b"", Metadata={f"m{n}": "secret" for n in range(200)})
    await s3.put_object(Bucket=bucket, Key="long", Body=b"", Metadata={"m": "secret" * 2000})
    for key in ("many", "long"):
        record = await whole(source, key)
        assert "more, or longer, than can be read" in record.obstacle
        assert "secret" not in record.obstacle
        assert record.version == (await looks(source))[key].version


async def test_an_archived_object_is_there_and_says_why_it_cannot_be_read(
    s3: Any, bucket: str, source: S3Source
) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="DEEP_ARCHIVE")
    record = await whole(source, "k")
    assert "is archived (DEEP_ARCHIVE)" in record.obstacle
    assert record.content is not None
    with pytest.raises(ContentRefusedError, match="InvalidObjectState"):
        await read(record.content, 0, 1)


async def test_a_deleted_object_of_a_versioned_bucket_is_absent(s3: Any, bucket: str, source: S3Source) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    written = await s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert (await whole(source, "k")).source_version == written["VersionId"]
    await s3.delete_object(Bucket=bucket, Key="k")
    assert (await source.lookup(["k"]))["k"].operation is Operation.DELETE
    assert await looks(source) == {}
    assert await source.missing(["k"]) == {"k"}


# --- bytes ------------------------------------------------------------------------------------------------------------


async def test_ranges_of_a_large_object(s3: Any, bucket: str, source: S3Source) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    content = await content_of(source, "k")
    for start, length in ((0, len(CONTENT)), (0, 1), (len(CONTENT) - 1, 1), (1000, 1_000_000)):
        assert await read(content, start, length) == CONTENT[start : start + length]


async def test_an_object_overwritten_while_it_is_read_in_ranges_has_changed(
    s3: Any, bucket: str, source: S3Source
) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    content = await content_of(source, "k")
    assert await read(content, 0, 100) == CONTENT[:100]
    await s3.put_object(Bucket=bucket, Key="k", Body=CONTENT[::-1])
    with pytest.raises(ContentChangedError):
        await read(content, 100, 100)
    assert await read(await content_of(source, "k"), 0, 100) == CONTENT[::-1][:100]
    await s3.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ContentChangedError):
        await read(content, 100, 100)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_url_reads_the_object_without_credentials(s3: Any, bucket: str, source: S3Source, key: str) -> None:
    await s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    url = await (await content_of(source, key)).url(60)
    assert url is not None
    assert "X-Amz-Expires=60" in url
    assert "X-Amz-Signature=" in url
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True)) as answer:
        assert await answer.read() == b"0123456789"


async def test_a_url_names_the_version_where_there_are_several(s3: Any, bucket: str, source: S3Source) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    url = await (await content_of(source, "k")).url(60)
    await s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert url is not None
    async with aiohttp.ClientSession() as http, http.get(URL(url, encoded=True)) as answer:
        assert await answer.read() == b"old"


async def test_a_connection_cut_amid_the_content_is_transient(s3: Any, aws: AwsServer, bucket: str) -> None:
    large = CONTENT * 16
    await s3.put_object(Bucket=bucket, Key="k", Body=large)
    async with FaultProxy("127.0.0.1", aws.port) as proxy, connected(proxy.endpoint, bucket) as source:
        content = await content_of(source, "k")
        got = b""

        async def read_cut_off() -> None:
            nonlocal got
            async with aclosing(content.read(0, len(large))) as pieces:
                async for piece in pieces:
                    got += piece
                    proxy.cut()

        with pytest.raises(TransientError):
            await read_cut_off()
        assert 0 < len(got) < len(large)
        assert got + await read(content, len(got), 1000) == large[: len(got) + 1000]


async def test_a_404_of_a_proxy_deletes_nothing(s3: Any, aws: AwsServer, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"")
    async with FaultProxy("127.0.0.1", aws.port) as proxy, connected(proxy.endpoint, bucket) as source:
        rule = proxy.inject(Answer(status=404), method="HEAD", count=2)
        assert (await source.lookup(["k"]))["k"].operation is Operation.UPSERT
        assert rule.hits == 2


# --- the start --------------------------------------------------------------------------------------------------------


async def test_a_bucket_that_is_not_there_is_reported(aws: AwsServer) -> None:
    with pytest.raises(ConfigurationError, match="there is no bucket bucket-nowhere"):
        async with connected(aws.endpoint, "bucket-nowhere"):
            pass


async def test_a_directory_bucket_is_refused(aws: AwsServer) -> None:
    with pytest.raises(ConfigurationError, match="directory bucket"):
        async with connected(aws.endpoint, "media--use1-az4--x-s3"):
            pass


async def test_changes_that_would_never_be_noticed_are_refused(aws: AwsServer, bucket: str) -> None:
    options: dict[str, Any] = {"region": "us-east-1", "endpoint": aws.endpoint, "relist_interval_s": None}
    config = S3SourceConfig(type="s3", bucket=bucket, **options)
    async with open_source(config, context()) as source:
        with pytest.raises(ConfigurationError, match="notifications"):
            await source.connect()
    async with open_source(config, context(Mode.COPY)) as source:
        await source.connect()
        assert source.clock.known
        assert await source.follow_partitions() == ()

"""Promises of the Blob Storage target over the real SDK: what it writes, what it finds, what it leaves alone."""

from __future__ import annotations

import hashlib
import os
import random
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import ContentSettings, StandardBlobTier

from connectors.azure.blob import hashing as blob_hashing
from connectors.azure.blob.metadata import decode_metadata, decode_tags
from connectors.azure.blob.writing import ONE_REQUEST_BYTES
from fakes.blobs import Bench, ready
from fakes.objects import Bytes, gone, put, stored
from replicator.model import ABSENT, GuardedResult, Observed, Rule
from replicator.objects import ContentChangedError, ContentRefusedError, Headers
from sandbox.workload.object_keys import KINDS
from sandbox.workload.object_labels import METADATA, TAGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.azurite import Azurite

DONE = GuardedResult()
NEVER = AssertionError("the bytes are not to be read")
LARGE = os.urandom(ONE_REQUEST_BYTES + 12_345)
HEADERS = Headers("text/html", "gzip", "de", 'attachment; filename="a b.txt"', "max-age=1", "never", "/there")


@pytest.fixture
async def bench(azurite: Azurite) -> AsyncIterator[Bench]:
    async with ready(azurite, block_bytes=65_536) as made:
        yield made


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=len)
async def test_an_object_arrives_with_everything_it_has(bench: Bench, data: bytes) -> None:
    change = put(
        "a/b c", data, headers=HEADERS, metadata={"cost-centre": "é", "plain": ""}, tags={"mail": "a@b"},
        storage_class="STANDARD_IA", checksums={"crc32": zlib.crc32(data).to_bytes(4, "big")},
    )  # fmt: skip
    assert await bench.replace(change) == DONE
    blob = bench.container.get_blob_client("a/b c")
    found = await blob.get_blob_properties()
    assert await bench.content("a/b c") == data
    assert found.content_settings == ContentSettings(
        "text/html", "gzip", "de", 'attachment; filename="a b.txt"', "max-age=1",
        bytearray(hashlib.md5(data, usedforsecurity=False).digest()),
    )  # fmt: skip
    assert decode_metadata(found.metadata) == {"cost-centre": "é", "plain": ""}
    assert decode_tags(await blob.get_blob_tags()) == {"mail": "a@b"}
    assert found.blob_tier == "Cool"
    observed = await bench.observe("a/b c")
    assert observed == Observed(found.etag.strip('"'), bench.target.fingerprint(change), "v1")


@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
async def test_what_is_equal_is_not_written_again_and_its_bytes_are_not_read(bench: Bench, data: bytes) -> None:
    await bench.replace(put("a", data))
    before, content = await bench.observe("a"), Bytes(data)
    assert await bench.replace(put("a", data, content=content)) == DONE
    assert await bench.observe("a") == before
    assert content.read_bytes == 0


@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
@pytest.mark.parametrize(
    "newer", [put("a", b"newer", "v2"), put("a", LARGE[::-1], "v2"), gone("a")], ids=["small", "large", "gone"]
)
async def test_a_write_is_refused_when_the_target_has_moved_on(bench: Bench, data: bytes, newer: Any) -> None:
    for at_first in (None, put("a", b"first", "v0")):
        if at_first is not None:
            await bench.replace(at_first)
        observed = await bench.target.observe(["a"])
        await bench.replace(newer)
        held = await bench.held()
        late = await bench.target.replace({"a": put("a", data)}, observed, Rule.FOLLOW)
        if at_first is not None or held:
            assert late == GuardedResult(conflicts=("a",))
            assert await bench.held() == held
        await bench.replace(gone("a"))


async def test_a_delete_is_refused_when_the_target_has_moved_on(bench: Bench) -> None:
    await bench.replace(put("a", b"1"))
    observed = await bench.target.observe(["a"])
    await bench.replace(put("a", b"2", "v2"))
    assert (await bench.target.replace({"a": gone("a")}, observed, Rule.FOLLOW)).conflicts == ("a",)
    assert await bench.held() == {"a": b"2"}
    assert await bench.replace(gone("a"), gone("never there"), gone("./never")) == DONE
    assert await bench.held() == {}


@pytest.mark.parametrize(
    "other",
    [
        {"tags": {"t": "2"}},
        {"tags": {}},
        {"version": "v2", "metadata": {"m": "2"}},
        {"version": "v2", "headers": Headers("text/css")},
        {"storage_class": "STANDARD_IA"},
    ],
    ids=str,
)
async def test_another_label_of_the_same_content_moves_no_bytes(bench: Bench, other: dict[str, Any]) -> None:
    """In one request, on the condition of the ETag, so that a slower one with older tags is refused."""
    first = stored("a", LARGE, tags={"t": "1"}, metadata={"m": "1"})
    await bench.replace(put("a", LARGE, tags={"t": "1"}, metadata={"m": "1"}))
    stale = await bench.target.observe(["a"])
    content = Bytes(LARGE)
    changed = replace(put("a"), record=replace(first, **other, content=content))
    assert await bench.replace(changed) == DONE
    assert content.read_bytes == 0
    assert (await bench.observe("a")).digest == bench.target.fingerprint(changed)
    assert await bench.content("a") == LARGE
    slower = put("a", LARGE, tags={"t": "0"}, metadata={"m": "1"})
    assert (await bench.target.replace({"a": slower}, stale, Rule.FOLLOW)).conflicts == ("a",)
    assert (await bench.observe("a")).digest == bench.target.fingerprint(changed)


async def test_other_content_of_the_same_size_and_label_is_written(bench: Bench) -> None:
    await bench.replace(put("a", LARGE))
    assert await bench.replace(put("a", LARGE[::-1], "v2")) == DONE
    assert await bench.content("a") == LARGE[::-1]
    nameless = put("a", LARGE, "v3", etag="")
    assert await bench.replace(nameless) == DONE
    assert await bench.replace(put("a", LARGE[::-1], "v4", etag="")) == DONE
    assert await bench.content("a") == LARGE[::-1], "without an ETag nothing tells that it is the same"


@pytest.mark.parametrize("data", [b"", b"small"], ids=len)
async def test_changed_tags_of_a_small_object_need_nothing_of_the_source(bench: Bench, data: bytes) -> None:
    await bench.replace(put("a", data, tags={"t": "1"}, headers=HEADERS))
    stale = await bench.target.observe(["a"])
    content = Bytes(data)
    changed = put("a", data, tags={"t": "2"}, headers=HEADERS, content=content)
    assert await bench.replace(changed) == DONE
    assert (content.starts, await bench.content("a")) == ([], data)
    assert (await bench.observe("a")).digest == bench.target.fingerprint(changed)
    slower = put("a", data, tags={"t": "0"}, headers=HEADERS)
    assert (await bench.target.replace({"a": slower}, stale, Rule.FOLLOW)).conflicts == ("a",)


@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
async def test_an_object_that_was_archived_after_it_was_copied_is_only_labelled_anew(bench: Bench, data: bytes) -> None:
    """Its version changes, its bytes cannot be read any more, and need not be."""
    await bench.replace(put("a", data))
    archived = put("a", data, "v2", storage_class="GLACIER", obstacle="is archived", content=Bytes(b"", error=NEVER))
    assert await bench.replace(archived) == DONE
    assert await bench.observe("a") == Observed(
        (await bench.observe("a")).guard, bench.target.fingerprint(archived), "v2"
    )
    assert (await bench.container.get_blob_client("a").get_blob_properties()).blob_tier == "Cold"
    assert await bench.content("a") == data
    other = put("a", data[::-1], "v3", obstacle="is archived")
    assert [rejection.reason for rejection in (await bench.replace(other)).rejections] == ["is archived"]


@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
async def test_an_object_whose_headers_cannot_be_read_takes_none_away(bench: Bench, data: bytes) -> None:
    """The source shows it with its obstacle, and without headers, metadata and tags."""
    await bench.replace(put("a", data, metadata={"m": "1"}, tags={"t": "1"}))
    before = await bench.observe("a")
    for version in ("v1", "v2"):
        hindered = put("a", data, version, headers=Headers(), obstacle="AccessDenied: no reason given")
        assert [rejection.key for rejection in (await bench.replace(hindered)).rejections] == ["a"]
    assert await bench.observe("a") == before


async def test_what_somebody_has_changed_is_noticed_and_put_right(bench: Bench) -> None:
    wanted = put("a", LARGE, tags={"t": "1"})
    blob = bench.container.get_blob_client("a")

    async def metadata() -> None:
        held = (await blob.get_blob_properties()).metadata
        await blob.set_blob_metadata({**held, "more": "1"})

    async def headers() -> None:
        md5 = (await blob.get_blob_properties()).content_settings.content_md5
        await blob.set_http_headers(ContentSettings(content_type="text/x", content_md5=md5))

    async def tags() -> None:
        await blob.set_blob_tags({"t": "2"})

    async def content() -> None:
        held = await blob.get_blob_properties()
        await blob.upload_blob(b"x" * held.size, overwrite=True, metadata=held.metadata)

    for change in (metadata, headers, tags, content):
        await bench.replace(wanted)
        await change()
        observed = await bench.observe("a")
        assert (observed.digest, observed.version) == (None, ""), change.__name__
        assert observed.guard is not None
        assert await bench.replace(wanted) == DONE
        assert (await bench.observe("a")).digest == bench.target.fingerprint(wanted)
        assert await bench.content("a") == LARGE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("./a"), "dot"),
        (put("a\\b"), "backslash"),
        (put("a", metadata={"m": "x" * 9000}), "metadata"),
        (put("a", tags={"t": "é" * 200}), "tag"),
        (put("a", b"1", obstacle="it is archived"), "it is archived"),
        (put("a", b"1", content=Bytes(b"1", error=ContentRefusedError("no permission for its key"))), "no permission"),
        (put("a", LARGE, content=Bytes(b"1", error=ContentRefusedError("no permission for its key"))), "no permission"),
        (put("a", b"1", checksums={"sha256": bytes(32)}), "sha256"),
        (put("a", LARGE, checksums={"md5": bytes(16)}), "md5"),
    ],
    ids=("dot", "backslash", "metadata", "tag", "archived", "forbidden", "large forbidden", "sha256", "large md5"),
)
async def test_what_cannot_be_written_is_rejected_with_its_reason_and_nothing_shows(
    bench: Bench, change: Any, reason: str
) -> None:
    result = await bench.replace(put("b", b"fine"), change)
    (rejection,) = result.rejections
    assert rejection.key == change.key
    assert reason in rejection.reason
    assert result.conflicts == ()
    assert await bench.names() == ["b"]
    assert [r.key for r in await bench.target.apply([change], Rule.FOLLOW)] == [change.key]


async def test_what_the_service_refuses_for_good_is_rejected_and_not_tried_for_ever(bench: Bench) -> None:
    """Though some of these have the same status as a blob that was changed meanwhile."""
    await bench.container.upload_blob("leased", b"1")
    await bench.container.get_blob_client("leased").acquire_lease(60)
    await bench.container.upload_blob("archived", b"1", standard_blob_tier=StandardBlobTier.ARCHIVE)
    await bench.container.get_blob_client("staged").stage_block("short", b"1")
    result = await bench.replace(put("leased", b"2"), put("archived", b"2"), put("staged", LARGE))
    reasons = {rejection.key: rejection.reason for rejection in result.rejections}
    assert result.conflicts == ()
    assert "LeaseIdMissing" in reasons["leased"]
    assert "BlobArchived" in reasons["archived"]
    assert "InvalidBlobOrBlock" in reasons["staged"]
    assert "LeaseIdMissing" in (await bench.replace(gone("leased"))).rejections[0].reason


@pytest.mark.parametrize("data", [b"small", LARGE], ids=len)
async def test_an_object_that_changes_while_it_is_read_is_looked_at_again(bench: Bench, data: bytes) -> None:
    changed = put("a", data, content=Bytes(data, error=ContentChangedError()))
    assert await bench.replace(changed) == GuardedResult(conflicts=("a",))
    assert await bench.names() == []


async def test_bytes_that_were_damaged_once_are_read_again(bench: Bench) -> None:
    class Damaged(Bytes):
        def piece(self, start: int, stop: int) -> bytes:
            first = self.read_bytes <= len(LARGE)
            return bytes(stop - start) if first else super().piece(start, stop)

    for name in ("md5", "sha1", "sha256"):
        checksum = hashlib.new(name, LARGE).digest()
        assert await bench.replace(put(name, LARGE, content=Damaged(LARGE), checksums={name: checksum})) == DONE
        assert await bench.content(name) == LARGE


async def test_unconditional_writes_for_what_is_no_bucket(bench: Bench) -> None:
    for _ in range(2):
        assert await bench.target.apply([put("a", b"1"), put("b", LARGE), gone("c")], Rule.OVERLAP) == []
    assert await bench.target.apply([put("a", b"0", "v0"), put("d", b"4"), gone("b")], Rule.COPY) == []
    assert await bench.target.apply([gone("b")], Rule.FOLLOW) == []
    assert await bench.held() == {"a": b"1", "d": b"4"}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_corpus_of_keys_arrives_exactly_or_is_refused_by_name(bench: Bench, kind: str) -> None:
    changes = [put(key, key.encode()) for key in KINDS[kind]]
    result = await bench.replace(*changes)
    refused = {rejection.key for rejection in result.rejections}
    assert all(rejection.reason for rejection in result.rejections)
    assert await bench.held() == {key: key.encode() for key in KINDS[kind] if key not in refused}
    observed = await bench.target.observe(KINDS[kind])
    assert {key for key, seen in observed.items() if seen == ABSENT} == refused
    keys = [key async for page in bench.target.scan(None) for key in page.keys]
    assert set(keys) == set(KINDS[kind]) - refused


@pytest.mark.parametrize("label", METADATA)
async def test_the_corpus_of_metadata_arrives_exactly(bench: Bench, label: str) -> None:
    change = put("a", b"1", metadata=METADATA[label])
    assert await bench.replace(change) == DONE
    found = await bench.target._observer.find("a")
    assert found is not None
    assert decode_metadata(found.label.metadata) == METADATA[label]
    assert (await bench.observe("a")).digest == bench.target.fingerprint(change)


@pytest.mark.parametrize("label", TAGS)
async def test_the_corpus_of_tags_arrives_exactly(bench: Bench, label: str) -> None:
    change = put("a", b"1", tags=TAGS[label])
    assert await bench.replace(change) == DONE
    assert (await bench.observe("a")).digest == bench.target.fingerprint(change)
    assert decode_tags(await bench.container.get_blob_client("a").get_blob_tags()) == TAGS[label]


@pytest.mark.parametrize("tags", ["metadata", "none"])
async def test_tags_may_be_left_to_metadata_or_out(azurite: Azurite, tags: str) -> None:
    async with ready(azurite, tags=tags) as bench:
        change = put("a", b"1", tags={"équipe": "1"})
        assert await bench.replace(change) == DONE
        found = await bench.container.get_blob_client("a").get_blob_properties()
        assert not found.tag_count
        assert found.metadata.get("replicator_tags") == ("%C3%A9quipe=1" if tags == "metadata" else None)
        assert (await bench.observe("a")).digest == bench.target.fingerprint(change)


async def test_labels_of_any_kind_are_read_back_equal_one_by_one_and_from_a_listing(bench: Bench) -> None:
    """The service's signature sorts headers by their names, and its listings are XML: neither may stumble."""
    chance = random.Random(7)

    def text(alphabet: str, least: int) -> str:
        return "".join(chance.choices(alphabet, k=chance.randint(least, 7)))

    changes = []
    for number in range(120):
        metadata = {text("abxy019-._!#~'*+%ABé ", 1): text('ab %,;=\té<&"', 0) for _ in range(5)} | {"_": "1"}
        tags = {text("aZ09 +-=.:/@_é", 1): text("aZ0 +-=.:/@_é", 1) for _ in range(3)}
        headers, storage_class = (HEADERS, "STANDARD_IA") if number % 2 else (Headers(), "STANDARD")
        data = LARGE if number % 40 == 0 else b"x"
        changes.append(
            put(f"k{number:03}", data, metadata=metadata, tags=tags, headers=headers, storage_class=storage_class)
        )
    for start in range(0, len(changes), 40):
        assert await bench.replace(*changes[start : start + 40]) == DONE
    listed = await bench.target.observe([change.key for change in changes])
    for change in changes:
        expected = bench.target.fingerprint(change)
        assert listed[change.key].digest == (await bench.observe(change.key)).digest == expected, change.record


async def test_the_digest_of_a_content_is_that_of_its_bytes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks, of whatever is there now; and None where nothing is."""
    monkeypatch.setattr(blob_hashing, "BLOCK_BYTES", 100_000)
    for key, data in (("empty", b""), ("gzip", LARGE)):
        await bench.replace(put(key, data, headers=HEADERS))
        assert await bench.target.content_digest(key) == hashlib.sha256(data).hexdigest()
    await bench.container.upload_blob("gzip", b"somebody else's", overwrite=True)
    assert await bench.target.content_digest("gzip") == hashlib.sha256(b"somebody else's").hexdigest()
    assert await bench.target.content_digest("absent") is None

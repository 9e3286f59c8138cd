"""The bytes: exactly the range of exactly that version, or an error that says what to do."""

import hashlib
from contextlib import aclosing

import aiohttp
import anyio
import pytest
from botocore.exceptions import CredentialRetrievalError, ResponseStreamingError

from connectors.aws.s3 import hashing
from connectors.aws.s3.content import PIECE_BYTES
from fakes.buckets import BucketBench, s3_error
from fakes.objects import Bytes, stored
from fakes.virtual import in_virtual_time
from replicator.errors import ThrottledError, TransientError
from replicator.objects import Content, ContentChangedError, ContentRefusedError

CONTENT = bytes(range(256)) * 4096


async def content_of(bench: BucketBench, key: str = "k") -> Content:
    content = (await bench.lookups.of([key]))[key].record.content
    assert content is not None
    return content


async def read(content: Content, start: int, length: int) -> list[bytes]:
    async with aclosing(content.read(start, length)) as pieces:
        return [piece async for piece in pieces]


def bench_of(content: bytes = CONTENT) -> BucketBench:
    bench = BucketBench()
    bench.client.put("k", content)
    return bench


@in_virtual_time
async def test_a_range_is_read_in_bounded_pieces_and_closed() -> None:
    bench = bench_of()
    pieces = await read(await content_of(bench), 5, 700_000)
    assert b"".join(pieces) == CONTENT[5:700_005]
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert all(body.closed for body in bench.client.bodies)
    assert bench.client.conditions == [bench.client.objects["k"].etag], "S3 compares too, before it sends anything"


@in_virtual_time
async def test_no_bytes_need_no_request() -> None:
    bench = bench_of(b"")
    assert await read(await content_of(bench), 0, 0) == []
    assert not bench.client.calls["get_object"]


@in_virtual_time
async def test_left_early_it_is_closed() -> None:
    bench = bench_of()
    async with aclosing((await content_of(bench)).read(0, len(CONTENT))) as pieces:
        await anext(pieces)
    assert bench.client.bodies[0].closed


@in_virtual_time
async def test_a_replaced_or_deleted_object_has_changed() -> None:
    bench = bench_of()
    content = await content_of(bench)
    bench.client.put("k", b"other")
    with pytest.raises(ContentChangedError):
        await read(content, 0, 3)
    del bench.client.objects["k"]
    with pytest.raises(ContentChangedError):
        await read(content, 0, 3)


@in_virtual_time
async def test_an_object_that_was_another_one_in_between_has_changed() -> None:
    """Its ETag is the same again. What was fetched by a URL, which names no version, may be of the one in between."""
    bench = bench_of()
    content = await content_of(bench)
    bench.client.put("k", CONTENT[::-1])
    bench.client.put("k", CONTENT)
    with pytest.raises(ContentChangedError):
        await read(content, 0, 1)


@in_virtual_time
async def test_a_url_that_cannot_be_signed_at_the_moment_is_a_passing_failure() -> None:
    """As for every other call: credentials that are renewed may be missing for a while."""
    bench = bench_of()
    content = await content_of(bench)
    bench.client.unsigned = CredentialRetrievalError(provider="web identity", error_msg="no answer")
    with pytest.raises(TransientError, match="web identity"):
        await content.url(60)
    bench.client.unsigned = None
    assert await content.url(60)


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("AccessDenied", 403, "kms:Decrypt"),
        ("InvalidObjectState", 403, "restore it"),
        ("KMS.DisabledException", 400, "the key it is encrypted with"),
        ("InvalidRequest", 400, "only its owner has"),
    ],
)
def test_what_may_not_be_read_is_refused_with_its_reason(code: str, status: int, told: str) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = bench_of()
        content = await content_of(bench)
        bench.client.denied["get_object", "k"] = s3_error("GetObject", code, status, "because")
        with pytest.raises(ContentRefusedError, match=f"{code}: because .*{told}"):
            await read(content, 0, 3)
        assert bench.client.calls["get_object"] == 1

    run()


@pytest.mark.parametrize("code", ["ExpiredToken", "InternalError"])
def test_what_is_not_about_the_object_is_transient(code: str) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = bench_of()
        content = await content_of(bench)
        bench.client.denied["get_object", "k"] = s3_error("GetObject", code, 400 if code[0] == "E" else 500)
        with pytest.raises(TransientError):
            await read(content, 0, 3)

    run()


@in_virtual_time
async def test_a_throttle_is_told_and_makes_the_budget_give_way() -> None:
    bench = bench_of()
    content, before = await content_of(bench), bench.caller.budget.limit_per_s
    bench.client.denied["get_object", "k"] = s3_error("GetObject", "SlowDown", 503)
    with pytest.raises(ThrottledError):
        await read(content, 0, 3)
    assert (bench.caller.budget.per_s or 0) < before


@pytest.mark.parametrize(
    "breaks",
    [
        None,
        aiohttp.ClientPayloadError("cut"),
        ResponseStreamingError(error="cut"),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_body_that_ends_early_is_transient(breaks: Exception | None) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = bench_of()
        content = await content_of(bench)
        bench.client.breaks = (1000, breaks)
        with pytest.raises(TransientError):
            await read(content, 0, 5000)
        assert bench.client.bodies[0].closed

    run()


@in_virtual_time
async def test_another_range_or_version_than_asked_for_is_not_taken() -> None:
    """Something on the way may ignore the range, or the condition."""
    bench = bench_of()
    content = await content_of(bench)
    real = bench.client.get_object

    async def whole(**options: str) -> object:
        return await real(**{**options, "Range": f"bytes=0-{len(CONTENT) - 1}"})

    async def unconditional(**options: str) -> object:
        return await real(**{**options, "IfMatch": ""})

    bench.client.get_object = whole  # type: ignore[method-assign, assignment]
    with pytest.raises(TransientError, match="another range"):
        await read(content, 5, 10)
    bench.client.get_object = unconditional  # type: ignore[method-assign, assignment]
    bench.client.put("k", CONTENT[::-1])
    with pytest.raises(ContentChangedError):
        await read(content, 5, 10)
    assert all(body.closed for body in bench.client.bodies)


@in_virtual_time
async def test_many_ranges_at_once() -> None:
    bench = bench_of()
    content = await content_of(bench)
    got: dict[int, bytes] = {}

    async def one(start: int) -> None:
        got[start] = b"".join(await read(content, start, 100))

    async with anyio.create_task_group() as tasks:
        for start in range(0, 5000, 100):
            tasks.start_soon(one, start)
    assert b"".join(got[start] for start in sorted(got)) == CONTENT[:5000]


class TestDigest:
    """For verification: of all bytes, or empty where that cannot be told."""

    @in_virtual_time
    async def test_it_is_that_of_the_whole_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hashing, "BLOCK_BYTES", 300_000)
        whole = Bytes(CONTENT, cuts={10: 1, 700_000: 2})
        failed: list[TransientError] = []
        found = await hashing.content_digest(stored("k", CONTENT, content=whole), failed.append)
        assert found == hashlib.sha256(CONTENT).hexdigest()
        assert len(failed) == 3, "what broke off is read again"
        assert await hashing.content_digest(stored("k"), failed.append) == hashlib.sha256().hexdigest()

    @pytest.mark.parametrize("error", [ContentChangedError(), ContentRefusedError()])
    async def test_what_cannot_be_read_is_unknown(self, error: Exception) -> None:
        record = stored("k", CONTENT, content=Bytes(CONTENT, error=error))
        assert not await hashing.content_digest(record, lambda _: None)
        archived = stored("k", CONTENT, obstacle="is archived")
        assert not await hashing.content_digest(archived, lambda _: None)

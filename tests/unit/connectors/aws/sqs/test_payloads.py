"""Payloads in S3: found for exactly the messages that point to one, and where one cannot be read the reason is told."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import ValidationError

from connectors.aws.s3.sdk import ObjectClient
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.holding import Receipt, Received
from connectors.aws.sqs.payloads import MADE_UP, Payloads
from connectors.pointers import POINTER_CLASSES, S3Pointer
from fakes.buckets import NAME, BucketBench, s3_error
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.messages import Payload
from replicator.model import Severity
from replicator.objects import ContentChangedError

SENT_AT = datetime(2026, 11, 23, tzinfo=UTC)
CLASS = min(POINTER_CLASSES)
SIZE = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}


def received(id_: str, body: str, attributes: Any = SIZE) -> Received:
    return Received(Receipt(id_, id_, SENT_AT, 0.0), body, {}, attributes)


def pointing(id_: str, key: str, bucket: str = NAME) -> Received:
    return received(id_, S3Pointer(bucket, key, CLASS).body)


def payloads(bench: BucketBench) -> Payloads:
    return Payloads(bench.caller, cast(ObjectClient, bench.client), [NAME])


async def obstacle(bench: BucketBench, key: str, bucket: str = NAME) -> str:
    (payload,) = (await payloads(bench).of([pointing("m", key, bucket)])).values()
    assert (payload.size, payload.content) == (0, None)
    return payload.obstacle


async def read(payload: Payload) -> bytes:
    assert payload.content is not None
    async with aclosing(payload.content.read(0, payload.size)) as pieces:
        return b"".join([piece async for piece in pieces])


@in_virtual_time
async def test_messages_that_point_to_an_object_get_its_bytes_and_no_others_are_touched() -> None:
    bench = BucketBench(["a/1", "a/2"])
    plain = [received("plain", "text"), received("json", '["x", {}]'), received("bare", pointing("", "a/1").body, {})]
    found = await payloads(bench).of([pointing("one", "a/1"), *plain, pointing("two", "a/2"), pointing("again", "a/1")])
    assert set(found) == {"one", "two", "again"}
    assert [await read(found[name]) for name in ("one", "two", "again")] == [b"a/1", b"a/2", b"a/1"]
    assert bench.client.conditions == [bench.client.objects[key].etag for key in ("a/1", "a/2", "a/1")]


@in_virtual_time
async def test_an_object_that_is_replaced_before_it_is_read_is_not_taken_for_the_payload() -> None:
    bench = BucketBench(["k"])
    found = await payloads(bench).of([pointing("m", "k")])
    bench.client.put("k", b"another")
    with pytest.raises(ContentChangedError):
        await read(found["m"])


@in_virtual_time
async def test_an_object_that_is_gone_or_forbidden_is_an_obstacle() -> None:
    bench = BucketBench(["secret"])
    assert await obstacle(bench, "none") == "the payload is gone from bucket media"
    bench.client.denied["head_object", "secret"] = s3_error("HeadObject", "403", 403)
    bench.client.denied["get_object", "secret"] = s3_error("GetObject", "AccessDenied", 403, "not you")
    assert "bucket media cannot be read: AccessDenied: not you (permit s3:GetObject" in await obstacle(bench, "secret")


@in_virtual_time
async def test_a_bucket_that_is_not_named_is_not_even_asked() -> None:
    """A message may name anything, and must not make the daemon give away what only it may read."""
    bench = BucketBench(["k"])
    assert "bucket others, which s3_buckets of the source does not name" in await obstacle(bench, "k", "others")
    assert not bench.client.calls


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ExpiredToken"])
@in_virtual_time
async def test_what_passes_is_waited_for(code: str) -> None:
    """Credentials that have expired say nothing about the object, although HEAD is refused without a word."""
    bench = BucketBench(["k"])
    began = elapsed_s()

    def fault(operation: str) -> Exception | None:
        if elapsed_s() - began > 60:
            return None
        if operation == "head_object" and code == "ExpiredToken":
            return s3_error(operation, "400", 400)
        return s3_error(operation, code, {"SlowDown": 503, "InternalError": 500}.get(code, 400))

    bench.client.fault = fault
    found = await payloads(bench).of([pointing("m", "k")])
    assert elapsed_s() - began > 60
    assert await read(found["m"]) == b"k"


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (None, Severity.OK),
        (lambda: s3_error("GetObject", "NoSuchBucket", 404), Severity.ERROR),
        (lambda: s3_error("GetObject", "AccessDenied", 403, "not authorized to perform: s3:GetObject"), Severity.ERROR),
        (lambda: s3_error("GetObject", "AccessDenied", 403, "Access Denied"), Severity.WARNING),
    ],
)
@in_virtual_time
async def test_the_permission_is_tried_with_an_object_that_is_not_there(
    error: Callable[[], Exception] | None, severity: Severity
) -> None:
    bench = BucketBench()
    if error is not None:
        bench.client.denied["get_object", MADE_UP] = error()
    (finding,) = await payloads(bench).check("source")
    assert (finding.severity, finding.where) == (severity, "source.s3_buckets")
    assert NAME in finding.message


@pytest.mark.parametrize("settings", [{"s3_pointers": "inline"}, {"s3_buckets": ["media"]}])
def test_to_read_payloads_takes_the_names_of_their_buckets(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        SqsSourceConfig(type="sqs", queue="orders", **settings)

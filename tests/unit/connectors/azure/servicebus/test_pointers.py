"""Promise: a message whose body lies elsewhere says where in one shape, and can be told back."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.servicebus.mapping import MappingRules, MessageRefusedError, Outgoing, to_servicebus
from connectors.azure.servicebus.pointers import claim_check, inlined, original, pointing_again, rewritten
from connectors.pointers import S3Pointer, s3_pointer
from replicator.messages import Attribute, Message
from strategies import texts

URL = "https://account.blob.core.windows.net/claims/orders/m"
CONTAINERS = {"payloads": "https://account.blob.core.windows.net/payloads/"}
CLASSES = ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"]


def outgoing(body: str, content_type: str | None = None, **attributes: Attribute) -> Outgoing:
    sent = Message(id="m", body=body, sent_at=datetime(2026, 1, 1, tzinfo=UTC), attributes=attributes)
    return to_servicebus(sent, MappingRules(content_type=content_type))


def pointing_to(key: str, *, class_name: str = CLASSES[0], bucket: str = "payloads") -> Outgoing:
    body = json.dumps([class_name, {"s3BucketName": bucket, "s3Key": key}], separators=(",", ":"), ensure_ascii=False)
    return outgoing(body, ExtendedPayloadSize=Attribute("Number", "300000"))


def pointer_of(sent: Outgoing) -> S3Pointer | None:
    return s3_pointer(sent.body, sent.properties)


def left(sent: Outgoing) -> Outgoing:
    """As it is sent when its body has been left at URL."""
    return claim_check(sent, URL, len(sent.body), hashlib.sha256(sent.body).hexdigest())


def test_a_claim_check_has_the_documented_shape() -> None:
    pointer = left(outgoing("hello", "text/plain", colour=Attribute("String", "red")))
    told = {
        "url": URL,
        "bytes": 5,
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "content_type": "text/plain",
    }
    assert json.loads(pointer.body) == {"claim_check": told}
    assert pointer.content_type == "application/json"
    assert {f"replicator_claim_{name}": value for name, value in told.items()}.items() <= pointer.properties.items()
    assert pointer.properties["colour"] == "red"
    assert pointer.message_id == "m"


@given(texts, st.none() | st.just("text/plain"))
def test_a_claim_check_can_be_told_back(body: str, content_type: str | None) -> None:
    sent = outgoing(body, content_type)
    assert original(left(sent), body.encode()) == sent


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_pointer_of_an_extended_client_leads_to_the_blob(class_name: str) -> None:
    sent = pointing_to("a b/ü", class_name=class_name)
    pointer = pointer_of(sent)
    assert pointer is not None
    moved = rewritten(sent, pointer, CONTAINERS)
    assert json.loads(moved.body) == {
        "claim_check": {
            "url": "https://account.blob.core.windows.net/payloads/a%20b/%C3%BC",
            "s3_bucket": "payloads",
            "s3_key": "a b/ü",
            "s3_class": class_name,
            "bytes": 300_000,
        }
    }
    assert original(moved, b"of no matter") == sent


@pytest.mark.parametrize(
    "body",
    [
        *("[]", "{}", "x", "[1,2]", "5", '["a",{"s3BucketName":"b","s3Key":"k"}]', f'["{CLASSES[0]}",{{"s3Key":"k"}}]'),
        *(f'["{CLASSES[0]}",{{"s3BucketName":"b","s3Key":"{key}"}}]' for key in ("", r"\ud800")),
    ],
)
def test_nothing_else_is_taken_for_a_pointer(body: str) -> None:
    assert s3_pointer(body, {"ExtendedPayloadSize"}) is None


@pytest.mark.parametrize("class_name", [[], {}, 5, None, CLASSES[0]])
@pytest.mark.parametrize("key", [["k"], 5, None])
def test_whatever_json_a_body_is_it_stops_nobody(class_name: object, key: object) -> None:
    """It would do so again after every restart."""
    body = json.dumps([class_name, {"s3BucketName": "payloads", "s3Key": key}])
    assert s3_pointer(body, {"ExtendedPayloadSize"}) is None


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_body_that_is_nested_deeper_than_can_be_parsed_is_only_a_body(opening: str) -> None:
    assert s3_pointer(opening * 100_000, {"ExtendedPayloadSize"}) is None


@pytest.mark.parametrize(("bucket", "key"), [("no bucket, but a text", "k"), ("b" * 256, "k"), ("payloads", "ü" * 513)])
def test_what_no_bucket_and_no_object_is_called_is_only_a_body(bucket: str, key: str) -> None:
    """The name of a bucket that may not be read from is told in reasons, and a body must not be."""
    assert pointer_of(pointing_to(key, bucket=bucket)) is None


def test_without_its_attribute_a_body_is_only_a_body() -> None:
    assert s3_pointer(pointing_to("k").body, {"colour"}) is None


@pytest.mark.parametrize("attribute", ["ExtendedPayloadSize", "SQSLargePayloadSize"])
@pytest.mark.parametrize("size", ["300000", "3e5", "n"])
def test_a_pointer_whose_payload_becomes_the_body_can_be_told_back(attribute: str, size: str) -> None:
    """The client's attribute must go, or a consumer would take the body for a pointer."""
    sent = outgoing(S3Pointer("payloads", "ü/k", CLASSES[1]).body, None, **{attribute: Attribute("Number", size)})
    pointer = pointer_of(sent)
    assert pointer is not None
    inline = inlined(sent, pointer)
    assert attribute not in inline.properties
    assert inline.properties["replicator_payload_s3_key"] == "ü/k"
    assert pointing_again(inline) == sent
    assert pointing_again(original(left(inline), inline.body)) == sent


def test_a_payload_that_is_not_replicated_is_refused_with_its_bucket() -> None:
    sent = pointing_to("k", bucket="others")
    pointer = pointer_of(sent)
    assert pointer is not None
    with pytest.raises(MessageRefusedError, match="bucket others"):
        rewritten(sent, pointer, CONTAINERS)


@pytest.mark.parametrize("key", ["a\\b", "a/./b", "..", "file.", "a\x07b", "a/" * 254 + "a"])
def test_a_key_that_leads_to_another_blob_or_to_none_is_refused(key: str) -> None:
    sent = pointing_to(key)
    pointer = pointer_of(sent)
    assert pointer is not None
    with pytest.raises(MessageRefusedError, match="name of a blob"):
        rewritten(sent, pointer, CONTAINERS)

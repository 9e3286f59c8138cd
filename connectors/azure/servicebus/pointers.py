"""Messages whose body lies in a blob: what is sent instead, and pointers of the SQS extended clients.

The pointer message has the properties of the original, those of ours that begin with `replicator_claim_`, and a JSON
body that says the same: `{"claim_check": {"url": …, "bytes": …, "sha256": …, "content_type": …}}`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from connectors.azure.servicebus import properties as names
from connectors.azure.servicebus.mapping import MessageRefusedError, Outgoing, check_properties
from connectors.azure.servicebus.properties import Properties

CONTENT_TYPE: Final = "application/json"

POINTER_CLASSES: Final = frozenset(
    {"software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"}
)
"""What the first member of a pointer's body names, by the version of the extended client."""

SIZE_ATTRIBUTES: Final = ("ExtendedPayloadSize", "SQSLargePayloadSize")
"""The attribute that makes a message one of an extended client, and holds the payload's size in bytes."""

DOTS_ONLY: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class S3Pointer:
    """Where an extended client has put the payload of a message."""

    bucket: str
    key: str
    class_name: str


def claim_check(outgoing: Outgoing, url: str) -> Outgoing:
    """The message that points to its body at `url`. Raises MessageRefusedError where even that is too large."""
    properties: Properties = {
        names.CLAIM_URL: url,
        names.CLAIM_BYTES: len(outgoing.body),
        names.CLAIM_SHA256: hashlib.sha256(outgoing.body).hexdigest(),
    }
    if outgoing.content_type is not None:
        properties[names.CLAIM_CONTENT_TYPE] = outgoing.content_type
    return _pointing(outgoing, properties)


def s3_pointer(outgoing: Outgoing) -> S3Pointer | None:
    """What a message of an extended client points to; None for any other message."""
    if not any(name in outgoing.properties for name in SIZE_ATTRIBUTES):
        return None
    try:
        body: Any = json.loads(outgoing.body)
        class_name, fields = body
        pointer = S3Pointer(str(fields["s3BucketName"]), str(fields["s3Key"]), str(class_name))
    except (ValueError, TypeError, KeyError):
        return None
    return pointer if class_name in POINTER_CLASSES else None


def rewritten(outgoing: Outgoing, pointer: S3Pointer, containers: Mapping[str, str]) -> Outgoing:
    """The message with a pointer to the blob that replaces the object, by the URLs of `containers` for each bucket.

    The blob has the object's key as its name. Raises MessageRefusedError where no container is named, or a blob cannot
    have that name.
    """
    container = containers.get(pointer.bucket)
    if container is None:
        raise MessageRefusedError(
            f"the payload is in bucket {pointer.bucket}, for which s3_buckets names no container: name the one that "
            "its objects are replicated to"
        )
    if _changes_as_name(pointer.key):
        raise MessageRefusedError("the payload's key cannot be the name of a blob, see docs/connectors/blob-names.md")
    properties: Properties = {
        names.CLAIM_URL: f"{container.rstrip('/')}/{quote(pointer.key)}",
        names.CLAIM_S3_BUCKET: pointer.bucket,
        names.CLAIM_S3_KEY: pointer.key,
        names.CLAIM_S3_CLASS: pointer.class_name,
    }
    size = next(outgoing.properties[name] for name in SIZE_ATTRIBUTES if name in outgoing.properties)
    if isinstance(size, int):
        properties[names.CLAIM_BYTES] = size
    if outgoing.content_type is not None:
        properties[names.CLAIM_CONTENT_TYPE] = outgoing.content_type
    return _pointing(outgoing, properties)


def original(pointing: Outgoing, payload: bytes) -> Outgoing:
    """The message as it was before it became a pointer, given what the blob holds.

    An S3 pointer is put back as it was; its payload is of no matter.
    """
    claims = {name: value for name, value in pointing.properties.items() if name.startswith("replicator_claim_")}
    rest = {name: value for name, value in pointing.properties.items() if name not in claims}
    body = payload
    if names.CLAIM_S3_BUCKET in claims:
        fields = {"s3BucketName": claims[names.CLAIM_S3_BUCKET], "s3Key": claims[names.CLAIM_S3_KEY]}
        body = json.dumps([claims[names.CLAIM_S3_CLASS], fields], separators=(",", ":"), ensure_ascii=False).encode()
    content_type = claims.get(names.CLAIM_CONTENT_TYPE)
    return replace(
        pointing, body=body, content_type=None if content_type is None else str(content_type), properties=rest
    )


def _pointing(outgoing: Outgoing, claims: Properties) -> Outgoing:
    told = {name.removeprefix("replicator_claim_"): value for name, value in claims.items()}
    pointing = replace(
        outgoing,
        body=json.dumps({"claim_check": told}, ensure_ascii=False, separators=(",", ":")).encode(),
        content_type=CONTENT_TYPE,
        properties={**outgoing.properties, **claims},
    )
    check_properties(pointing)
    return pointing


def _changes_as_name(key: str) -> bool:
    """Whether Blob Storage would take another name for it: a backslash, or a segment that ends with a dot."""
    return "\\" in key or any(segment in DOTS_ONLY or segment.endswith(".") for segment in key.split("/"))

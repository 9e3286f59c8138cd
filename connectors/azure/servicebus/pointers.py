"""Messages whose body lies in a blob: what is sent instead, and pointers of the SQS extended clients.

The pointer message has the properties of the original, those of ours that begin with `replicator_claim_`, and a JSON
body that says the same: `{"claim_check": {"url": …, "bytes": …, "sha256": …, "content_type": …}}`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from connectors.azure.blob.names import blob_name
from connectors.azure.servicebus import properties as names
from connectors.azure.servicebus.mapping import MessageRefusedError, Outgoing, check_properties
from connectors.azure.servicebus.properties import Properties
from connectors.pointers import SIZE_ATTRIBUTES, S3Pointer

CONTENT_TYPE: Final = "application/json"


def claim_check(outgoing: Outgoing, url: str, size: int, sha256: str) -> Outgoing:
    """The message that points to its body at `url`, which has so many bytes and this hash, in hexadecimal.

    Raises MessageRefusedError where even that is too large.
    """
    properties: Properties = {names.CLAIM_URL: url, names.CLAIM_BYTES: size, names.CLAIM_SHA256: sha256}
    if outgoing.content_type is not None:
        properties[names.CLAIM_CONTENT_TYPE] = outgoing.content_type
    return _pointing(outgoing, properties)


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
    try:
        blob_name(pointer.key)
    except ValueError as error:
        raise MessageRefusedError(f"the payload's key cannot be the name of a blob: {error}") from error
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


def inlined(outgoing: Outgoing, pointer: S3Pointer) -> Outgoing:
    """The message of which the payload is to be the body, still without it: an S3 pointer becomes properties."""
    attribute = next(name for name in SIZE_ATTRIBUTES if name in outgoing.properties)
    rest = {name: value for name, value in outgoing.properties.items() if name != attribute}
    properties: Properties = {
        **rest,
        names.PAYLOAD_S3_BUCKET: pointer.bucket,
        names.PAYLOAD_S3_KEY: pointer.key,
        names.PAYLOAD_S3_CLASS: pointer.class_name,
        names.PAYLOAD_ATTRIBUTE: attribute,
        names.PAYLOAD_SIZE: outgoing.properties[attribute],
    }
    fetched = replace(outgoing, body=b"", properties=properties)
    check_properties(fetched)
    return fetched


def pointing_again(inline: Outgoing) -> Outgoing:
    """The inverse of `inlined`; whatever became of the payload is of no matter."""
    rest = dict(inline.properties)
    told = (rest.pop(n) for n in (names.PAYLOAD_S3_BUCKET, names.PAYLOAD_S3_KEY, names.PAYLOAD_S3_CLASS))
    body = S3Pointer(*map(str, told)).body.encode()
    attribute, size = str(rest.pop(names.PAYLOAD_ATTRIBUTE)), rest.pop(names.PAYLOAD_SIZE)
    return replace(inline, body=body, properties={**rest, attribute: size})


def original(pointing: Outgoing, payload: bytes) -> Outgoing:
    """The message as it was before it became a pointer, given what the blob holds.

    An S3 pointer is put back as it was; its payload is of no matter.
    """
    claims = {name: value for name, value in pointing.properties.items() if name.startswith("replicator_claim_")}
    rest = {name: value for name, value in pointing.properties.items() if name not in claims}
    body = payload
    if names.CLAIM_S3_BUCKET in claims:
        told = (claims[name] for name in (names.CLAIM_S3_BUCKET, names.CLAIM_S3_KEY, names.CLAIM_S3_CLASS))
        body = S3Pointer(*map(str, told)).body.encode()
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

"""The rules an item must obey before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cosmos import keys, wire
from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.expiry import valid_ttl

if TYPE_CHECKING:
    from sandbox.cosmos.keys import KeyDefinition, PartitionKey
    from sandbox.cosmos.wire import Json, JsonObject

MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1_023
SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts")
KEY_MISMATCH = 1001


def valid_id(value: Json) -> str:
    """Check an item id: text of 1 to 1,023 bytes without `/ \\ ? #`; 400 otherwise."""
    if not isinstance(value, str) or not value:
        raise bad_request("The required property id is missing, empty or no string.")
    if not value.isascii() and len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise bad_request(f"The id is longer than {MAX_ID_BYTES} bytes.")
    if len(value) > MAX_ID_BYTES:
        raise bad_request(f"The id is longer than {MAX_ID_BYTES} bytes.")
    if "/" in value or "\\" in value or "?" in value or "#" in value:
        raise bad_request("The id contains one of the characters / \\ ? #, which are not allowed.")
    return value


def check_key(document: JsonObject, definition: KeyDefinition, key: PartitionKey) -> None:
    """Check that a document lies in the partition the request names.

    Raises CosmosError 400 with sub status 1001 when the values differ, 400 when they are of a type
    that cannot be a partition key.
    """
    values = definition.extract(document)
    if len(values) == 1 and type(values[0]) is str and key.values == (values[0],):
        return
    if keys.canonical(values)[1] != key.text:
        raise bad_request(
            "PartitionKey extracted from document doesn't match the one specified in the header.",
            KEY_MISMATCH,
        )


def check_complete(definition: KeyDefinition, key: PartitionKey) -> None:
    """Point operations need a value for every level of the key; 400 with sub status 1001 otherwise."""
    if len(key.values) != len(definition.paths):
        raise bad_request(
            f"The partition key has {len(key.values)} values, the container's key has {len(definition.paths)}.",
            KEY_MISMATCH,
        )


def serialize(document: JsonObject) -> bytes:
    """The stored form of a document without system properties, which are removed from it.

    Raises CosmosError 413 above 2 MB of UTF-8.
    """
    for name in SYSTEM_PROPERTIES:
        document.pop(name, None)
    body = wire.encode(document)
    if len(body) > MAX_ITEM_BYTES:
        raise CosmosError(413, f"Request size is too large: {len(body)} bytes, at most {MAX_ITEM_BYTES}.")
    return body


def item_ttl(document: JsonObject) -> int | None:
    """The item's own time to live in seconds, -1 for never, None when it has none; 400 if invalid."""
    return valid_ttl(document["ttl"], "ttl") if "ttl" in document else None

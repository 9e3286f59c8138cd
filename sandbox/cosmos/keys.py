"""Partition keys: their definition, their values, and where a value lies in the hash space.

The effective partition key (EPK) of a value is upper-case hex, compared as text. A single key hashes
to 32 digits; a hierarchical key is the digits of its levels one after the other, so that all keys
below a prefix lie side by side. The SDK computes the same text for feed ranges.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.hashing import murmur3_128

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json, JsonObject

MAX_LEVELS = 3
MAX_VALUE_BYTES = 2_048
MISSING: JsonObject = {}
"""How a key says that the document has no value there; on the wire `{}`."""

_SEGMENT = re.compile(r"/(?:\"([^\"]*)\"|'([^']*)'|([^/]+))")


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """The partition key value of one logical partition.

    `text` is canonical and identifies it; `epk` is its place in the hash space.
    """

    values: tuple[Json, ...]
    text: str
    epk: str


@dataclass(frozen=True, slots=True)
class KeyDefinition:
    """Which properties of a document make its partition key; one path, or up to three."""

    paths: tuple[tuple[str, ...], ...]
    hierarchical: bool

    def extract(self, document: JsonObject) -> list[Json]:
        """The key values a document holds; `MISSING` where it has none."""
        return [_property(document, path) for path in self.paths]


def define(partition_key: Json) -> KeyDefinition:
    """Read the `partitionKey` member of a container; 400 when it breaks a rule of the service."""
    if not isinstance(partition_key, dict) or not isinstance(partition_key.get("paths"), list):
        raise bad_request("The container needs a partitionKey with paths.")
    kind = partition_key.get("kind", "Hash")
    if kind not in {"Hash", "MultiHash"}:
        raise bad_request(f"The partition key kind {kind!r} is not known.")
    if partition_key.setdefault("version", 2) != 2:
        raise bad_request("The sandbox supports partition key version 2 only.")
    paths = partition_key["paths"]
    most = MAX_LEVELS if kind == "MultiHash" else 1
    if not isinstance(paths, list) or not 1 <= len(paths) <= most:
        raise bad_request(f"A partition key of kind {kind} has 1 to {most} paths.")
    return KeyDefinition(tuple(split_path(path) for path in paths), kind == "MultiHash")


def split_path(path: Json) -> tuple[str, ...]:
    """Split `/a/"b/c"` into its property names; 400 for anything that is no such path."""
    if not isinstance(path, str) or not (found := list(_SEGMENT.finditer(path))):
        raise bad_request(f"The path {path!r} is not valid.")
    if "".join(match.group() for match in found) != path:
        raise bad_request(f"The path {path!r} is not valid.")
    return tuple(next(part for part in match.groups() if part is not None) for match in found)


@lru_cache(maxsize=8_192)
def parse_header(header: str) -> PartitionKey:
    """Read the `x-ms-documentdb-partitionkey` header: a JSON array of values.

    Raises CosmosError 400 for values that cannot be partition keys.
    """
    values = wire.parse(header)
    if not isinstance(values, list):
        raise bad_request("The partition key header must be a JSON array.")
    return make(values)


def make(values: list[Json]) -> PartitionKey:
    """A partition key of these values; 400 for what cannot be one."""
    checked, text = canonical(values)
    return PartitionKey(checked, text, "".join(map(_hash_text, checked)))


def canonical(values: list[Json]) -> tuple[tuple[Json, ...], str]:
    """Check values and give them their canonical text; 400 for objects, arrays and long strings."""
    checked: list[Json] = []
    for value in values:
        if isinstance(value, list) or (isinstance(value, dict) and value):
            raise bad_request("Partition key values must be strings, numbers, booleans or null.")
        if isinstance(value, str) and len(value.encode(errors="surrogatepass")) > MAX_VALUE_BYTES:
            raise bad_request(f"A partition key value is longer than {MAX_VALUE_BYTES} bytes.")
        whole = isinstance(value, float) and value.is_integer()
        checked.append(int(value) if whole and isinstance(value, float) else value)
    return tuple(checked), wire.encode(checked).decode()


def boundaries(count: int) -> list[str]:
    """Lower bounds of `count` equal physical partitions; the first is empty, the last ends at FF.

    Hashes have their two highest bits cleared, so the space in use ends at 40.
    """
    return ["", *(f"{(0x40 << 120) * index // count:032X}" for index in range(1, count))]


def _property(document: JsonObject, path: tuple[str, ...]) -> Json:
    value: Json = document
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _hash_text(value: Json) -> str:
    low, high = murmur3_128(_hash_input(value))
    return f"{high & 0x3FFFFFFFFFFFFFFF:016X}{low:016X}"


def _hash_input(value: Json) -> bytes:
    if isinstance(value, str):
        return b"\x08" + value.encode() + b"\xff"
    if value is None:
        return b"\x01"
    if value is True:
        return b"\x03"
    if value is False:
        return b"\x02"
    if isinstance(value, int | float):
        return b"\x05" + struct.pack("<d", value)
    return b"\x00"

"""Neutral documents as Cosmos DB documents, and back.

A document reads naturally to an application: its attributes are plain JSON of the same names. Names that mean something
to Cosmos or to replicator carry one more trailing underscore. What JSON cannot carry goes into the sidecar, so that the
mapping is exactly reversible. Pure functions: the clock is an argument.
"""

import json
import marshal
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from connectors.azure.cosmos.ids import DIGEST_MARK, KeyPart, encode_id
from connectors.azure.cosmos.sidecar import SIDECAR, Sidecar, sidecar
from connectors.azure.cosmos.values import Json, decode, encode
from replicator.documents import KEY_KINDS, Document, digest

PartitionKey: TypeAlias = str | int | float | list[str | int | float]
"""What goes into the header of a request: one value, or a list for a hierarchical key."""

RESERVED: Final = frozenset({"id", "ttl", "_rid", "_self", "_etag", "_ts", "_attachments", "_lsn", SIDECAR})
"""Top-level names that belong to Cosmos or to us. The change feed adds `_lsn`."""

MAX_DOCUMENT_BYTES: Final = 2 * 1024 * 1024
MAX_PARTITION_VALUE_BYTES: Final = 2048
MAX_TTL_S: Final = 2**31 - 1

JSON_GROWTH: Final = 6
"""A byte of `marshal` becomes at most this many bytes of JSON: a control character is written as \\u0000."""

_STEPS = re.compile(r"""/(?:"([^"]+)"|'([^']+)'|([^/]+))""")
"""The names that a path leads through, quoted in either way or not."""

Reason: TypeAlias = Literal["document_too_large", "partition_key_too_large"]


class DocumentRefusedError(ValueError):
    """Cosmos would not take the document, whatever is tried: `reason` for statistics, the message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True)
class MappingRules:
    """Where a record goes. Raises ValueError for rules that no record could follow.

    `key_attributes` are the source's, in order. `id_from` names those that form the id. `partition_paths` are one to
    three paths of the container's partition key, each `/id` (the document's id) or a key attribute as it is written
    in the document; names that need it may be quoted as Cosmos does: `/"a/b"`. `unique_paths` are those of the
    container's unique keys, which no two documents of a logical partition may be equal in.
    """

    key_attributes: tuple[str, ...]
    id_from: tuple[str, ...]
    partition_paths: tuple[str, ...]
    unique_paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id_from or not set(self.id_from) <= set(self.key_attributes):
            raise ValueError("the id is formed from one or more of the key attributes")
        if not 1 <= len(self.partition_paths) <= 3 or len(set(self.partition_members)) < len(self.partition_paths):
            raise ValueError("a partition key has one to three different paths")
        for path, member in zip(self.partition_paths, self.partition_members, strict=True):
            if member != "id" and _attribute(member) not in self.key_attributes:
                raise ValueError(f"the partition path {path} is neither /id nor a key attribute")

    @cached_property
    def partition_members(self) -> tuple[str, ...]:
        """The members of a document that form its partition key."""
        return tuple(path_member(path) for path in self.partition_paths)

    def partition_key_of(self, body: Mapping[str, Any]) -> Any:
        """As the service wants it in a header: null is a value, and an absent one is written as an empty object."""
        values = [body.get(member, {}) for member in self.partition_members]
        return values[0] if len(values) == 1 else values

    @property
    def tells_keys_apart(self) -> bool:
        """Whether different keys always give a different id or partition key; if not, records may collide."""
        told = {*self.id_from, *filter(None, map(_attribute, self.partition_members))}
        return told.issuperset(self.key_attributes)


@dataclass(frozen=True, slots=True)
class CosmosDocument:
    """A document ready to be written: `body` for json.dumps, holding `id` and the values of `partition_key` too."""

    id: str
    partition_key: PartitionKey
    body: dict[str, Json]


def to_cosmos(
    document: Document,
    rules: MappingRules,
    *,
    version: str,
    committed_at: datetime | None,
    expires_at: datetime | None,
    now: datetime,
    hold_expiry: bool,
) -> CosmosDocument:
    """A record as the document to write at `now`. The same arguments give the same document.

    `hold_expiry` keeps the service from expiring it until copying is done. Raises DocumentRefusedError for what Cosmos
    cannot hold, ValueError for what is no legal record.
    """
    document_id = _id(document, rules)
    body, kinds, restores_id = _write_attributes(document, document_id, rules)
    held = hold_expiry and expires_at is not None
    if expires_at is not None and not held:
        body["ttl"] = ttl_s(expires_at, now)
    note = Sidecar(
        digest=digest(document),
        version=version,
        committed_at=committed_at,
        expires_at=expires_at,
        kinds=kinds,
        restores_id=restores_id,
        held=held,
    )
    return _finish(document_id, body, note, rules)


def tombstone(key: Document, rules: MappingRules, *, version: str, committed_at: datetime | None) -> CosmosDocument:
    """The document that stands for a deleted record: its key attributes and a sidecar that says so.

    Where there are unique keys it has a value of its own for each: what is absent is null, and only one may be that.
    """
    document_id = _id(key, rules)
    attributes = {name: key[name] for name in rules.key_attributes}
    body, kinds, restores_id = _write_attributes(attributes, document_id, rules)
    note = Sidecar(
        digest=digest(attributes),
        version=version,
        committed_at=committed_at,
        kinds=kinds,
        restores_id=restores_id,
        deleted=True,
        held=True,
    )
    for path in rules.unique_paths:
        _set_apart(body, path, f"{DIGEST_MARK}{document_id}")
    return _finish(document_id, body, note, rules)


def from_cosmos(body: Mapping[str, object]) -> Document:
    """The record that a document was written from, of a tombstone its key.

    A document without a sidecar is read as plain JSON under the same rules for names. Raises ValueError if the body
    does not fit its sidecar.
    """
    note = sidecar(body) if SIDECAR in body else None
    kinds = note.kinds or {} if note else {}
    document: Document = {}
    for member, written in body.items():
        name = _attribute(member)
        if name is not None:
            document[name] = decode(written, kinds.get(member))
    if note is not None and note.restores_id:
        if "id" in document:
            raise ValueError("the attribute id is there twice")
        document["id"] = decode(body.get("id"), None)
    return document


def matches_digest(body: Mapping[str, object]) -> bool:
    """Whether a document still holds what replicator wrote. Never raises: what no longer decodes does not match."""
    try:
        return digest(from_cosmos(body)) == sidecar(body).digest
    except (ValueError, RecursionError):
        return False


def _id(attributes: Document, rules: MappingRules) -> str:
    """The document's id. Every key attribute must be there, whether or not the id is formed from it."""
    parts: dict[str, KeyPart] = {}
    for name in rules.key_attributes:
        value = attributes.get(name)
        if not isinstance(value, KEY_KINDS):
            problem = f"the key attribute {name} is absent or neither text, number nor binary"
            raise ValueError(problem)  # noqa: TRY004 — whatever is wrong with a record, callers catch one class
        parts[name] = value
    return encode_id([parts[name] for name in rules.id_from])


def _write_attributes(
    document: Document, document_id: str, rules: MappingRules
) -> tuple[dict[str, Json], dict[str, Json], bool]:
    """The body without sidecar, the kinds of its members, and whether the attribute `id` was left to the id.

    It is not left out where a partition path needs it under its own name.
    """
    body: dict[str, Json] = {"id": document_id}
    kinds: dict[str, Json] = {}
    restores_id = document.get("id") == document_id and "id_" not in rules.partition_members
    for name, value in document.items():
        if name == "id" and restores_id:
            continue
        member = member_of(name)
        body[member], kind = encode(value)
        if kind is not None:
            kinds[member] = kind
    return body, kinds, restores_id


def member_of(name: str) -> str:
    """The member of a document that holds an attribute."""
    return f"{name}_" if name.rstrip("_") in RESERVED else name


def _attribute(member: str) -> str | None:
    """The name of the attribute that a member holds, None for the members of Cosmos and our own."""
    if member in RESERVED:
        return None
    return member[:-1] if member.endswith("_") and member.rstrip("_") in RESERVED else member


def path_of(member: str) -> str:
    """The partition path that names a member, quoted where Cosmos needs it. Raises ValueError where no path can."""
    if member.isascii() and member.isidentifier():
        return f"/{member}"
    for quote in "\"'":
        if quote not in member and not member.endswith("\\"):  # which would escape the closing quote
            return f"/{quote}{member}{quote}"
    raise ValueError(f"no partition path can name the attribute {member}")


def default_path(key_names: tuple[str, ...]) -> str:
    """Leads to the source's first key attribute; where that is `id` and the whole key, the document's id says it.

    Raises ValueError where no path can.
    """
    return "/id" if key_names == ("id",) else path_of(member_of(key_names[0]))


def path_member(path: str) -> str:
    """The member that a partition path names; nested paths are refused because no key attribute is nested."""
    if path[:1] == "/" and len(path) > 1:
        name = path[1:]
        if name[0] in "\"'" and name[-1] == name[0] and len(name) > 2:
            return name[1:-1]
        if "/" not in name:
            return name
    raise ValueError(f"the partition path {path} is not a / and the name of one member")


def _set_apart(body: dict[str, Json], path: str, value: str) -> None:
    """Puts the value where the path leads to, unless a key attribute stands there or in the way."""
    *parents, last = (double or single or plain for double, single, plain in _STEPS.findall(path))
    inner: Json = body
    for name in parents:
        inner = inner.setdefault(name, {}) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.setdefault(last, value)


def _finish(document_id: str, body: dict[str, Json], note: Sidecar, rules: MappingRules) -> CosmosDocument:
    body[SIDECAR] = note.write()
    values = [_partition_value(body[member]) for member in rules.partition_members]
    _check_size(body)
    return CosmosDocument(document_id, values[0] if len(values) == 1 else list(values), body)


def _partition_value(value: Json) -> str | int | float:
    if isinstance(value, str) and len(value.encode()) > MAX_PARTITION_VALUE_BYTES:
        raise DocumentRefusedError(
            "partition_key_too_large",
            f"the value of the partition key is above {MAX_PARTITION_VALUE_BYTES} bytes",
        )
    if isinstance(value, str | int | float):
        return value
    raise ValueError("the value of the partition key is neither text nor number")


def _check_size(body: dict[str, Json]) -> None:
    """Refuses a document above Cosmos's limit, as the SDK would write it; only large documents are written twice."""
    if _json_bound_bytes(body) <= MAX_DOCUMENT_BYTES:
        return
    size_bytes = len(json.dumps(body, separators=(",", ":")))
    if size_bytes > MAX_DOCUMENT_BYTES:
        raise DocumentRefusedError(
            "document_too_large",
            f"the document takes {size_bytes} bytes of JSON, more than {MAX_DOCUMENT_BYTES}",
        )


def _json_bound_bytes(body: dict[str, Json]) -> int:
    """What the body's JSON cannot exceed.

    `marshal` is the quickest walk over a document: its format 2 writes every value in full and text as UTF-8.
    """
    return len(marshal.dumps(body, 2)) * JSON_GROWTH


def as_of(body: dict[str, Json], now: datetime) -> dict[str, Json]:
    """The same document, written at `now`: a `ttl` counts from then, however long it waited for its turn."""
    expires_at = sidecar(body).expires_at if "ttl" in body else None
    return body if expires_at is None else {**body, "ttl": ttl_s(expires_at, now)}


def ttl_s(expires_at: datetime, now: datetime) -> int:
    """The seconds from a write at `now` until the record expires, as the service takes them."""
    return max(1, min(math.ceil((expires_at - now).total_seconds()), MAX_TTL_S))

"""What a client asks of one item, whether alone or inside a transactional batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.patch import Patch, parse_patch

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json, JsonObject

MAX_OPERATIONS = 100
MAX_BATCH_BYTES = 2 * 1024 * 1024
KINDS = frozenset({"create", "upsert", "replace", "read", "delete", "patch"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One request on one item.

    `id` is None for create and upsert, whose document names it. `if_match` and `if_none_match` are
    ETags with their quotes, or `*`.
    """

    kind: str
    id: str | None = None
    document: JsonObject | None = None
    patch: Patch | None = None
    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one operation; `body` and `etag` are None after a delete."""

    status: int
    charge_ru: float
    body: bytes | None = None
    etag: str | None = None


def parse_batch(payload: bytes) -> list[Operation]:
    """Read the body of a transactional batch.

    Raises CosmosError 413 above 2 MB, 400 above 100 operations or for what is no operation.
    """
    if len(payload) > MAX_BATCH_BYTES:
        raise CosmosError(413, f"The batch has {len(payload)} bytes, at most {MAX_BATCH_BYTES} are allowed.")
    entries = wire.parse(payload)
    if not isinstance(entries, list) or not entries:
        raise bad_request("A batch is a non-empty JSON array of operations.")
    if len(entries) > MAX_OPERATIONS:
        raise bad_request(f"The batch has {len(entries)} operations, at most {MAX_OPERATIONS} are allowed.")
    return [_parse_entry(entry) for entry in entries]


def _parse_entry(entry: Json) -> Operation:
    if not isinstance(entry, dict):
        raise bad_request("Each operation of a batch must be a JSON object.")
    kind = str(entry.get("operationType", "")).lower()
    if kind not in KINDS:
        raise bad_request(f"The operation type {kind!r} is not known.")
    body = entry.get("resourceBody")
    document = body if isinstance(body, dict) else None
    if kind not in {"read", "delete"} and document is None:
        raise bad_request(f"The operation {kind} needs a resourceBody.")
    patch = parse_patch(document) if kind == "patch" and document is not None else None
    return Operation(
        kind,
        _text(entry, "id"),
        None if patch else document,
        patch,
        _text(entry, "ifMatch"),
        _text(entry, "ifNoneMatch"),
    )


def _text(entry: JsonObject, name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) else None

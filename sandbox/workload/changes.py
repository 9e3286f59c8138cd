"""What a writer does next, decided by its random state and its ground truth alone, and how that is said to DynamoDB.

Every write is conditional on the state before it, so that a request which lands late finds its condition false.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sandbox.workload.orders import STATUSES, order

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from sandbox.workload.calls import Item, Key

K = TypeVar("K")
Kind = Literal["put", "update", "delete"]
CALLS: dict[Kind, str] = {"put": "Put", "update": "Update", "delete": "Delete"}
HOT_SHARE = 0.1  # of the keys …
HOT_WRITES = 0.7  # … receives this share of the writes
TRANSACTION_SHARE = 0.03


@dataclass(slots=True)
class Entry:
    """Ground truth of one key: the highest version ever issued, and the one stored now, None while deleted."""

    issued: int = 0
    stored: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `before` and `after` are the stored versions around it, None for absent."""

    kind: Kind
    key: Key
    version: int
    before: int | None
    item: Item

    @property
    def after(self) -> int | None:
        return None if self.kind == "delete" else self.version


def key_space(space: str, count: int) -> list[Key]:
    """The keys of one writer; the first ones are the hot ones. Spaces of different names are disjoint."""
    return [(f"{space}-customer-{n // 4:05d}", f"{space}-order-{n:06d}") for n in range(count)]


def plan(chance: random.Random, keys: list[Key], truth: Mapping[Key, Entry], written_at_ms: int) -> list[Change]:
    """The next operation: one change, or two or three on different keys that go into one transaction."""
    count = chance.randint(2, 3) if chance.random() < TRANSACTION_SHARE else 1
    picked: dict[Key, None] = {}
    while len(picked) < min(count, len(keys)):
        picked[pick(chance, keys)] = None
    return [_change(chance, key, truth.get(key, Entry()), written_at_ms) for key in picked]


def parameters(table: str, change: Change) -> dict[str, Any]:
    """Parameters of put_item, update_item or delete_item; the same are an action of a transaction."""
    names = {"#version": "version"}
    values: Item = {}
    condition = "attribute_not_exists(#version)"
    if change.before is not None:
        condition = "#version = :before"
        values[":before"] = {"N": str(change.before)}
    request: dict[str, Any] = {"TableName": table}
    if change.kind == "put":
        request["Item"] = change.item
    else:
        request["Key"] = key_item(change.key)
    if change.kind == "update":
        request["UpdateExpression"] = "SET #version = :version, #status = :status, written_at = :at REMOVE note"
        names["#status"] = "status"
        values |= {
            ":version": change.item["version"],
            ":status": change.item["status"],
            ":at": change.item["written_at"],
        }
    request |= {"ConditionExpression": condition, "ExpressionAttributeNames": names}
    if values:
        request["ExpressionAttributeValues"] = values
    return request


def key_item(key: Key) -> Item:
    """A key in DynamoDB's low-level form."""
    return {"customer": {"S": key[0]}, "order_id": {"S": key[1]}}


def pick(chance: random.Random, keys: list[K]) -> K:
    """One of the keys, more often one of the first."""
    hot = max(1, int(len(keys) * HOT_SHARE))
    return keys[chance.randrange(hot if chance.random() < HOT_WRITES else len(keys))]


def _change(chance: random.Random, key: Key, entry: Entry, written_at_ms: int) -> Change:
    kinds: list[Kind] = ["put", "update"]
    weights = [80, 20]
    if entry.stored is not None:
        kinds, weights = ["put", "update", "delete"], [25, 60, 15]
    kind = chance.choices(kinds, weights)[0]
    version = entry.issued + 1
    item: Item = {"version": {"N": str(version)}, "status": {"S": chance.choice(STATUSES)}}
    if kind == "put":
        item = order(chance, key, version)
    item["written_at"] = {"N": str(written_at_ms)}
    return Change(kind, key, version, entry.stored, item)

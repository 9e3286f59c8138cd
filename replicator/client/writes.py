"""What a call to DynamoDB has written, read from its request and its answer as they are on the wire. Pure."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from replicator.documents import Document, Value, key_text

SINGLE = {"PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}

PARTIQL = {"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"}

OPERATIONS = frozenset({*SINGLE, "BatchWriteItem", "TransactWriteItems", *PARTIQL})
"""Those that may write records."""

READS = re.compile(r"\s*(SELECT|EXISTS)\b", re.IGNORECASE)

WRITES = re.compile(r'\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:"([^"]+)"|([\w.-]+))', re.IGNORECASE)

Wire = Mapping[str, Any]
"""JSON as DynamoDB takes and gives it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A record of a table, by name or ARN: the attributes that hold its key, and maybe more.

    Without attributes anything in the table may have been written; without a table, anything in any of them.
    """

    table: str | None
    attributes: Wire | None = None


def written(operation: str, request: Wire, answer: Wire) -> list[Written]:
    """What a call that succeeded has written; nothing that it left unprocessed."""
    if operation in SINGLE:
        return [Written(request["TableName"], request[SINGLE[operation]])]
    if operation == "BatchWriteItem":
        return _batch(request, answer)
    if operation == "TransactWriteItems":
        return [_action(action) for action in request["TransactItems"] if "ConditionCheck" not in action]
    if operation == "ExecuteStatement":
        return _statements([request["Statement"]])
    if operation == "ExecuteTransaction":
        return _statements(part["Statement"] for part in request["TransactStatements"])
    if operation == "BatchExecuteStatement":
        return _statements(part["Statement"] for part in request["Statements"])
    return []


def key_of(attributes: Wire, names: Iterable[str]) -> str:
    """The canonical text of the key that is made of these attributes."""
    key: Document = {name: _value(attributes[name]) for name in names}
    return key_text(key)


def _batch(request: Wire, answer: Wire) -> list[Written]:
    """A record occurs once in a batch, so one that was not processed is found by being equal."""
    left = answer.get("UnprocessedItems") or {}
    found: list[Written] = []
    for table, parts in request["RequestItems"].items():
        unprocessed = [_attributes(part) for part in left.get(table, ())]
        found += [Written(table, a) for a in map(_attributes, parts) if a not in unprocessed]
    return found


def _attributes(part: Wire) -> Wire:
    attributes: Wire = part["PutRequest"]["Item"] if "PutRequest" in part else part["DeleteRequest"]["Key"]
    return attributes


def _action(action: Wire) -> Written:
    for kind, holder in (("Put", "Item"), ("Update", "Key"), ("Delete", "Key")):
        if kind in action:
            return Written(action[kind]["TableName"], action[kind][holder])
    return Written(None)


def _statements(statements: Iterable[str]) -> list[Written]:
    """Which record a statement writes is not looked for; what is not understood may have written anything."""
    tables: dict[str | None, None] = {}
    for statement in statements:
        if not READS.match(statement):
            match = WRITES.match(statement)
            tables[match[1] or match[2] if match else None] = None
    return [Written(table) for table in tables]


def _value(typed: Wire) -> Value:
    """Of a key's attribute: text, a number or binary."""
    ((kind, content),) = typed.items()
    match kind:
        case "S":
            return str(content)
        case "N":
            return Decimal(str(content))
        case "B":
            return base64.b64decode(content)
    raise TypeError(f"an attribute of type {kind} cannot be part of a key")

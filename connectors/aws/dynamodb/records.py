"""Items and stream records as changes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.aws.dynamodb.attributes import read_item, write_item
from replicator.documents import Document, key_text, parse_key
from replicator.model import Change, Operation

EXPIRY_HORIZON = timedelta(days=5 * 365)
"""DynamoDB does not expire items whose time to live lies further back than five years."""

SERVICE = "dynamodb.amazonaws.com"
"""Who has removed what expired, by the stream."""

LAST_INSTANT_S = 253402300799
"""9999-12-31T23:59:59Z; what lies beyond never comes."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What is needed to read a table's items: its key attributes in order, and the attribute that expires them."""

    key_names: tuple[str, ...]
    expiry_name: str | None = None

    def key_of(self, document: Document) -> Document:
        """The key attributes of an item."""
        return {name: document[name] for name in self.key_names}


def row_change(item: Mapping[str, Any], shape: TableShape, now: datetime) -> Change[Document]:
    """An item as scanned or looked up: an upsert without version or commit time."""
    document = read_item(item)
    return Change(
        key=key_text(shape.key_of(document)),
        operation=Operation.UPSERT,
        record=document,
        expires_at=expiry(document, shape, now),
    )


def missing_change(key: str) -> Change[Document]:
    """The change for a key that has no item."""
    return Change(key=key, operation=Operation.DELETE, record=parse_key(key))


def wire_key(key: str) -> dict[str, dict[str, object]]:
    """The key attributes as DynamoDB takes them."""
    return write_item(parse_key(key))


def stream_change(record: Mapping[str, Any], shape: TableShape, now: datetime) -> Change[Document]:
    """A record of the stream. Its images must hold the new one; see `check` for the view type."""
    data = record["dynamodb"]
    keys = read_item(data["Keys"])
    removed = record["eventName"] == "REMOVE"
    document = keys if removed else read_item(data["NewImage"])
    committed = committed_at(record)
    return Change(
        key=key_text(keys),
        operation=Operation.DELETE if removed else Operation.UPSERT,
        record=document,
        version=data["SequenceNumber"],
        committed_at=committed,
        expires_at=None if removed else expiry(document, shape, now),
        written_at=None if _by_service(record) else committed,
    )


def _by_service(record: Mapping[str, Any]) -> bool:
    """Whether the time to live was over: nobody else's removal comes with the service's name."""
    return (record.get("userIdentity") or {}).get("principalId") == SERVICE


def committed_at(record: Mapping[str, Any]) -> datetime:
    """When a stream record was committed, rounded down to a second by the service."""
    moment: datetime = record["dynamodb"]["ApproximateCreationDateTime"]
    return moment.astimezone(UTC)


def expiry(document: Document, shape: TableShape, now: datetime) -> datetime | None:
    """When an item expires by its table's setting; None for never. Only numbers count, as for the service."""
    if shape.expiry_name is None:
        return None
    value = document.get(shape.expiry_name)
    if not isinstance(value, Decimal) or not 0 <= value <= LAST_INSTANT_S:
        return None
    moment = datetime.fromtimestamp(float(value), UTC)
    return None if moment < now - EXPIRY_HORIZON else moment

"""Documents with a number in them: what the fakes and the contract suites replicate."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from replicator.config.models import DeadLettersConfig
from replicator.documents import Document, key_text
from replicator.engine.payloads import Payloads
from replicator.model import Change, Operation
from replicator.registry import RecordKind


def key_of(name: str) -> str:
    """The canonical key of a record."""
    return key_text({"id": name})


def document(name: str, number: int) -> Document:
    """A record in its `number`th state."""
    return {"id": name, "number": Decimal(number)}


def number_in(record: Document) -> int:
    """The inverse."""
    number = record["number"]
    assert isinstance(number, Decimal)
    return int(number)


def upsert(
    name: str, number: int, committed_at: datetime | None = None, expires_at: datetime | None = None
) -> Change[Document]:
    """The change that brings a record to this state."""
    record = document(name, number)
    return Change(key_of(name), Operation.UPSERT, record, str(number), committed_at, expires_at, committed_at)


def delete(name: str, committed_at: datetime | None = None) -> Change[Document]:
    """The change that removes a record."""
    return Change(key_of(name), Operation.DELETE, {"id": name}, "", committed_at, written_at=committed_at)


PLAINLY: Payloads[Document] = Payloads(RecordKind(), DeadLettersConfig())
"""Keeps of a dead letter what is kept by default."""


async def unnoticed(_: Sequence[Change[Document]]) -> bool:
    """What a loop tells nobody, and goes on with."""
    return True

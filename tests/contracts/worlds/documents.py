"""What worlds of documents share: records with the key attribute `id` (text) and a `number`."""

from collections.abc import Mapping
from typing import Any

from fakes.records import document, number_in
from replicator.documents import Document
from replicator.model import Change, Operation

KEY_NAMES = ("id",)


async def state_of(change: Change[Document]) -> int | None:
    """The number in a record, which holds nothing that it should not."""
    if change.operation is Operation.DELETE:
        return None
    assert change.operation is Operation.UPSERT, "a record that is only listed is looked up first"
    return checked(change.record)


def checked(record: Document) -> int:
    """The number in a record, which holds nothing that it should not."""
    number = number_in(record)
    assert record == document(str(record["id"]), number)
    return number


def numbers(records: Mapping[str, Document]) -> dict[str, int]:
    """The number in each."""
    return {key: checked(record) for key, record in records.items()}


def with_text(change: Change[Document], text: str) -> Change[Document]:
    """The same change of a larger record."""
    record: dict[str, Any] = {**change.record, "text": text}
    return Change(change.key, change.operation, record, change.version)

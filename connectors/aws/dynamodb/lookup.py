"""Single items, read consistently."""

from collections.abc import Sequence

import anyio

from connectors.aws.calls import Caller, Response, consumed
from connectors.aws.dynamodb.records import TableShape, missing_change, row_change, wire_key
from connectors.aws.dynamodb.sdk import ItemsClient
from replicator.delivery import Backoff
from replicator.documents import Document
from replicator.errors import ThrottledError
from replicator.model import Change

MOST_KEYS = 100
"""A batch read takes no more."""

UNITS_OF_FULL_ANSWER = 256
"""What a consistent read of 1 MB takes; of one partition no more is given at once, of all together 16 MB."""


async def lookup(
    caller: Caller, client: ItemsClient, table: str, shape: TableShape, keys: Sequence[str]
) -> dict[str, Change[Document]]:
    """What the table holds under these keys now; a delete for a key without an item."""
    found = {key: missing_change(key) for key in keys}
    distinct = list(found)
    for start in range(0, len(distinct), MOST_KEYS):
        pending: object = request_items(table, distinct[start : start + MOST_KEYS])
        attempt = 0
        while pending:
            answer = await caller.paid(client.batch_get_item, RequestItems=pending)
            found.update((change.key, change) for change in _rows(answer, table, shape, caller))
            pending = answer.get("UnprocessedKeys")
            if pending:
                attempt += 1
                await _pause(caller, attempt, consumed(answer))
    return found


def request_items(table: str, keys: Sequence[str]) -> dict[str, object]:
    """Asks for these keys, at most `MOST_KEYS`, each once."""
    return {table: {"Keys": [wire_key(key) for key in keys], "ConsistentRead": True}}


def _rows(answer: Response, table: str, shape: TableShape, caller: Caller) -> list[Change[Document]]:
    now = caller.clock.latest()
    return [row_change(item, shape, now) for item in answer["Responses"].get(table, ())]


async def _pause(caller: Caller, attempt: int, units: float) -> None:
    """What was left unprocessed was throttled, unless the answer was as large as the service lets it be."""
    error = ThrottledError("batch_get_item: keys were left unprocessed")
    if units < UNITS_OF_FULL_ANSWER:
        caller.paid_failed(error)
    await anyio.sleep(Backoff().pause_s(attempt, error))

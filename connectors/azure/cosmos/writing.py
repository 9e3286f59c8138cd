"""Changes as writes, by rule; in transactional batches where several share a logical partition. Unconditional."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import anyio

from connectors.azure.cosmos.calls import BatchRefusal, Calls, Hook
from connectors.azure.cosmos.mapping import (
    CosmosDocument,
    DocumentRefusedError,
    MappingRules,
    as_of,
    to_cosmos,
    tombstone,
)
from connectors.azure.cosmos.sdk import Container
from connectors.azure.errors import AzureRefusal
from replicator.documents import Document
from replicator.model import Change, Operation, Rejection, Rule

MOST_OPERATIONS = 100
"""A transactional batch takes no more."""

MOST_BATCH_BYTES = 1_000_000
"""A transactional batch takes 2 MB; half leaves room for what the service adds."""


class Action(StrEnum):
    """What is asked of the container; the values are the SDK's names of batch operations."""

    CREATE = "create"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Write:
    """One document's write. A delete needs no body but is addressed by the same id and partition key."""

    key: str
    action: Action
    document: CosmosDocument


def as_write(change: Change[Document], rule: Rule, rules: MappingRules, now: datetime) -> Write | None:
    """The write for a change, None where nothing is to be done: a copied row has expired, or a delete is of what can
    never have been written.

    A record past its expiry counts as deleted. Raises ValueError for what Cosmos can never hold.
    """
    gone = change.operation is Operation.DELETE or (change.expires_at is not None and change.expires_at <= now)
    if rule is Rule.COPY:
        return None if gone else Write(change.key, Action.CREATE, _document(change, rules, now, hold=True))
    if not gone:
        hold = rule is Rule.OVERLAP
        return Write(change.key, Action.UPSERT, _document(change, rules, now, hold=hold))
    try:
        buried = grave(change, rules)
    except DocumentRefusedError:
        return None
    return Write(change.key, Action.UPSERT if rule is Rule.OVERLAP else Action.DELETE, buried)


def grave(change: Change[Document], rules: MappingRules) -> CosmosDocument:
    """The tombstone of a change's key. Raises DocumentRefusedError where no document can have that key."""
    key = {name: change.record[name] for name in rules.key_attributes}
    return tombstone(key, rules, version=change.version, committed_at=change.committed_at)


def _document(change: Change[Document], rules: MappingRules, now: datetime, *, hold: bool) -> CosmosDocument:
    return to_cosmos(
        change.record,
        rules,
        version=change.version,
        committed_at=change.committed_at,
        expires_at=change.expires_at,
        now=now,
        hold_expiry=hold,
    )


class Writer:
    """Writes to one container, in parallel across documents.

    How many go out together is found out by trying: a refused batch costs as much as one that is taken, and where the
    copy meets rows that the stream has brought already, most are refused. `unique_keys` says that the container has
    some, so that a document may be refused because of another one.
    """

    def __init__(self, container: Container, calls: Calls) -> None:
        self._container = container
        self._calls = calls
        self.unique_keys = False
        self._together = MOST_OPERATIONS
        self._refused = False

    async def write(self, writes: Sequence[Write]) -> list[Rejection]:
        """Returns when every write is durable or refused."""
        rejections: list[Rejection] = []

        async def run(unit: Sequence[Write]) -> None:
            rejections.extend(await self._unit(unit))

        self._refused = False
        async with anyio.create_task_group() as tasks:
            for unit in units(writes, self._together):
                tasks.start_soon(run, unit)
        self._together = max(1, self._together // 2) if self._refused else min(MOST_OPERATIONS, self._together * 2)
        return rejections

    async def _unit(self, unit: Sequence[Write]) -> list[Rejection]:
        """All at once if the service takes them, by halves if it refuses one of them."""
        if len(unit) == 1:
            rejection = await self._single(unit[0])
            return [rejection] if rejection else []
        try:
            await self._calls.write([w.key for w in unit], lambda hook: self._batch(unit, hook))
        except (BatchRefusal, AzureRefusal):
            self._refused = True
            middle = len(unit) // 2
            return await self._unit(unit[:middle]) + await self._unit(unit[middle:])
        return []

    async def _single(self, write: Write) -> Rejection | None:
        try:
            await self._calls.write([write.key], lambda hook: self._one(write, hook))
        except AzureRefusal as refusal:
            if not await self._is_done_already(write, refusal.status):
                return Rejection(write.key, f"Cosmos DB refuses the document: {refusal}")
        return None

    async def _is_done_already(self, write: Write, status: int) -> bool:
        """A copied row that exists is left alone; a document that does not exist is deleted."""
        if write.action is Action.CREATE and status == 409:
            return not self.unique_keys or await self._exists(write.document)
        return write.action is Action.DELETE and status == 404

    async def _exists(self, document: CosmosDocument) -> bool:
        """Tells an id that is taken from a unique key that is: the service answers both alike."""

        async def read(hook: Hook) -> None:
            await self._container.read_item(document.id, document.partition_key, response_hook=hook)

        try:
            await self._calls.read(read)
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    async def _one(self, write: Write, hook: Hook) -> None:
        document = write.document
        body = as_of(document.body, self._calls.now())
        match write.action:
            case Action.CREATE:
                await self._container.create_item(body, response_hook=hook)
            case Action.UPSERT:
                await self._container.upsert_item(body, response_hook=hook)
            case Action.DELETE:
                await self._container.delete_item(document.id, document.partition_key, response_hook=hook)

    async def _batch(self, unit: Sequence[Write], hook: Hook) -> None:
        now = self._calls.now()
        operations: list[tuple[Any, ...]] = [(w.action.value, (as_of(w.document.body, now),)) for w in unit]
        await self._container.execute_item_batch(operations, unit[0].document.partition_key, response_hook=hook)


def units(writes: Sequence[Write], most: int = MOST_OPERATIONS) -> Iterator[list[Write]]:
    """Writes that go out together: at most so many of one logical partition, within the limits of a batch.

    Deletes go alone, since one of a document that does not exist fails a whole batch.
    """
    together: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        if write.action is Action.DELETE:
            yield [write]
        else:
            together[json.dumps(write.document.partition_key)].append(write)
    for group in together.values():
        yield from _within_limits(group, most)


def _within_limits(group: Sequence[Write], most: int) -> Iterator[list[Write]]:
    if len(group) == 1 or most == 1:
        yield from ([write] for write in group)
        return
    unit: list[Write] = []
    unit_bytes = 0
    for write in group:
        size_bytes = len(json.dumps(write.document.body))
        if unit and (len(unit) == most or unit_bytes + size_bytes > MOST_BATCH_BYTES):
            yield unit
            unit, unit_bytes = [], 0
        unit.append(write)
        unit_bytes += size_bytes
    yield unit

"""Reads and writes of items in one logical partition: all or nothing.

A single operation is a transaction of one. Operations are checked and staged one after the other,
each seeing those before it; nothing is visible until `commit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cosmos import documents, wire
from sandbox.cosmos.budget import DELETE_RU, read_charge, write_charge
from sandbox.cosmos.errors import CosmosError, bad_request, conflict, not_found, precondition_failed
from sandbox.cosmos.items import Item, Write
from sandbox.cosmos.operations import Operation, Outcome

if TYPE_CHECKING:
    from sandbox.cosmos.container import Container
    from sandbox.cosmos.keys import PartitionKey
    from sandbox.cosmos.wire import JsonObject

NOT_MODIFIED = 304


class Transaction:
    """Stages operations on the items of one partition key value.

    There must be no await between construction and `commit`: the LSNs handed out are the
    partition's next ones.
    """

    def __init__(self, container: Container, key: PartitionKey) -> None:
        documents.check_complete(container.definition, key)
        self._now_s = container.expire()
        self._container = container
        self._key = key
        self.partition = container.partition_of(key)
        home = container.logical(key)
        self._items = home.items if home else {}
        self._staged: dict[str, Write] = {}
        self._writes: list[Write] = []
        self._created = self.partition.created

    def apply(self, operation: Operation) -> Outcome:
        """Check and stage one operation. Raises CosmosError as the service would refuse it."""
        kind = operation.kind
        if kind == "read":
            return self._read(operation)
        if kind == "delete":
            return self._delete(operation)
        if kind == "patch":
            return self._patch(operation)
        return self._write(operation)

    def commit(self) -> None:
        """Make everything staged visible."""
        if self._writes:
            self._container.commit(self._key, self._writes)

    def _current(self, id_: str) -> Item | Write | None:
        staged = self._staged.get(id_) if self._staged else None
        if staged is not None:
            return staged if staged.body is not None else None
        return self._items.get(id_)

    def _existing(self, operation: Operation) -> tuple[Item | Write, bytes]:
        id_ = operation.id or ""
        current = self._current(id_)
        if current is None or current.body is None:
            raise not_found(id_)
        return current, current.body

    def _read(self, operation: Operation) -> Outcome:
        current, body = self._existing(operation)
        etag = self.partition.etag(current.lsn)
        charge_ru = read_charge(len(body))
        if operation.if_none_match in {etag, "*"}:
            return Outcome(NOT_MODIFIED, charge_ru, None, etag)
        return Outcome(200, charge_ru, body, etag)

    def _delete(self, operation: Operation) -> Outcome:
        current, _ = self._existing(operation)
        self._check_match(operation, current)
        lsn = self._next_lsn()
        self._stage(Write(operation.id or "", lsn, self._now_s, None, current.number, None))
        return Outcome(204, DELETE_RU)

    def _patch(self, operation: Operation) -> Outcome:
        current, body = self._existing(operation)
        self._check_match(operation, current)
        if operation.patch is None:
            raise bad_request("A patch needs operations.")
        document = operation.patch.apply(wire.stored(body), self._container.definition)
        return self._put(operation.id or "", document, current, 200)

    def _write(self, operation: Operation) -> Outcome:
        document = operation.document
        if document is None:
            raise bad_request(f"The operation {operation.kind} needs a document.")
        id_ = documents.valid_id(document.get("id"))
        documents.check_key(document, self._container.definition, self._key)
        current = self._current(id_)
        if operation.kind == "replace":
            return self._replace(operation, document)
        if operation.kind == "create" and current is not None:
            raise conflict(id_)
        if current is not None:
            self._check_match(operation, current)
            self._check_none_match(operation, current)
        return self._put(id_, document, current, 200 if current else 201)

    def _replace(self, operation: Operation, document: JsonObject) -> Outcome:
        id_ = operation.id or ""
        if id_ != document["id"]:
            raise bad_request("The id of the document differs from the id it is to replace.")
        current, _ = self._existing(operation)
        self._check_match(operation, current)
        return self._put(id_, document, current, 200)

    def _put(self, id_: str, document: JsonObject, current: Item | Write | None, status: int) -> Outcome:
        ttl_s = documents.item_ttl(document)
        plain = documents.serialize(document)
        if current is None:
            self._created += 1
        number = self._created if current is None else current.number
        lsn = self._next_lsn()
        system = self._container.system_properties(self.partition, number, lsn, self._now_s)
        body = plain[:-1] + system
        self._stage(Write(id_, lsn, self._now_s, body, number, ttl_s))
        return Outcome(status, write_charge(len(plain)), body, self.partition.etag(lsn))

    def _check_match(self, operation: Operation, current: Item | Write) -> None:
        wanted = operation.if_match
        if wanted is not None and wanted not in {"*", self.partition.etag(current.lsn)}:
            raise precondition_failed()

    def _check_none_match(self, operation: Operation, current: Item | Write) -> None:
        """The service heeds If-None-Match on a write only where an upsert finds an item."""
        if operation.if_none_match in {"*", self.partition.etag(current.lsn)}:
            raise precondition_failed()

    def _next_lsn(self) -> int:
        return self.partition.lsn + len(self._writes) + 1

    def _stage(self, write: Write) -> None:
        self._writes.append(write)
        self._staged[write.id] = write


def run_one(container: Container, key: PartitionKey, operation: Operation) -> Outcome:
    """Perform one operation; raises CosmosError where the service would refuse it."""
    transaction = Transaction(container, key)
    outcome = transaction.apply(operation)
    transaction.commit()
    return outcome


def run_batch(container: Container, key: PartitionKey, operations: list[Operation]) -> list[Outcome | CosmosError]:
    """Perform a transactional batch.

    On success every entry is an Outcome. When an operation is refused nothing is done: its entry is
    its error, all others are 424.
    """
    transaction = Transaction(container, key)
    outcomes: list[Outcome | CosmosError] = []
    for index, operation in enumerate(operations):
        try:
            outcomes.append(transaction.apply(operation))
        except CosmosError as error:
            failed: list[Outcome | CosmosError] = [CosmosError(424, "")] * len(operations)
            failed[index] = error
            return failed
    transaction.commit()
    return outcomes

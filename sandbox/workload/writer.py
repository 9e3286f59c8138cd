"""A writer that keeps changing its own keys and knows, whatever the endpoint does, what the table must hold."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.workload.changes import CALLS, Entry, key_item, key_space, parameters, plan
from sandbox.workload.pace import Pace
from sandbox.workload.persistence import Persistence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.workload.calls import DynamoDb, Key
    from sandbox.workload.changes import Change


@dataclass(slots=True)
class Counts:
    """What a writer has done. `operations` is the number of calls that succeeded, a transaction being one.

    `ambiguous` calls failed without saying whether they took effect; `overtaken` ones found that an earlier
    ambiguous call had landed after all.
    """

    operations: int = 0
    put: int = 0
    update: int = 0
    delete: int = 0
    recreated: int = 0
    transactions: int = 0
    ambiguous: int = 0
    overtaken: int = 0


class Writer:
    """Inserts, updates, deletes and re-creates the keys of its `space`, a tenth of them much more often.

    Versions of a key grow for ever, over deletion and re-creation too; a deletion takes one. Use a space nobody
    else uses and that is new to the table. `clock` gives the epoch seconds stored as `written_at` (milliseconds).
    """

    def __init__(
        self,
        client: DynamoDb,
        table: str,
        *,
        space: str,
        keys: int = 200,
        rate_per_s: float = 50,
        seed: int = 0,
        retry_for_s: float = 60,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counts = Counts()
        self.last_write_at: datetime | None = None
        self._client = client
        self._table = table
        self._keys = key_space(space, keys)
        self._pace = Pace(rate_per_s)
        self._chance = random.Random(f"{seed}:{space}")
        self._persistence = Persistence(retry_for_s)
        self._clock = clock
        self._entries: dict[Key, Entry] = {}
        self._in_doubt: set[Key] = set()

    def truth(self) -> dict[Key, int | None]:
        """The stored version of every key ever written, None for the deleted. Await confirm() first."""
        return {key: entry.stored for key, entry in self._entries.items()}

    def stop(self) -> None:
        """Let run() return after the operation in hand."""
        self._pace.stop()

    async def run(self, *, for_s: float = math.inf, operations: float = math.inf) -> None:
        """Write at the rate until the time or the number is used up, or stop() is called.

        When the endpoint is too slow the writer falls behind, and catches up for at most a second's worth.
        Raises WorkloadError when the endpoint fails for longer than `retry_for_s`; it may be run again.
        """
        await self._pace.repeat(self._operate, for_s=for_s, operations=operations)

    async def confirm(self) -> int:
        """Re-read, consistently, the keys an ambiguous call touched; returns how many differed from the truth.

        Call it when no late delivery is pending any more. Raises WorkloadError if the endpoint keeps failing.
        """
        differed = 0
        for key in sorted(self._in_doubt):
            stored = await self._read(key)
            entry = self._entry(key)
            differed += stored != entry.stored
            entry.stored = stored
        self._in_doubt.clear()
        return differed

    async def _operate(self) -> None:
        changes = plan(self._chance, self._keys, self._entries, int(self._clock() * 1000))
        for change in changes:
            self._entry(change.key).issued = change.version
        doubts = {change.key for change in changes} - self._in_doubt
        self._in_doubt |= doubts  # also when this task is cancelled half-way
        certain = await self._commit(changes)
        if certain:
            self._in_doubt -= doubts

    async def _commit(self, changes: Sequence[Change]) -> bool:
        """Send until it has surely taken effect or was overtaken; whether the first attempt simply succeeded."""
        operation = f"{changes[0].kind} in {self._table}"
        sent = await self._persistence.certain(
            operation, lambda: self._send(changes), lambda: self._settled(changes), self.counts
        )
        if sent is None:
            return False
        self._record(changes)
        return sent.at_once

    async def _send(self, changes: Sequence[Change]) -> None:
        requests = [parameters(self._table, change) for change in changes]
        if len(changes) > 1:
            actions = [{CALLS[c.kind]: request} for c, request in zip(changes, requests, strict=True)]
            await self._client.transact_write_items(TransactItems=actions)
        elif changes[0].kind == "put":
            await self._client.put_item(**requests[0])
        elif changes[0].kind == "update":
            await self._client.update_item(**requests[0])
        else:
            await self._client.delete_item(**requests[0])

    async def _settled(self, changes: Sequence[Change]) -> bool:
        """After a failure: look whether the changes are there. False if the state before them still holds."""
        found = {change.key: await self._read(change.key) for change in changes}
        if all(found[change.key] == change.after for change in changes):
            self._record(changes)
            return True
        if all(found[change.key] == change.before for change in changes):
            return False
        self.counts.overtaken += 1
        for key, stored in found.items():
            entry = self._entry(key)
            entry.stored, entry.issued = stored, max(entry.issued, stored or 0)
        return True

    async def _read(self, key: Key) -> int | None:
        """The version stored now, None if there is none."""
        answer = await self._persistence.answered(
            f"read of {self._table}",
            lambda: self._client.get_item(TableName=self._table, Key=key_item(key), ConsistentRead=True),
        )
        item = answer.get("Item")
        return int(item["version"]["N"]) if item else None

    def _record(self, changes: Sequence[Change]) -> None:
        self.last_write_at = datetime.now(UTC)
        self.counts.operations += 1
        self.counts.transactions += len(changes) > 1
        for change in changes:
            entry = self._entry(change.key)
            entry.stored = change.after
            self.counts.recreated += change.before is None and change.version > 1
            setattr(self.counts, change.kind, getattr(self.counts, change.kind) + 1)

    def _entry(self, key: Key) -> Entry:
        return self._entries.setdefault(key, Entry())

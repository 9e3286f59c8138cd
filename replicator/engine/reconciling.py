"""The guarded procedure: make the target equal to the source now, for these keys, whatever it holds.

The target is read first, then the source, then the target is written on the condition that it has not changed; a
conflict starts over. So what is written is never older than what was there. Where nothing was there, no condition can
tell an untouched key from one that was created and deleted meanwhile: the source is looked at once more. Nor can what
is read say anything while an earlier request, one that was cut off, may still change it: that is waited out first.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Generic

import anyio

from replicator.delivery.suspects import Suspects
from replicator.engine.guards import EVER, Interval
from replicator.engine.payloads import Payloads
from replicator.model import Change, Operation, R, Rejection, Rule
from replicator.ports import Source, Target

CHUNK = 100
"""Keys looked at together; sources answer for so many in one call."""


class Reconciler(Generic[R]):
    """Reconciles keys of one pipeline; one procedure per key at a time. `suspects` are those of its target."""

    def __init__(self, source: Source[R], target: Target[R], suspects: Suspects, payloads: Payloads[R]) -> None:
        self._source = source
        self._payloads = payloads
        self._target = target
        self._suspects = suspects
        self._locks: dict[str, anyio.Lock] = {}

    async def reconcile(
        self, keys: Sequence[str], rule: Rule, done: Callable[[Sequence[str], Interval], None]
    ) -> list[Rejection]:
        """Returns what the target refuses; tells `done` of keys and when the source was read for them.

        When it is cut off, `done` is told too: what the target holds of these keys was read at any time until now.
        """
        rejections: list[Rejection] = []
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), CHUNK):
            chunk = distinct[start : start + CHUNK]
            async with self._locked(chunk):
                begun, since = self._source.clock.earliest(), EVER
                try:
                    rejections += await self._reconcile(chunk, rule)
                    since = begun
                finally:
                    done(chunk, Interval(since, self._source.clock.latest()))
        return rejections

    async def _reconcile(self, keys: Sequence[str], rule: Rule) -> list[Rejection]:
        rejections: list[Rejection] = []
        pending = list(keys)
        while pending:
            await self._suspects.clear(pending)
            observed = await self._target.observe(pending)
            wanted = await self._source.lookup(pending)
            result = await self._target.replace(wanted, observed, rule)
            rejections += [replace(r, payload=self._payloads.of(wanted[r.key])) for r in result.rejections]
            unwritten = {*result.conflicts, *(rejection.key for rejection in result.rejections)}
            created = [
                key
                for key, change in wanted.items()
                if observed[key].guard is None and change.operation is Operation.UPSERT and key not in unwritten
            ]
            pending = [*result.conflicts, *await self._changed(created, wanted)]
        return rejections

    async def _changed(self, keys: list[str], wanted: dict[str, Change[R]]) -> list[str]:
        if not keys:
            return []
        after = await self._source.lookup(keys)
        return [key for key in keys if after[key] != wanted[key]]

    @asynccontextmanager
    async def _locked(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """Holds the locks of all keys, taken in one order everywhere so that no two holders wait for each other."""
        held: list[tuple[str, anyio.Lock]] = []
        try:
            for key in sorted(keys):
                lock = self._locks.setdefault(key, anyio.Lock())
                await lock.acquire()
                held.append((key, lock))
            yield
        finally:
            for key, lock in held:
                lock.release()
                if not lock.locked():
                    self._locks.pop(key, None)

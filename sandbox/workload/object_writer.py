"""A writer that keeps changing its own objects and knows, whatever the endpoint does, what the bucket must hold."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.workload import object_calls as calls
from sandbox.workload.object_changes import ObjectChange, ObjectEntry, object_key_space, plan_object
from sandbox.workload.pace import Pace
from sandbox.workload.persistence import Persistence

if TYPE_CHECKING:
    from sandbox.workload.buckets import TaggingEvents
    from sandbox.workload.calls import S3
    from sandbox.workload.object_shapes import HeldObject


@dataclass(slots=True)
class ObjectCounts:
    """What a writer has done. `operations` is the number of changes that took effect; `parts` of them wrote content in
    parts, `retag` changed tags, `relabel` metadata and headers.

    `ambiguous` calls failed without saying whether they took effect; `overtaken` ones found that an earlier ambiguous
    call had landed after all.
    """

    operations: int = 0
    put: int = 0
    parts: int = 0
    retag: int = 0
    relabel: int = 0
    delete: int = 0
    recreated: int = 0
    ambiguous: int = 0
    overtaken: int = 0


class ObjectWriter:
    """Overwrites, deletes, re-creates, tags and labels the objects of its `space`, a tenth of them much more often.

    Content is written and deleted on the condition that the object is the one before, so that a request which lands
    late changes nothing; tags, metadata and headers do not change the ETag, so that theirs may. Versions of a key
    grow for ever, over deletion too: the metadata entry and the tag `version` tell them. Use a space nobody else
    uses and that is new to the bucket. `tagging` is told of changed tags, where the endpoint does not do that
    itself.
    """

    def __init__(
        self,
        client: S3,
        bucket: str,
        *,
        space: str,
        keys: int = 100,
        rate_per_s: float = 20,
        seed: int = 0,
        parts_share: float = 0.01,
        retry_for_s: float = 60,
        tagging: TaggingEvents | None = None,
    ) -> None:
        self.counts = ObjectCounts()
        self.last_write_at: datetime | None = None
        self._client = client
        self._bucket = bucket
        self._keys = object_key_space(space, keys)
        self._pace = Pace(rate_per_s)
        self._chance = random.Random(f"{seed}:{space}")
        self._parts_share = parts_share
        self._persistence = Persistence(retry_for_s)
        self._tagging = tagging
        self._entries: dict[str, ObjectEntry] = {}
        self._in_doubt: set[str] = set()

    def truth(self) -> dict[str, HeldObject | None]:
        """What is held under every key ever written, None for the deleted. Await confirm() first."""
        return {key: entry.held for key, entry in self._entries.items()}

    def contents(self, key: str) -> set[tuple[int, str]]:
        """Size and MD5 of all that was ever written under a key, what is being written included."""
        return set(self._entry(key).contents)

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
        """Read again the objects an ambiguous call touched; returns how many differed from the truth.

        Call it when no late delivery is pending any more. Raises WorkloadError if the endpoint keeps failing.
        """
        differed = 0
        for key in sorted(self._in_doubt):
            held = await self._read(key)
            entry = self._entry(key)
            differed += held != entry.held
            entry.held = held
            await self._tell(key, held)  # whatever landed late, and was told too early or not at all
        self._in_doubt.clear()
        return differed

    async def _operate(self) -> None:
        change = plan_object(self._chance, self._keys, self._entries, parts_share=self._parts_share)
        entry = self._entry(change.key)
        entry.issued = change.version
        if change.after is not None:
            entry.contents.add((change.after.size, change.after.md5))
        doubtful = change.key in self._in_doubt
        self._in_doubt.add(change.key)  # also when this task is cancelled half-way
        certain = await self._commit(change)
        if certain and not doubtful:
            self._in_doubt.discard(change.key)

    async def _commit(self, change: ObjectChange) -> bool:
        """Send until it has surely taken effect or was overtaken; whether the first attempt simply succeeded."""
        operation = f"{change.kind} in {self._bucket}"
        sent = await self._persistence.certain(
            operation, lambda: self._send(change), lambda: self._settled(change), self.counts
        )
        if sent is None:
            return False
        await self._record(change, sent.answer)
        return sent.at_once

    async def _send(self, change: ObjectChange) -> str:
        """The ETag afterwards, empty after a deletion."""
        before, after = change.before, change.after
        if change.new is not None:
            condition = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
            return await calls.put(self._client, self._bucket, change.new, condition)
        assert before is not None  # noqa: S101 -- only content is written where there is nothing
        if after is None:
            await self._client.delete_object(Bucket=self._bucket, Key=change.key, IfMatch=before.etag)
            return ""
        if change.kind == "relabel":
            return await calls.put_labels(self._client, self._bucket, change.key, after, before.etag)
        await calls.put_tags(self._client, self._bucket, change.key, after.tags)
        return before.etag

    async def _settled(self, change: ObjectChange) -> bool:
        """After a failure: look whether the change is there. False if what was before it still is."""
        found = await self._read(change.key)
        if found == change.after:
            await self._record(change, found.etag if found else "")
            return True
        if found == change.before:
            return False
        self.counts.overtaken += 1
        self._entry(change.key).held = found
        await self._tell(change.key, found)
        return True

    async def _read(self, key: str) -> HeldObject | None:
        return await self._persistence.answered(f"read of {key}", lambda: calls.read(self._client, self._bucket, key))

    async def _record(self, change: ObjectChange, etag: str) -> None:
        entry = self._entry(change.key)
        entry.held = replace(change.after, etag=etag) if change.after else None
        self.last_write_at = datetime.now(UTC)
        self.counts.operations += 1
        self.counts.recreated += change.before is None and change.version > 1
        setattr(self.counts, change.kind, getattr(self.counts, change.kind) + 1)
        if change.kind in {"retag", "parts"}:
            await self._tell(change.key, change.after)

    async def _tell(self, key: str, held: HeldObject | None) -> None:
        """Of tags, once they are there: the event may come twice, which is harmless."""
        tagging = self._tagging
        if tagging is not None and held is not None:
            await self._persistence.answered(f"event of {key}", lambda: tagging.tell(key, removed=not held.tags))

    def _entry(self, key: str) -> ObjectEntry:
        return self._entries.setdefault(key, ObjectEntry())

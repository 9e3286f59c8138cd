"""Both sides of a pipeline compared, every record both ways, in bounded memory.

Meant for a source at rest: what changes meanwhile shows as a difference.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic

from replicator.model import Change, Operation, R, Resume
from replicator.ports import Source, Target

MOST_NAMED = 20
"""Differences named one by one; more are only counted."""

CHUNK = 200

NEVER_HELD = ""
"""Stands for the fingerprint of a record that the target cannot hold; nothing there equals it."""


@dataclass(slots=True)
class Comparison:
    """What was found. `missing` are records the target lacks, `extra` those the source lacks, `foreign` entries that
    replicator did not write, or not where they belong; `named` are the keys of the first of each.
    """

    source_records: int = 0
    target_records: int = 0
    equal: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    foreign: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether both sides hold the same records. One that the target holds twice shows in the counts alone."""
        counts_differ = self.source_records != self.target_records
        return not (self.different or self.missing or self.extra or self.foreign or counts_differ)

    def name(self, kind: str, key: str) -> None:
        """Remembers a difference, if there is room."""
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{kind}: {key}")


class Comparing(Generic[R]):
    """Compares one pipeline; both sides must be connected."""

    def __init__(self, source: Source[R], target: Target[R], progress: Callable[[Comparison], None]) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._found = Comparison()

    async def run(self) -> Comparison:
        """Every record of the source is looked up at the target, and every one of the target at the source."""
        for partition in await self._source.copy_partitions():
            async with aclosing(self._source.read(partition, Resume())) as batches:
                async for batch in batches:
                    for start in range(0, len(batch.changes), CHUNK):
                        await self._at_target(await self._whole(batch.changes[start : start + CHUNK]))
        async with aclosing(self._target.scan(None)) as pages:
            async for listed in pages:
                self._found.foreign += len(listed.foreign) + len(listed.leftovers)
                await self._at_source(listed.keys)
        return self._found

    async def _whole(self, rows: Sequence[Change[R]]) -> list[Change[R]]:
        """A listing shows a part of a record only. What has gone since is left out: it would be extra, if anything."""
        shown = [row.key for row in rows if row.operation is Operation.LOOK]
        whole = await self._source.lookup(shown) if shown else {}
        found = [whole.get(row.key, row) for row in rows]
        return [row for row in found if row.operation is not Operation.DELETE]

    async def _at_target(self, rows: Sequence[Change[R]]) -> None:
        observed = await self._target.observe([row.key for row in rows])
        for row in rows:
            expected, found = self._expected(row), observed[row.key]
            self._found.source_records += expected is not None
            if found.digest == expected and (expected is not None or found.guard is None):
                self._found.equal += expected is not None
            elif found.guard is None:
                self._found.missing += 1
                self._found.name("missing", row.key)
            else:
                self._found.different += 1
                self._found.name("different", row.key)
        self._progress(self._found)

    def _expected(self, row: Change[R]) -> str | None:
        try:
            return self._target.fingerprint(row)
        except ValueError:
            return NEVER_HELD

    async def _at_source(self, keys: Sequence[str]) -> None:
        self._found.target_records += len(keys)
        for key in sorted(await self._source.missing(keys)):
            self._found.extra += 1
            self._found.name("extra", key)
        self._progress(self._found)

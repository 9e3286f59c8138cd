"""Both sides of a pipeline compared: record by record for whoever compares while they change, and once over everything
for a source at rest.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Generic

from replicator.model import Change, Observed, Operation, R, Resume
from replicator.ports import Source, Target

MOST_NAMED = 20
"""Differences that `Comparison` names one by one; more are only counted."""

CHUNK = 100
"""Records compared together."""

NEVER_HELD = ""
"""Stands for the fingerprint of a record that the target cannot hold; nothing there equals it."""


class Kind(StrEnum):
    """How two sides differ. MISSING: the target lacks the record. EXTRA: the source does."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Pair:
    """A record as both sides show it.

    `expected` is the digest that the target should have, None where it should hold nothing; `version` is the source's
    own, empty where it has none.
    """

    key: str
    expected: str | None
    version: str
    found: Observed

    @property
    def is_equal(self) -> bool:
        return is_held(self.expected, self.found)

    @property
    def kind(self) -> Kind:
        """Of a pair that is not equal."""
        if self.found.guard is None:
            return Kind.MISSING
        return Kind.EXTRA if self.expected is None else Kind.DIFFERENT


def is_held(expected: str | None, found: Observed) -> bool:
    """Whether a target that shows this holds what is expected; a tombstone is something, and nothing is not."""
    return found.digest == expected and (expected is not None or found.guard is None)


class Sides(Generic[R]):
    """Looks at both sides. With `contents`, also at what belongs to a record and is no part of it."""

    def __init__(self, source: Source[R], target: Target[R], *, contents: bool = False) -> None:
        self._source = source
        self._target = target
        self._contents = contents

    async def of_rows(self, rows: Sequence[Change[R]]) -> list[Pair]:
        """What was read of the source against the target as it is now.

        A listing shows a part of a record only, so that is looked up; what has gone since is left out: it would be
        extra, if anything.
        """
        shown = [row.key for row in rows if row.operation is Operation.LOOK]
        whole = await self._source.lookup(shown) if shown else {}
        found = [whole.get(row.key, row) for row in rows]
        there = {change.key: change for change in found if change.operation is not Operation.DELETE}
        return await self._paired(there, await self._target.observe(list(there)))

    async def of_keys(self, keys: Sequence[str]) -> list[Pair]:
        """The target first, and then the source: what the source shows is never older than what the target does."""
        if not keys:
            return []
        observed = await self._target.observe(keys)
        return await self._paired(await self._source.lookup(keys), observed)

    async def _paired(self, changes: dict[str, Change[R]], observed: dict[str, Observed]) -> list[Pair]:
        pairs: list[Pair] = []
        for key, change in changes.items():
            pair = Pair(key, self._expected(change), change.version, observed[key])
            if self._contents and pair.is_equal and pair.expected is not None:
                pair = await self._with_contents(pair, change)
            pairs.append(pair)
        return pairs

    def _expected(self, change: Change[R]) -> str | None:
        try:
            return self._target.fingerprint(change)
        except ValueError:
            return NEVER_HELD

    async def _with_contents(self, pair: Pair, change: Change[R]) -> Pair:
        """The digests of the contents behind those of the records. What cannot be read is never the same twice, so that
        nothing is said about it.
        """
        expected = await self._source.content_digest(change)
        if expected is None:
            return pair
        found = await self._target.content_digest(pair.key)
        unknown = f"not readable at {self._source.clock.latest().isoformat()}"
        return replace(
            pair,
            expected=f"{pair.expected} {expected or unknown}",
            found=replace(pair.found, digest=f"{pair.found.digest} {found}"),
        )


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
    """Compares one pipeline whose source is at rest: what changes meanwhile shows as a difference.

    Both sides must be connected. `Verifying` is for a pipeline that runs.
    """

    def __init__(self, source: Source[R], target: Target[R], progress: Callable[[Comparison], None]) -> None:
        self._source = source
        self._target = target
        self._sides = Sides(source, target)
        self._progress = progress
        self._found = Comparison()

    async def run(self) -> Comparison:
        """Every record of the source is looked up at the target, and every one of the target at the source."""
        for partition in await self._source.copy_partitions():
            async with aclosing(self._source.read(partition, Resume())) as batches:
                async for batch in batches:
                    for start in range(0, len(batch.changes), CHUNK):
                        await self._at_target(batch.changes[start : start + CHUNK])
        async with aclosing(self._target.scan(None)) as pages:
            async for listed in pages:
                self._found.foreign += len(listed.foreign) + len(listed.leftovers)
                await self._at_source(listed.keys)
        return self._found

    async def _at_target(self, rows: Sequence[Change[R]]) -> None:
        for pair in await self._sides.of_rows(rows):
            self._found.source_records += pair.expected is not None
            if pair.is_equal:
                self._found.equal += pair.expected is not None
            elif pair.kind is Kind.MISSING:
                self._found.missing += 1
                self._found.name("missing", pair.key)
            else:
                self._found.different += 1
                self._found.name("different", pair.key)
        self._progress(self._found)

    async def _at_source(self, keys: Sequence[str]) -> None:
        self._found.target_records += len(keys)
        for key in sorted(await self._source.missing(keys)):
            self._found.extra += 1
            self._found.name("extra", key)
        self._progress(self._found)

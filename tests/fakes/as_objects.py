"""Documents as objects, so that the contract suite, whose records are documents, also says what a target of objects is.

A record's key is the object's, its number the content. What else it has goes into metadata.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from fakes.objects import stored
from replicator.documents import digest, parse_key
from replicator.model import Change, Operation
from replicator.objects import StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from replicator.documents import Document
    from replicator.model import Finding, GuardedResult, Listed, Marker, Observed, Rejection, Rule
    from replicator.ports import Target


def as_object(change: Change[Document]) -> Change[StoredObject]:
    """The same change of an object."""
    if change.operation is Operation.DELETE:
        return Change(change.key, Operation.DELETE, StoredObject(change.key), change.version, change.committed_at)
    record = {name: value for name, value in change.record.items() if name not in {"id", "number"}}
    metadata = {name: str(value) for name, value in record.items()}
    content = str(change.record["number"]).encode()
    made = stored(change.key, content, digest(change.record), metadata=metadata)
    return Change(change.key, change.operation, made, change.version, change.committed_at)


def as_document(key: str, content: bytes) -> Document:
    """The record of an object without metadata."""
    return {**parse_key(key), "number": Decimal(content.decode())}


class AsObjects:
    """A target of documents that keeps them as objects in another one."""

    def __init__(self, inner: Target[StoredObject]) -> None:
        self._inner = inner

    async def connect(self, key_names: tuple[str, ...]) -> None:
        await self._inner.connect(key_names)

    @property
    def endpoints(self) -> tuple[str, ...]:
        return self._inner.endpoints

    async def create(self) -> None:
        await self._inner.create()

    async def is_empty(self) -> bool:
        return await self._inner.is_empty()

    async def apply(self, changes: Sequence[Change[Document]], rule: Rule) -> list[Rejection]:
        return await self._inner.apply([as_object(change) for change in changes], rule)

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        return {key: replace(seen, version="") for key, seen in (await self._inner.observe(keys)).items()}

    async def replace(
        self, changes: Mapping[str, Change[Document]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        return await self._inner.replace({key: as_object(change) for key, change in changes.items()}, observed, rule)

    def fingerprint(self, change: Change[Document]) -> str | None:
        return self._inner.fingerprint(as_object(change))

    def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        return self._inner.scan(position)

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        await self._inner.remove_foreign(handles)

    async def sweep(self, removed: Callable[[int], None]) -> None:
        await self._inner.sweep(removed)

    async def read_marker(self) -> Marker | None:
        return await self._inner.read_marker()

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        return await self._inner.write_marker(marker, previous)

    async def check(self) -> list[Finding]:
        return await self._inner.check()

"""Stored objects for tests, and contents that count what is read of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replicator.errors import TransientError
from replicator.model import Change, Operation
from replicator.objects import Headers, StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

PIECE_BYTES = 64 * 1024


class Bytes:
    """Content in memory, `size` of it made by `byte_at` where it is not given: the same at each reading.

    `cuts` maps offsets to how often reading across them breaks off there; `read_bytes` counts what was handed out.
    """

    def __init__(self, data: bytes, cuts: dict[int, int] | None = None, error: Exception | None = None) -> None:
        self.data = data
        self.cuts = dict(cuts or {})
        self.error = error
        self.read_bytes = 0
        self.starts: list[int] = []
        self.url_of: Callable[[float], str | None] = lambda _: None

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        self.starts.append(start)
        if self.error is not None:
            raise self.error
        end = start + length
        while start < end:
            cut = next((at for at, times in self.cuts.items() if times and start <= at < end), None)
            stop = min(end, start + PIECE_BYTES, end if cut is None else max(cut, start))
            if stop > start:
                self.read_bytes += stop - start
                yield self.piece(start, stop)
            start = stop
            if cut is not None and start == cut:
                self.cuts[cut] -= 1
                raise TransientError("the connection ended early")

    def piece(self, start: int, stop: int) -> bytes:
        """The bytes from start to stop."""
        return self.data[start:stop]

    async def url(self, lifetime_s: float) -> str | None:
        return self.url_of(lifetime_s)


class Pattern(Bytes):
    """Content of any size that needs no memory: one piece over and over."""

    def __init__(self, piece: bytes) -> None:
        super().__init__(b"")
        self._piece = piece

    def piece(self, start: int, stop: int) -> bytes:
        offset = start % len(self._piece)
        text = self._piece[offset : offset + stop - start]
        return text if len(text) == stop - start else (text + self._piece)[: stop - start]


def stored(key: str, data: bytes = b"", version: str = "v1", **fields: Any) -> StoredObject:
    """An object as a lookup shows it; `content` may be another one than the data."""
    content = fields.pop("content", None) or Bytes(data)
    whole = StoredObject(
        key=key,
        version=version,
        size=fields.pop("size", len(data)),
        etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        storage_class="STANDARD",
        headers=Headers(content_type="text/plain"),
        metadata={},
        tags={},
        checksums={},
        content=content,
    )
    return replace(whole, **fields)


def put(key: str, data: bytes = b"", version: str = "v1", **fields: Any) -> Change[StoredObject]:
    """The change that brings an object to this state."""
    record = stored(key, data, version, **fields)
    return Change(key, Operation.UPSERT, record, record.version)


def gone(key: str) -> Change[StoredObject]:
    """The change that removes an object."""
    return Change(key, Operation.DELETE, StoredObject(key))

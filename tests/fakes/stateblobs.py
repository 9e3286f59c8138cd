"""A container in memory, as the state store uses it, that can be cut off before or after any request."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio.lowlevel

from connectors.azure.state.blobs import Held
from replicator.errors import AmbiguousError


class CutError(Exception):
    """The process that asked ends here."""


@dataclass
class MemoryContainer:
    """What all processes share."""

    blobs: dict[str, Held] = field(default_factory=dict)
    etags: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


@dataclass
class MemoryBlobs:
    """One process's way to it. Requests are counted from 0 and are told in `asked`, as `verb name`.

    `before` and `after` are awaited around the effect of each request, with its number.
    """

    container: MemoryContainer
    before: Callable[[int], Awaitable[None]] | None = None
    after: Callable[[int], Awaitable[None]] | None = None
    asked: list[str] = field(default_factory=list)

    async def get(self, name: str) -> Held | None:
        number = await self._begin("get", name)
        held = self.container.blobs.get(name)
        await self._end(number)
        return held

    async def put(self, name: str, data: bytes, etag: str | None) -> str | None:
        number = await self._begin("put", name)
        held = self.container.blobs.get(name)
        made: str | None = None
        if (None if held is None else held.etag) == etag:
            made = str(next(self.container.etags))
            self.container.blobs[name] = Held(data, made)
        await self._end(number)
        return made

    async def remove(self, name: str) -> None:
        number = await self._begin("remove", name)
        self.container.blobs.pop(name, None)
        await self._end(number)

    async def names(self, prefix: str) -> AsyncIterator[str]:
        number = await self._begin("list", prefix)
        found = [name for name in self.container.blobs if name.startswith(prefix)]
        await self._end(number)
        for name in found:
            yield name

    async def _begin(self, verb: str, name: str) -> int:
        number = len(self.asked)
        self.asked.append(f"{verb} {name}")
        await anyio.lowlevel.checkpoint()
        if self.before is not None:
            await self.before(number)
        return number

    async def _end(self, number: int) -> None:
        if self.after is not None:
            await self.after(number)


def cut_at(number: int) -> Callable[[int], Awaitable[None]]:
    """That request, and every later one, is the end."""

    async def cut(reached: int) -> None:
        if reached >= number:
            raise CutError

    return cut


def unanswered(*numbers: int) -> Callable[[int], Awaitable[None]]:
    """The answers to these requests are lost."""

    async def lose(reached: int) -> None:
        if reached in numbers:
            raise AmbiguousError("no answer")

    return lose

"""A container in memory, as the state store uses it, that can be cut off before or after any request."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.lowlevel

from connectors.azure.state.blobs import Held
from replicator.errors import AmbiguousError

T = TypeVar("T")


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

    `before` and `after` are awaited around the effect of each request, with its number. What `before` has cut off is
    `under_way`: it can still land.
    """

    container: MemoryContainer
    before: Callable[[int], Awaitable[None]] | None = None
    after: Callable[[int], Awaitable[None]] | None = None
    asked: list[str] = field(default_factory=list)
    under_way: list[Callable[[], object]] = field(default_factory=list)

    async def get(self, name: str) -> Held | None:
        number = await self._begin(f"get {name}")
        held = self.container.blobs.get(name)
        await self._end(number)
        return held

    async def put(self, name: str, data: bytes, etag: str | None) -> str | None:
        def land() -> str | None:
            held = self.container.blobs.get(name)
            if (None if held is None else held.etag) != etag:
                return None
            made = str(next(self.container.etags))
            self.container.blobs[name] = Held(data, made)
            return made

        return await self._change(f"put {name}", land)

    async def remove(self, name: str) -> None:
        await self._change(f"remove {name}", lambda: self.container.blobs.pop(name, None))

    async def names(self, prefix: str) -> AsyncIterator[str]:
        number = await self._begin(f"list {prefix}")
        found = [name for name in self.container.blobs if name.startswith(prefix)]
        await self._end(number)
        for name in found:
            yield name

    async def _change(self, asked: str, land: Callable[[], T]) -> T:
        try:
            number = await self._begin(asked)
        except CutError:
            self.under_way.append(land)
            raise
        done = land()
        await self._end(number)
        return done

    async def _begin(self, asked: str) -> int:
        number = len(self.asked)
        self.asked.append(asked)
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

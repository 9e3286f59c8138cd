"""Memory that all objects of a pipeline share: what is not free has to be waited for."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class ByteBudget:
    """At most `total` bytes are held at once, given out in order of arrival. Nobody may ask for more than that."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.most_held = 0
        self._free = total
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @property
    def held(self) -> int:
        """Bytes that are given out now."""
        return self.total - self._free

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Entered when so many bytes are free."""
        await self.take(size)
        try:
            yield
        finally:
            self.give(size)

    async def take(self, size: int) -> None:
        """Returns when so many bytes are free, and takes them."""
        assert size <= self.total, "nobody may ask for more than there is"  # noqa: S101
        if self._waiting or size > self._free:
            turn = (size, anyio.Event())
            self._waiting.append(turn)
            try:
                await turn[1].wait()
            except BaseException:
                self._leave(turn)
                raise
        else:
            self._take(size)

    def give(self, size: int) -> None:
        """Gives them back."""
        self._free += size
        self._serve()

    def _leave(self, turn: tuple[int, anyio.Event]) -> None:
        """Whoever was cancelled gives back what came too late, and lets those behind it pass."""
        if turn[1].is_set():
            self._free += turn[0]
        else:
            self._waiting.remove(turn)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            self._take(size)
            turn.set()

    def _take(self, size: int) -> None:
        self._free -= size
        self.most_held = max(self.most_held, self.held)

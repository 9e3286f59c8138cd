"""Which writes are under way, so that one can wait for those of the past without stopping those of the future."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import anyio


class Inflight:
    """The work under way. What has entered decides how its keys are written, and writes them, before it leaves."""

    def __init__(self) -> None:
        self._left: dict[anyio.Event, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._left)

    @contextmanager
    def entered(self, keys: Collection[str] = ()) -> Iterator[None]:
        """Held while changes of these keys are being written."""
        left = anyio.Event()
        self._left[left] = frozenset(keys)
        try:
            yield
        finally:
            del self._left[left]
            left.set()

    async def drained(self, keys: Collection[str] | None = None) -> None:
        """Returns when everything that had entered by now has left, or only what concerns any of these keys."""
        for left, concerned in tuple(self._left.items()):
            if keys is None or not concerned.isdisjoint(keys):
                await left.wait()

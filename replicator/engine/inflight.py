"""Which batches are being applied, so that one can wait for those of the past without stopping those of the future."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Inflight:
    """The work under way."""

    def __init__(self) -> None:
        self._left: set[anyio.Event] = set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Held while a batch is being applied."""
        left = anyio.Event()
        self._left.add(left)
        try:
            yield
        finally:
            self._left.remove(left)
            left.set()

    async def drained(self) -> None:
        """Returns when everything that had entered by now has left."""
        for left in tuple(self._left):
            await left.wait()

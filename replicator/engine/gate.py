"""What every read of a pipeline passes: closed while it is paused."""

import anyio


class Gate:
    """Open at first. Closing it stops nobody who has passed already."""

    def __init__(self) -> None:
        self._open = anyio.Event()
        self._open.set()

    @property
    def is_closed(self) -> bool:
        """Whether whoever comes now has to wait."""
        return not self._open.is_set()

    def close(self) -> None:
        """Nobody passes from now on."""
        if not self.is_closed:
            self._open = anyio.Event()

    def open(self) -> None:
        """Everybody passes from now on, whoever waits included."""
        self._open.set()

    async def passed(self) -> None:
        """Returns when it is open."""
        while self.is_closed:
            await self._open.wait()

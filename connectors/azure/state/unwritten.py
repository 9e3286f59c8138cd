"""A container that is only looked at."""

from collections.abc import AsyncIterator

from connectors.azure.state.blobs import Blobs, Held


class UnwrittenBlobs:
    """Those that there are, with what is changed here kept in memory, where it ends. None: there is no container."""

    def __init__(self, beneath: Blobs | None) -> None:
        self._beneath = beneath
        self._changed: dict[str, Held | None] = {}
        self._changes = 0

    async def get(self, name: str) -> Held | None:
        """See `Blobs`."""
        if name in self._changed or self._beneath is None:
            return self._changed.get(name)
        return await self._beneath.get(name)

    async def put(self, name: str, data: bytes, etag: str | None) -> str | None:
        """See `Blobs`."""
        held = await self.get(name)
        if (None if held is None else held.etag) != etag:
            return None
        self._changes += 1
        made = Held(data, f"unwritten {self._changes}")
        self._changed[name] = made
        return made.etag

    async def remove(self, name: str) -> None:
        """See `Blobs`."""
        self._changed[name] = None

    async def names(self, prefix: str) -> AsyncIterator[str]:
        """See `Blobs`."""
        if self._beneath is not None:
            async for name in self._beneath.names(prefix):
                if name not in self._changed:
                    yield name
        for name in [name for name, held in self._changed.items() if held and name.startswith(prefix)]:
            yield name

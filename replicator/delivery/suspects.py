"""Keys with an earlier request that may still take effect."""

from collections.abc import Callable, Iterable

import anyio

from replicator.clocks import elapsed_s


class Suspects:
    """Remembers, for each key, until when a request of unknown outcome may still change the target.

    Repeating the very same write is harmless meanwhile; anything else waits in `clear`. Memory is bounded: beyond
    `most` keys every key counts as suspect until the latest of those instants.
    """

    def __init__(self, most: int = 100_000, clock: Callable[[], float] = elapsed_s) -> None:
        self._until: dict[str, float] = {}
        self._all_until = float("-inf")
        self._most = most
        self._clock = clock

    def __len__(self) -> int:
        self._expire()
        return len(self._until)

    def add(self, keys: Iterable[str], until: float) -> None:
        """A request for these keys may take effect until then, by this object's clock."""
        for key in keys:
            self._until[key] = max(until, self._until.get(key, until))
        if len(self._until) > self._most:
            self._expire()
        if len(self._until) > self._most:
            self._all_until = max(self._all_until, *self._until.values())
            self._until.clear()

    async def clear(self, keys: Iterable[str]) -> None:
        """Returns when no earlier request of unknown outcome can change any of these keys any more."""
        wanted = tuple(keys)
        while (wait_s := self._latest(wanted) - self._clock()) > 0:  # noqa: ASYNC110 — exactly as long as it must
            await anyio.sleep(wait_s)
        for key in wanted:
            self._until.pop(key, None)

    @property
    def latest(self) -> float:
        """The instant from which no key is suspect any more; minus infinity when none is."""
        return max(self._all_until, *self._until.values()) if self._until else self._all_until

    def _latest(self, keys: tuple[str, ...]) -> float:
        return max((max(self._all_until, self._until.get(key, self._all_until)) for key in keys), default=float("-inf"))

    def _expire(self) -> None:
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}

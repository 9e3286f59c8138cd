"""Keys with an earlier request that may still take effect."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import anyio

from replicator.clocks import elapsed_s


class Suspects:
    """Remembers, for each key, until when a request of unknown outcome may still change the target.

    Repeating the very same write is harmless meanwhile; anything else waits in `clear`. Memory is bounded: beyond
    `most` keys every key counts as suspect until the latest of those instants. `latest` is the instant from which no
    request at all is in doubt, one without keys included; minus infinity when none ever was.
    """

    def __init__(self, most: int = 100_000, clock: Callable[[], float] = elapsed_s) -> None:
        self.latest = float("-inf")
        self._until: OrderedDict[str, float] = OrderedDict()
        self._all_until = float("-inf")
        self._most = most
        self._clock = clock

    def __len__(self) -> int:
        self._expire()
        return len(self._until)

    def add(self, keys: Iterable[str], until: float) -> None:
        """A request for these keys may take effect until then, by this object's clock."""
        self.latest = max(self.latest, until)
        for key in keys:
            self._until[key] = max(until, self._until.pop(key, until))
        if len(self._until) > self._most:
            self._expire()
        if len(self._until) > self._most:
            self._all_until = self.latest
            self._until.clear()

    async def clear(self, keys: Iterable[str]) -> None:
        """Returns when no earlier request of unknown outcome can change any of these keys any more."""
        wanted = tuple(keys)
        while (wait_s := self._latest(wanted) - self._clock()) > 0:  # noqa: ASYNC110 — exactly as long as it must
            await anyio.sleep(wait_s)
        for key in wanted:
            self._until.pop(key, None)

    def _latest(self, keys: tuple[str, ...]) -> float:
        return max((max(self._all_until, self._until.get(key, self._all_until)) for key in keys), default=float("-inf"))

    def _expire(self) -> None:
        """Forgets what is over, from the front: later requests are in doubt for longer, so the oldest come first.

        A key behind one that is in doubt for longer stays until then, and only counts too long. An ordinary dict would
        step over every key it has dropped before, each time.
        """
        now = self._clock()
        while self._until and self._until[oldest := next(iter(self._until))] <= now:
            del self._until[oldest]

"""Time to live: which seconds are valid, and which items are due."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from sandbox.cosmos.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.cosmos.items import Item
    from sandbox.cosmos.wire import Json

NEVER = -1
MAX_TTL_S = 2_147_483_647


def valid_ttl(value: Json, name: str) -> int | None:
    """Check a `ttl` or `defaultTtl`: absent, -1, or seconds from 1 to 2^31 - 1; 400 otherwise."""
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and isinstance(value, int) and (value == NEVER or 1 <= value <= MAX_TTL_S):
        return value
    raise bad_request(f"The value of {name} must be a positive whole number of seconds or -1.")


class ExpiryQueue:
    """Items by the second at which they are due; entries outdated by a rewrite are skipped."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, int, Item]] = []
        self._sequence = 0

    def watch(self, item: Item, default_ttl_s: int | None) -> None:
        """Note when an item just written is due, if ever. Without a default, `ttl` has no effect."""
        if default_ttl_s is None:
            return
        ttl_s = default_ttl_s if item.ttl_s is None else item.ttl_s
        if ttl_s == NEVER:
            return
        self._sequence += 1
        heapq.heappush(self._due, (item.ts + ttl_s, self._sequence, item.lsn, item))

    def rebuild(self, items: Iterable[Item], default_ttl_s: int | None) -> None:
        """Start over after the container's default changed."""
        self._due.clear()
        for item in items:
            self.watch(item, default_ttl_s)

    def due(self, now_s: float) -> Iterator[Item]:
        """Take out the live items that are past their time, earliest first."""
        while self._due and self._due[0][0] <= now_s:
            _, _, lsn, item = heapq.heappop(self._due)
            if item.live and item.lsn == lsn:
                yield item

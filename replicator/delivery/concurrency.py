"""How many requests may be under way at a target at once, found out by trying."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from replicator.clocks import elapsed_s

GROWTH_INTERVAL_S = 1.0
"""One more slot for each such interval without throttling, as long as the slots are in use."""

LARGEST_STEP_DOWN = 5
"""A throttle takes away at most so many slots, and never more than half."""

STEP_DOWN_INTERVAL_S = 0.1
"""Refusals of requests that were under way together count once."""


class AdaptiveLimiter:
    """Slots for requests: starts at one, grows by one a second without throttling, gives way at once when throttled."""

    def __init__(self, most: int, clock: Callable[[], float] = elapsed_s) -> None:
        self._slots = anyio.CapacityLimiter(1)
        self._most = most
        self._clock = clock
        self._changed_at = clock()
        self._lowered_at = float("-inf")

    @property
    def size(self) -> int:
        """How many requests may be under way now."""
        return int(self._slots.total_tokens)

    @property
    def most(self) -> int:
        """How many may be under way at any time."""
        return self._most

    def limit(self, most: int) -> None:
        """From now on at most so many. Those under way are finished."""
        self._most = most
        self._slots.total_tokens = min(self.size, most)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a slot; waits for one in order of arrival."""
        borrower = object()
        await self._slots.acquire_on_behalf_of(borrower)
        try:
            yield
        finally:
            self._grow()
            self._slots.release_on_behalf_of(borrower)

    def begin_with(self, slots: int) -> None:
        """From so many on instead of from one, for whoever wants to know what that achieves."""
        self._slots.total_tokens = max(1, min(slots, self._most))
        self._changed_at = self._clock()

    def throttled(self) -> None:
        """Called for each refusal."""
        now = self._clock()
        if now - self._lowered_at >= STEP_DOWN_INTERVAL_S:
            self._slots.total_tokens = max(1, self.size - min(LARGEST_STEP_DOWN, self.size // 2))
            self._lowered_at = now
        self._changed_at = now

    def _grow(self) -> None:
        now = self._clock()
        in_use = self._slots.borrowed_tokens >= self.size
        if in_use and self.size < self._most and now - self._changed_at >= GROWTH_INTERVAL_S:
            self._slots.total_tokens = self.size + 1
            self._changed_at = now

"""What is due when: one heap of moments and what happens at each."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock


class Timers:
    """Callbacks by the instant they are due at.

    A callback checks itself whether what it was set for still holds: nothing is ever taken out early. `wake_at` is
    called when the next instant has become an earlier one.
    """

    def __init__(self, clock: Clock, wake_at: Callable[[float], None]) -> None:
        self._clock = clock
        self._wake_at = wake_at
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    @property
    def next_at(self) -> float | None:
        """The next instant at which something is due, in seconds since the epoch."""
        return self._heap[0][0] if self._heap else None

    def at(self, instant: float, callback: Callable[[], None]) -> None:
        """Call back once the clock has reached this instant, in the order of instants."""
        heapq.heappush(self._heap, (instant, next(self._numbers), callback))
        if self._heap[0][0] == instant:
            self._wake_at(instant)

    def catch_up(self) -> bool:
        """Call what is due; whether anything was."""
        now, any_due = self._clock.now(), False
        while self._heap and self._heap[0][0] <= now:
            any_due = True
            heapq.heappop(self._heap)[2]()
        return any_due

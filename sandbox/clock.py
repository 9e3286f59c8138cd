"""The clock of a local server, which tests can move."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds since the epoch as the server sees them: `base` plus what `advance` added.

    Expiry, locks, windows, `_ts`, the `Date` of answers and throughput budgets read it. Pass
    `base=lambda: 1_700_000_000.0` for a clock that moves only by `advance`. `on_advance` holds what is called after
    each move.
    """

    def __init__(self, base: Callable[[], float] = time.time) -> None:
        self.on_advance: list[Callable[[], None]] = []
        self._base = base
        self._offset_s = 0.0

    def now(self) -> float:
        """The current instant in seconds since the epoch."""
        return self._base() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Move the clock forward; going back is refused with ValueError."""
        if seconds < 0:
            raise ValueError("the clock of the sandbox only moves forward")
        self._offset_s += seconds
        for moved in self.on_advance:
            moved()

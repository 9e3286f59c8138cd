"""What the proxy has seen, for tests that assert on traffic."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 1.0


class Rate:
    """Most events in any window of one second. Holds the instants of the last second only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.peak_per_s = 0
        self._clock = clock
        self._recent: deque[float] = deque()

    def count(self) -> None:
        now = self._clock()
        recent = self._recent
        recent.append(now)
        while recent[0] <= now - WINDOW_S:
            recent.popleft()
        self.peak_per_s = max(self.peak_per_s, len(recent))


@dataclass(slots=True)
class Counters:
    """Totals since the proxy started.

    `requests` were read from clients, `forwarded` were sent to the target (late and duplicate deliveries included),
    `struck` counts faults by their kind. In raw mode only connections and bytes count.
    """

    connections: int = 0
    refused: int = 0
    requests: int = 0
    forwarded: int = 0
    raw_bytes: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    rate: Rate = field(default_factory=Rate)

    @property
    def peak_requests_per_s(self) -> int:
        """Most requests seen in any window of one second."""
        return self.rate.peak_per_s

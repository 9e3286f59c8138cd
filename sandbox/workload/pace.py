"""The rate at which a writer or sender works."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LONGEST_BURST_S = 1.0


class Pace:
    """Repeats an operation, one after the other, `rate_per_s` times a second."""

    def __init__(self, rate_per_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._stopping = anyio.Event()

    def stop(self) -> None:
        """Let repeat() return after the operation in hand, now and whenever it is called again."""
        self._stopping.set()

    async def repeat(
        self, operate: Callable[[], Awaitable[None]], *, for_s: float = math.inf, operations: float = math.inf
    ) -> None:
        """Until the time or the number is used up, or stop() is called.

        When operations take too long it falls behind, and catches up for at most a second's worth.
        """
        started = due = time.monotonic()
        done = 0
        while done < operations and due - started < for_s:
            if (early_s := due - time.monotonic()) > 0:
                with anyio.move_on_after(early_s):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            await operate()
            done += 1
            due = max(due + 1 / self._rate_per_s, time.monotonic() - LONGEST_BURST_S)

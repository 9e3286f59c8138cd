"""Request charges, and the throughput budget that turns them into 429.

The charge is a plain formula, not the service's (which also weighs indexes and consistency):
a point read costs 1 RU per started KB, a write 5 RU per started KB, a delete 5 RU, a query or feed
page 2.5 RU plus 1 RU per started KB returned plus 0.01 RU per item examined.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from sandbox.cosmos.errors import CosmosError

if TYPE_CHECKING:
    from sandbox.clock import Clock

WRITE_RU_PER_KB = 5.0
DELETE_RU = 5.0
PAGE_RU = 2.5
EXAMINED_RU = 0.01
METADATA_RU = 1.0
THROTTLED = 3200


def read_charge(size_bytes: int) -> float:
    """RU for a point read of an item of this size."""
    return float(_started_kb(size_bytes))


def write_charge(size_bytes: int) -> float:
    """RU for creating or replacing an item of this size."""
    return WRITE_RU_PER_KB * _started_kb(size_bytes)


def page_charge(size_bytes: int, examined: int) -> float:
    """RU for one page of a query or a feed."""
    return PAGE_RU + ceil(size_bytes / 1024) + EXAMINED_RU * examined


def _started_kb(size_bytes: int) -> int:
    return max(1, -(-size_bytes // 1024))


class Budget:
    """A token bucket over one container; off until `set_rate` is given a number.

    It holds one second of throughput. An operation is let in while anything is left and may overdraw
    it, as in the service; then everybody waits until it is positive again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ru_per_s: float | None = None
        self._left_ru = 0.0
        self._at_s = 0.0
        self._slot_s = 0.0
        self._last_charge_ru = WRITE_RU_PER_KB

    def set_rate(self, ru_per_s: float | None) -> None:
        """Set the budget in RU per second and fill it; None switches it off."""
        if ru_per_s is not None and ru_per_s <= 0:
            raise ValueError("the budget must be positive")
        self.ru_per_s = ru_per_s
        self._left_ru = ru_per_s or 0.0
        self._at_s = self._clock.now()

    def admit(self) -> None:
        """Let an operation in, or raise CosmosError 429 with the time to wait."""
        if self.ru_per_s is None:
            return
        now_s = self._clock.now()
        refilled = self._left_ru + (now_s - self._at_s) * self.ru_per_s
        self._left_ru = min(self.ru_per_s, refilled)
        self._at_s = now_s
        if self._left_ru <= 0:
            wait_ms = ceil(self._next_slot(now_s, self.ru_per_s) * 1000) + 1
            raise CosmosError(429, "Request rate is large.", substatus=THROTTLED, retry_after_ms=wait_ms)

    def _next_slot(self, now_s: float, ru_per_s: float) -> float:
        """Seconds to wait; a crowd is told one after the other to return, up to a second apart."""
        free_s = max(now_s - self._left_ru / ru_per_s, min(self._slot_s, now_s + 1))
        self._slot_s = free_s + self._last_charge_ru / ru_per_s
        return free_s - now_s

    def spend(self, charge_ru: float) -> None:
        """Take what an admitted operation cost."""
        if self.ru_per_s is not None:
            self._left_ru -= charge_ru
            self._last_charge_ru = charge_ru

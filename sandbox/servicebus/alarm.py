"""Wakes the broker when something is due, by its own clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock

LONGEST_NAP_S: Final = 3_600.0


class Alarm:
    """Rings at the earliest instant it was set for, and whenever the clock is moved.

    `ring` does what is due and returns the next instant at which something is, None for none. Nothing rings
    before `start` or after `stop`.
    """

    def __init__(self, clock: Clock, ring: Callable[[], float | None]) -> None:
        self._clock = clock
        self._ring = ring
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._at: float | None = None

    def start(self) -> None:
        """From now on."""
        self._loop = asyncio.get_running_loop()
        self._clock.on_advance.append(self._due)
        self._due()

    def stop(self) -> None:
        """No more."""
        self._loop = None
        self._clock.on_advance.remove(self._due)
        self._cancel()

    def set(self, instant: float) -> None:
        """Ring at this instant, in seconds since the epoch, unless it rings before anyway."""
        if self._loop is None or (self._at is not None and self._at <= instant):
            return
        self._cancel()
        self._at = instant
        nap_s = min(max(instant - self._clock.now(), 0.0), LONGEST_NAP_S)
        self._handle = self._loop.call_later(nap_s, self._due)

    def _due(self) -> None:
        self._cancel()
        instant = self._ring()
        if instant is not None:
            self.set(instant)

    def _cancel(self) -> None:
        self._at = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

"""Duplicate detection: the message ids that were seen within the window."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.clock import Clock


class DuplicateWindow:
    """Remembers each id for `window_s` seconds after it was first seen; a repetition does not prolong that."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_s = window_s
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._order: deque[tuple[float, str]] = deque()

    def __len__(self) -> int:
        self._forget()
        return len(self._seen)

    def contains(self, message_id: str | None) -> bool:
        """Whether this id was seen within the window; a message without an id never was."""
        self._forget()
        return message_id is not None and message_id in self._seen

    def add(self, message_id: str | None) -> None:
        """Remember an id from now on."""
        if message_id is None or self.contains(message_id):
            return
        now = self._clock.now()
        self._seen[message_id] = now
        self._order.append((now, message_id))

    def _forget(self) -> None:
        oldest = self._clock.now() - self._window_s
        while self._order and self._order[0][0] <= oldest:
            del self._seen[self._order.popleft()[1]]

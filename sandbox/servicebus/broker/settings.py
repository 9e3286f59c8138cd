"""What a queue is told when it is created."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sandbox.servicebus.broker.errors import ARGUMENT, RefusedError

STANDARD_MESSAGE_BYTES: Final = 256 * 1024
PREMIUM_MESSAGE_BYTES: Final = 1024 * 1024
LARGEST_MESSAGE_BYTES: Final = 100 * 1024 * 1024
MAX_BATCH_BYTES: Final = 1024 * 1024
MAX_LOCK_S: Final = 300.0
SHORTEST_WINDOW_S: Final = 20.0
LONGEST_WINDOW_S: Final = 7 * 86_400.0
MAX_NAME_CHARS: Final = 260
MAX_DELIVERIES: Final = 2_000
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/~-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """The properties of a queue. Durations are in seconds.

    `duplicate_window_s` None switches duplicate detection off; `time_to_live_s` None lets messages live for ever.
    `max_message_bytes` is 256 KiB on Standard, 1 MiB on Premium and up to 100 MiB if the queue allows it there.
    `max_bytes` is the queue's quota. `sends_per_s` throttles with server-busy; None does not.
    Raises RefusedError for what the service would not create.
    """

    sessions: bool = False
    duplicate_window_s: float | None = None
    lock_s: float = 60.0
    max_delivery_count: int = 10
    time_to_live_s: float | None = None
    dead_letter_expired: bool = False
    max_message_bytes: int = STANDARD_MESSAGE_BYTES
    max_bytes: int = 1024 * 1024 * 1024
    sends_per_s: float | None = None

    def __post_init__(self) -> None:
        window_s = self.duplicate_window_s
        _require(5 <= self.lock_s <= MAX_LOCK_S, "a lock lasts 5 s to 5 minutes")
        _require(1 <= self.max_delivery_count <= MAX_DELIVERIES, f"1 to {MAX_DELIVERIES} deliveries")
        _require(1 <= self.max_message_bytes <= LARGEST_MESSAGE_BYTES, "a message has up to 100 MiB")
        _require(self.time_to_live_s is None or self.time_to_live_s > 0, "the time to live is positive")
        if window_s is not None:
            _require(SHORTEST_WINDOW_S <= window_s <= LONGEST_WINDOW_S, "a duplicate window lasts 20 s to 7 days")

    @property
    def max_batch_bytes(self) -> int:
        """A batch has its own limit, whatever single messages may have."""
        return min(self.max_message_bytes, MAX_BATCH_BYTES)


def check_name(name: str) -> str:
    """A name that a queue may have. Raises RefusedError."""
    _require(len(name) <= MAX_NAME_CHARS and _NAME.fullmatch(name) is not None, f"{name!r} is no name of a queue")
    return name


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise RefusedError(ARGUMENT, f"The value is not allowed: {rule}.")

"""What was received and is not settled, and until when nobody else sees it. Pure.

Seconds are by one clock of the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST_INVISIBLE_S = 43_200
"""No receive keeps a message for longer, however often its visibility timeout is extended."""

LIMIT_MARGIN_S = 5
"""Timeouts are whole seconds, and so near the limit a request may come too late."""

EXTENSIONS = 3
"""A visibility timeout is extended when this part of it is over."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What settles one delivery of one message. `asked_at` is when it was asked for, in seconds; `group` only where
    its messages keep their order.
    """

    id: str
    handle: str = field(repr=False)
    sent_at: datetime
    asked_at: float
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message as delivered."""

    receipt: Receipt
    body: str = field(repr=False)
    system: Mapping[str, str] = field(repr=False)
    attributes: Mapping[str, Mapping[str, Any]] = field(repr=False)


def received(message: Mapping[str, Any], asked_at: float, *, ordered: bool) -> Received:
    """A message of an answer to ReceiveMessage. Raises KeyError, ValueError where that is none."""
    system = message["Attributes"]
    return Received(
        Receipt(
            id=message["MessageId"],
            handle=message["ReceiptHandle"],
            sent_at=EPOCH + timedelta(milliseconds=int(system["SentTimestamp"])),
            asked_at=asked_at,
            group=system.get("MessageGroupId") if ordered else None,
        ),
        body=message["Body"],
        system=system,
        attributes=message.get("MessageAttributes", {}),
    )


@dataclass(slots=True)
class _Held:
    receipt: Receipt
    by: str
    extend_at: float
    lost: bool = False


class Held:
    """Deliveries that were handed on and are not settled. Bounded by whoever takes them.

    One is lost when the service delivers it again, whatever we do; whoever works on it settles it all the same.
    """

    def __init__(self, visibility_s: int) -> None:
        self._visibility_s = visibility_s
        self._held: dict[str, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def in_flight(self) -> int:
        """How many nobody else can receive."""
        return sum(not held.lost for held in self._held.values())

    def add(self, receipt: Receipt, by: str) -> None:
        """Handed on to `by`."""
        self._held[receipt.handle] = _Held(receipt, by, receipt.asked_at + self._interval_s)

    def drop(self, receipt: Receipt) -> None:
        """Settled, parked or given back."""
        self._held.pop(receipt.handle, None)

    def lose(self, receipt: Receipt) -> bool:
        """The service delivers it again; False when it is known to be lost, or is not held any more."""
        held = self._held.get(receipt.handle)
        if held is None or held.lost:
            return False
        held.lost = True
        held.extend_at = float("inf")
        return True

    def kept(self) -> list[Receipt]:
        """Those that are not lost."""
        return [held.receipt for held in self._held.values() if not held.lost]

    def due(self, now: float) -> list[tuple[Receipt, int]]:
        """What is to be extended now, and to how many seconds from now; none are left at the limit of all extending."""
        return [
            (held.receipt, min(self._visibility_s, longest_s(held.receipt, now)))
            for held in self._held.values()
            if held.extend_at <= now
        ]

    def extended(self, receipt: Receipt, at: float) -> None:
        """Extended by a request that began at `at`."""
        held = self._held.get(receipt.handle)
        if held is not None and not held.lost:
            held.extend_at = at + self._interval_s

    def pause_s(self, now: float) -> float:
        """For so long nothing will be due, whatever is added meanwhile."""
        soonest = min((held.extend_at for held in self._held.values()), default=now + self._interval_s)
        return min(soonest - now, self._interval_s)

    def oldest(self, besides: str | None = None) -> datetime | None:
        """When the oldest message was sent that is held, or that somebody else holds."""
        return min((held.receipt.sent_at for held in self._held.values() if held.by != besides), default=None)

    @property
    def _interval_s(self) -> float:
        return self._visibility_s / EXTENSIONS


def longest_s(receipt: Receipt, now: float) -> int:
    """For how many whole seconds from now a message can be kept invisible; 0 or less when that is over."""
    return int(receipt.asked_at + LONGEST_INVISIBLE_S - LIMIT_MARGIN_S - now)

"""What was rejected and waits in its queue for a second try, invisible although nobody works on it. Pure.

It is kept so for minutes at a time, again and again: whoever is killed keeps nothing, and it comes again. Seconds are
by one clock of the caller's.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.aws.sqs.holding import Receipt, longest_s

PARKED_S = 300
"""For so long at a time a parked message is made invisible."""

RENEWALS = 2
"""It is made so again when this part of the time is over."""

MOST_PARKED = 10_000

RETURN_S = 600
"""What is not delivered again within this, although it can be, somebody else has taken, or it is gone."""


def parked_s(receipt: Receipt, now: float) -> int:
    """For how many whole seconds from now a parked message is made invisible; 0 at the service's limit."""
    return max(0, min(PARKED_S, longest_s(receipt, now)))


@dataclass(slots=True)
class _Parking:
    receipt: Receipt
    until: float


class Parked:
    """Parked deliveries, by message id; the oldest are forgotten when there are too many.

    One that is let go, or that the service has let go, stays known until it is delivered: it contradicts no claim.
    """

    def __init__(self, most: int = MOST_PARKED) -> None:
        self._most = most
        self._parked: OrderedDict[str, _Parking] = OrderedDict()
        self._renewals: OrderedDict[str, float] = OrderedDict()

    def invisible(self, now: float) -> list[Receipt]:
        """Those that nobody can receive yet, in the order in which they were parked."""
        return [parking.receipt for parking in self._parked.values() if parking.until > now]

    def add(self, receipt: Receipt, at: float) -> list[Receipt]:
        """Made invisible by a request that began at `at`. Returns what is forgotten for it, and still is invisible."""
        self._parked[receipt.id] = _Parking(receipt, at)
        self._parked.move_to_end(receipt.id)
        self.renewed(receipt, at, parked_s(receipt, at))
        if len(self._parked) <= self._most:
            return []
        id_, forgotten = self._parked.popitem(last=False)
        self._renewals.pop(id_, None)
        return [forgotten.receipt] if forgotten.until > at else []

    def due(self, now: float, most: int) -> list[tuple[Receipt, int]]:
        """Up to so many that are to be made invisible again, and for how many seconds from now."""
        found: list[tuple[Receipt, int]] = []
        for id_, renew_at in self._renewals.items():
            if renew_at > now or len(found) == most:
                break
            receipt = self._parked[id_].receipt
            found.append((receipt, parked_s(receipt, now)))
        return found

    def renewed(self, receipt: Receipt, at: float, seconds: int) -> None:
        """Made invisible for so long by a request that began at `at`. At the service's limit it was the last time."""
        parking = self._parked.get(receipt.id)
        if parking is None or parking.receipt != receipt:
            return
        parking.until = at + seconds
        self._renewals.pop(receipt.id, None)
        if seconds == PARKED_S:
            self._renewals[receipt.id] = at + PARKED_S / RENEWALS

    def let_go(self, receipts: Collection[Receipt], at: float) -> None:
        """They can be received again, or in a moment."""
        for receipt in receipts:
            self.renewed(receipt, at, 0)

    def back(self, id_: str) -> bool:
        """A message was delivered: whether it had been parked, as it is no longer."""
        self._renewals.pop(id_, None)
        return self._parked.pop(id_, None) is not None

    def oldest(self, now: float) -> datetime | None:
        """When the oldest one was sent that is invisible, or may still be delivered again."""
        awaited = (p.receipt.sent_at for p in self._parked.values() if p.until + RETURN_S > now)
        return min(awaited, default=None)

    def of(self, ids: Collection[str]) -> Sequence[Receipt]:
        """These, and every other one of their groups: of a group nothing is delivered while one is invisible."""
        receipts = [parking.receipt for parking in self._parked.values()]
        groups = {r.group for r in receipts if r.id in ids and r.group is not None}
        return [r for r in receipts if r.id in ids or r.group in groups]

    def pause_s(self, now: float) -> float:
        """For so long nothing will be due, whatever is added meanwhile."""
        soonest = next(iter(self._renewals.values()), now + PARKED_S / RENEWALS)
        return min(soonest - now, PARKED_S / RENEWALS)

"""Messages on their way: over several links, in batches, the messages of a group in order."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil
from typing import Final

import anyio

from connectors.azure.servicebus.errors import MessageRefusal
from connectors.azure.servicebus.links import STANDARD_BYTES, Link, Open
from connectors.azure.servicebus.mapping import Outgoing
from replicator.clocks import elapsed_s
from replicator.delivery import Delivery
from replicator.errors import AmbiguousError, ThrottledError
from replicator.messages import Payload
from replicator.model import Rejection

MOST_TOGETHER: Final = 100
"""Messages in a batch."""

BATCH_MARGIN: Final = 0.95
"""Of what a batch may have: the service counts in another way than we do."""

IDLE_S: Final = 60.0
"""A link that was not used for so long is opened anew: nobody keeps it alive, and the service ends idle connections
after four minutes, idle links after ten.
"""

LOOK_INTERVAL_S: Final = 1.0
"""The limits of the queue are looked at no more often."""

BEHIND: Final = "waits behind an earlier message of its group, which was rejected: mend that one, and retry it"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to be sent. `group` is that of an ordered queue, within which order is kept. `payload` is its body
    where that has still to be read.
    """

    key: str
    message: Outgoing
    group: str | None = None
    payload: Payload | None = None

    @property
    def bytes(self) -> int:
        """An upper bound of what the message has once it is whole."""
        return self.message.bytes + (self.payload.size if self.payload else 0)


class Blocked:
    """The groups of which a message was rejected: what comes behind it must not overtake it. Of one pass in order."""

    def __init__(self) -> None:
        self._groups: set[str] = set()

    def reject(self, key: str, group: str | None, reason: str) -> Rejection:
        """This message cannot go, and so none behind it in its group."""
        if group is not None:
            self._groups.add(group)
        return Rejection(key, reason)

    def rejection(self, key: str, group: str | None) -> Rejection | None:
        """Why a message of the group cannot go either; None where it can. Names no other one: keys may be secret."""
        return Rejection(key, BEHIND) if group in self._groups else None

    def passing(self, parcels: Sequence[Parcel], rejections: list[Rejection]) -> list[Parcel]:
        """Those of them that can go; adds the rejections of the others."""
        behind = [(parcel, self.rejection(parcel.key, parcel.group)) for parcel in parcels]
        rejections += [rejection for _, rejection in behind if rejection is not None]
        return [parcel for parcel, rejection in behind if rejection is None]


def without(
    parcels: Sequence[Parcel], instead: Mapping[str, Parcel], refused: Mapping[str, str], rejections: list[Rejection]
) -> list[Parcel]:
    """The parcels, or what goes instead of them, but for those that are refused, by key, and what is behind them in
    their groups; adds the rejections of these.
    """
    going: list[Parcel] = []
    blocked = Blocked()
    for parcel in parcels:
        if parcel.key in refused:
            rejections.append(blocked.reject(parcel.key, parcel.group, refused[parcel.key]))
        elif rejection := blocked.rejection(parcel.key, parcel.group):
            rejections.append(rejection)
        else:
            going.append(instead.get(parcel.key, parcel))
    return going


@dataclass(slots=True)
class Limits:
    """What the queue takes, in bytes, as the links tell it; the least there is until one was opened.

    `apart`: it takes a batch only of one session, as partitioned queues do.
    """

    message_bytes: int = STANDARD_BYTES
    batch_bytes: int = STANDARD_BYTES
    apart: bool = False

    def told_by(self, link: Link) -> None:
        """Takes over what a link was told when it was opened."""
        self.message_bytes = link.max_message_bytes
        self.batch_bytes = link.max_batch_bytes

    def raised_since(self, link: Link) -> bool:
        """Whether the link would refuse what the queue takes by now."""
        return link.max_message_bytes < self.message_bytes


class Lane:
    """One link, opened anew whenever it was lost. What goes through it goes in order, one request at a time."""

    def __init__(self, open_link: Open, delivery: Delivery, limits: Limits, doubted: Callable[[int], None]) -> None:
        self._limits = limits
        self._doubted = doubted
        self._open = open_link
        self._delivery = delivery
        self._turn = anyio.Lock()
        self._link: Link | None = None
        self._used_at = 0.0

    @property
    def waiting(self) -> int:
        """How many are using it or wait for it."""
        statistics = self._turn.statistics()
        return statistics.tasks_waiting + statistics.locked

    async def send(self, parcels: Sequence[Parcel]) -> list[Rejection]:
        """Returns when every parcel is durable or rejected."""
        rejections: list[Rejection] = []
        blocked = Blocked()
        async with self._turn:
            for unit in units(parcels, int(self._limits.batch_bytes * BATCH_MARGIN), apart=self._limits.apart):
                rejections += await self._unit(unit, blocked)
        return rejections

    async def ready(self) -> None:
        """Returns with a link that may be used. Not bounded. Raises TransientError."""
        stale = elapsed_s() - self._used_at > IDLE_S
        if self._link is not None and (stale or not self._link.usable or self._limits.raised_since(self._link)):
            await self.close()
        if self._link is None:
            self._link = await self._open()
            self._limits.told_by(self._link)
            self._used_at = elapsed_s()

    async def close(self) -> None:
        """Ends the link; bounded."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _unit(self, unit: Sequence[Parcel], blocked: Blocked) -> list[Rejection]:
        """All at once if the service takes them, by halves if it refuses one of them."""
        rejections: list[Rejection] = []
        going = blocked.passing(unit, rejections)
        if not going:
            return rejections
        try:
            await self._delivery.write((), lambda: self._once([p.message for p in going]), self.ready)
        except MessageRefusal as refusal:
            if len(going) == 1:
                reason = f"Service Bus refuses the message: {refusal}"
                return [*rejections, blocked.reject(going[0].key, going[0].group, reason)]
            middle = len(going) // 2
            found = [r for half in (going[:middle], going[middle:]) for r in await self._unit(half, blocked)]
            if not found:  # nothing was wrong with any of them, so it was their being together
                self._limits.apart = True
            rejections += found
        return rejections

    async def _once(self, messages: Sequence[Outgoing]) -> None:
        """One request. Where it leaves the link in doubt, nothing more may come through that link."""
        assert self._link is not None, "ready comes first"  # noqa: S101
        try:
            await self._link.send(messages)
        except (MessageRefusal, ThrottledError):
            raise
        except BaseException as error:
            if isinstance(error, AmbiguousError) or not isinstance(error, Exception):
                self._doubted(len(messages))
            await self.close()
            raise
        self._used_at = elapsed_s()


class Sending:
    """All links to one queue. `doubted` is told how many messages may have arrived, and will be sent again."""

    def __init__(self, open_link: Open, delivery: Delivery, senders: int, doubted: Callable[[int], None]) -> None:
        self.limits = Limits()
        self._open = open_link
        self._delivery = delivery
        self._looked_at = float("-inf")
        self._lanes = [Lane(open_link, delivery, self.limits, doubted) for _ in range(senders)]

    async def open(self) -> None:
        """Opens one link, so that the queue's limits are known. Not bounded. Raises TransientError."""
        await self._lanes[0].ready()

    async def look(self) -> None:
        """Opens a link only to be told the limits, which may have been raised since those in use were opened."""
        if elapsed_s() - self._looked_at >= LOOK_INTERVAL_S:
            self._looked_at = elapsed_s()
            await self._delivery.read(self._told)

    async def send(self, parcels: Sequence[Parcel]) -> list[Rejection]:
        """Returns when every parcel is durable or rejected."""
        rejections: list[Rejection] = []

        async def run(lane: Lane, share: Sequence[Parcel]) -> None:
            rejections.extend(await lane.send(share))

        async with anyio.create_task_group() as tasks:
            for lane, share in self._shares(parcels):
                tasks.start_soon(run, lane, share)
        return rejections

    async def close(self) -> None:
        """Ends all links; bounded."""
        async with AsyncExitStack() as stack:
            for lane in self._lanes:
                stack.push_async_callback(lane.close)

    async def _told(self) -> None:
        link = await self._open()
        self.limits.told_by(link)
        await link.close()

    def _shares(self, parcels: Sequence[Parcel]) -> Iterator[tuple[Lane, list[Parcel]]]:
        """A group always takes the same lane; what belongs to none takes the least busy ones, in full batches."""
        shares: dict[int, list[Parcel]] = {}
        loose = [parcel for parcel in parcels if parcel.group is None]
        for parcel in parcels:
            if parcel.group is not None:
                shares.setdefault(zlib.crc32(parcel.group.encode()) % len(self._lanes), []).append(parcel)
        freest = sorted(range(len(self._lanes)), key=lambda n: (n in shares) + self._lanes[n].waiting)
        pieces = min(len(freest), ceil(len(loose) / MOST_TOGETHER))
        for number in range(pieces):
            shares.setdefault(freest[number], []).extend(loose[number::pieces])
        for number, share in shares.items():
            yield self._lanes[number], share


def units(parcels: Sequence[Parcel], max_bytes: int, *, apart: bool = False) -> Iterator[list[Parcel]]:
    """Parcels that go out together, in order: at most so many bytes, and never more than MOST_TOGETHER.

    `apart`: only of one session; what has none goes alone, since its id decides on its partition.
    """
    if apart:
        parcels = sorted(parcels, key=lambda p: p.message.session_id or "")
    unit: list[Parcel] = []
    unit_bytes = 0
    for parcel in parcels:
        size = parcel.message.bytes
        full = len(unit) == MOST_TOGETHER or unit_bytes + size > max_bytes
        if unit and (full or (apart and _separate(unit[-1].message, parcel.message))):
            yield unit
            unit, unit_bytes = [], 0
        unit.append(parcel)
        unit_bytes += size
    if unit:
        yield unit


def _separate(one: Outgoing, other: Outgoing) -> bool:
    return one.session_id is None or one.session_id != other.session_id

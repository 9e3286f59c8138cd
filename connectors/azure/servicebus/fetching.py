"""Bodies that lie beside the source's queue, read just before they are sent, in memory that all batches share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeAlias

import anyio

from connectors.azure.buffers import ByteBudget
from connectors.azure.contents import read_exactly
from connectors.azure.servicebus.sending import Blocked, Parcel, without
from replicator.model import Rejection
from replicator.objects import ContentChangedError, ContentRefusedError
from replicator.telemetry import PipelineTelemetry

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""Of all batches together; a message that needs more has all of it to itself."""

READS_AT_ONCE: Final = 16

CHANGED: Final = "the payload was replaced or removed while it was read: retry"

Send: TypeAlias = Callable[[Sequence[Parcel]], Awaitable[list[Rejection]]]


class Fetching:
    """Of one target. Whoever holds memory waits for nobody who needs some."""

    def __init__(self, telemetry: PipelineTelemetry) -> None:
        self._telemetry = telemetry
        self._budget = ByteBudget(BUFFER_BYTES)
        self._limiter = anyio.CapacityLimiter(READS_AT_ONCE)

    async def send(self, parcels: Sequence[Parcel], send: Send) -> list[Rejection]:
        """Sends the parcels with their bodies, as many at once as there is memory for, in order. What is behind a
        rejected one in its group is rejected too.
        """
        rejections: list[Rejection] = []
        blocked = Blocked()
        for portion in portions(parcels, BUFFER_BYTES):
            going = blocked.passing(portion, rejections)
            async with self._whole(going) as (whole, unreadable):
                reasons = {r.key: r.reason for r in unreadable + await send(whole)}
            rejections += [blocked.reject(p.key, p.group, reasons[p.key]) for p in going if p.key in reasons]
        return rejections

    @asynccontextmanager
    async def _whole(self, parcels: Sequence[Parcel]) -> AsyncIterator[tuple[list[Parcel], list[Rejection]]]:
        """The parcels with their bodies, to be sent inside, and the rejections of those that cannot be read."""
        needed = sum(parcel.payload.size for parcel in parcels if parcel.payload is not None)
        async with self._budget.hold(min(needed, BUFFER_BYTES)):
            whole: dict[str, Parcel] = {}
            refused: dict[str, str] = {}
            rejections: list[Rejection] = []
            async with anyio.create_task_group() as tasks:
                for parcel in parcels:
                    if parcel.payload is not None:
                        tasks.start_soon(self._fetch, parcel, whole, refused)
            yield without(parcels, whole, refused, rejections), rejections

    async def _fetch(self, parcel: Parcel, whole: dict[str, Parcel], refused: dict[str, str]) -> None:
        assert parcel.payload is not None  # noqa: S101 — as looked at above
        content, size = parcel.payload.content, parcel.payload.size
        assert content is not None, "a payload with an obstacle was refused before"  # noqa: S101
        try:
            async with self._limiter:
                body = b"".join(await read_exactly(content, 0, size, self._telemetry)) if size else b""
        except ContentRefusedError as error:
            refused[parcel.key] = str(error)
        except ContentChangedError:
            refused[parcel.key] = CHANGED
        else:
            whole[parcel.key] = replace(parcel, message=replace(parcel.message, body=body), payload=None)


def portions(parcels: Sequence[Parcel], most_bytes: int) -> Iterator[list[Parcel]]:
    """The parcels in order; a portion has payloads of at most so many bytes together, or a single one that has more."""
    portion: list[Parcel] = []
    needed = 0
    for parcel in parcels:
        size = parcel.payload.size if parcel.payload is not None else 0
        if portion and needed + size > most_bytes:
            yield portion
            portion, needed = [], 0
        portion.append(parcel)
        needed += size
    if portion:
        yield portion

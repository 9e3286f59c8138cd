"""Bodies that lie beside the source's queue, read just before they are sent, in memory that all batches share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio

from connectors.azure.buffers import ByteBudget
from connectors.azure.contents import read_exactly
from connectors.azure.servicebus.sending import Parcel, without
from replicator.model import Rejection
from replicator.objects import ContentChangedError, ContentRefusedError
from replicator.telemetry import PipelineTelemetry

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""Of all batches together; one that needs more has all of it to itself."""

READS_AT_ONCE: Final = 16

CHANGED: Final = "the payload was replaced or removed while it was read: retry"


class Fetching:
    """Of one target. Whoever holds memory waits for nobody who needs some."""

    def __init__(self, telemetry: PipelineTelemetry) -> None:
        self._telemetry = telemetry
        self._budget = ByteBudget(BUFFER_BYTES)
        self._limiter = anyio.CapacityLimiter(READS_AT_ONCE)

    @asynccontextmanager
    async def whole(self, parcels: Sequence[Parcel]) -> AsyncIterator[tuple[list[Parcel], list[Rejection]]]:
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

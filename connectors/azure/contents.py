"""Reading what a source keeps, in memory that is bounded by whoever asks."""

from contextlib import aclosing

from replicator.delivery import retrying
from replicator.errors import TransientError
from replicator.objects import Content
from replicator.telemetry import PipelineTelemetry


async def read_exactly(content: Content, start: int, length: int, telemetry: PipelineTelemetry) -> list[bytes]:
    """These bytes, in pieces; after a failure it goes on where it was cut off, for ever.

    Raises ContentChangedError, ContentRefusedError.
    """
    pieces: list[bytes] = []

    async def attempt() -> None:
        got = sum(map(len, pieces))
        async with aclosing(content.read(start + got, length - got)) as stream:
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 — what has come before a failure must stay
        if sum(map(len, pieces)) < length:
            raise TransientError("the object's bytes ended early")

    await retrying(attempt, telemetry.source_failed)
    telemetry.source_answered(0)
    return pieces

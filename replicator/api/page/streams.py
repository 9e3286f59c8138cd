"""Server-sent events: the content again and again, to a bounded number of readers, none of which is waited for long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from replicator.api.page.gathering import Gatherer

MOST_STREAMS = 32
"""At a time. More are answered 503, and the page asks now and then instead."""

MOST_EVENT_BYTES = 1_048_576
"""One that would be larger is not sent but named; what bounds the content keeps it far below."""

INTERVAL_S = 1.0

LAG_EVERY = 10
"""Events of which one has the pictures of the lag; a stretch of theirs is longer."""

SEND_TIMEOUT_S = 5.0
"""Whoever takes longer to read what is more than the connection's buffers hold is cut off."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}


@dataclass(slots=True)
class Line:
    """What a stream must know of its connection: that the server is ending, and how to cut it off at once."""

    drop: Callable[[], None] = lambda: None
    ending: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Streams:
    """How many there are."""

    open: int = 0


def event(name: str, data: str) -> bytes:
    """In the format of server-sent events."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()


class EventStream(Response):
    """Tells `content` every second until the reader leaves, is too slow, or the server ends, which it tells too."""

    media_type = "text/event-stream"

    def __init__(self, gatherer: Gatherer, streams: Streams, locked: str) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._gatherer = gatherer
        self._streams = streams
        self._locked = locked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams.open >= MOST_STREAMS:
            refused = JSONResponse({"detail": "too many are looking: ask without a stream"}, 503)
            await refused(scope, receive, send)
            return
        self._streams.open += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_left, receive, tasks.cancel_scope)
                await self._tell(scope.get("state", {}).get("line") or Line(), send)
                tasks.cancel_scope.cancel()
        finally:
            self._streams.open -= 1

    async def _tell(self, line: Line, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        told = 0
        while not line.ending.is_set():
            content = event("content", await self._gatherer.content(self._locked, lags=told % LAG_EVERY == 0))
            if len(content) > MOST_EVENT_BYTES:
                content = event("oversized", str(len(content)))
            if not await _in_time(send({"type": "http.response.body", "body": content, "more_body": True})):
                await _cut(line)
                return
            told += 1
            with anyio.move_on_after(INTERVAL_S):
                await line.ending.wait()
        await _in_time(send({"type": "http.response.body", "body": event("ending", "."), "more_body": False}))


async def _in_time(sending: Awaitable[None]) -> bool:
    with anyio.move_on_after(SEND_TIMEOUT_S) as scope:
        await sending
    return not scope.cancelled_caught


async def _cut(line: Line) -> None:
    """Closing would wait for the reader. That it is gone is noticed by `_until_left`."""
    line.drop()
    await anyio.sleep(SEND_TIMEOUT_S)


async def _until_left(receive: Receive, stream: anyio.CancelScope) -> None:
    message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
    stream.cancel()

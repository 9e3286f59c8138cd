"""What no request may exceed: the size of its body, and the time it takes to send it."""

from dataclasses import dataclass, field

import anyio
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 4_194_304
"""More than a request with 100 of the longest keys takes."""

MOST_BYTES_HELD = 67_108_864
"""Of all bodies at a time. One that is too much then is answered 503."""

BODY_TIMEOUT_S = 10.0

MOST_HEADER_BYTES = 16_384

HEADER_TIMEOUT_S = 10.0

MOST_CONNECTIONS = 1100
"""More are answered 503. A thousand may wait for a barrier at a time, and the others must come through."""


class Bounds:
    """Reads each body whole before anything looks at it. Answers 413 where it is too large, 408 if it is too slow, 503
    while those of others are too much already.
    """

    def __init__(
        self,
        app: ASGIApp,
        most_bytes: int = MOST_BODY_BYTES,
        timeout_s: float = BODY_TIMEOUT_S,
        most_held: int = MOST_BYTES_HELD,
    ) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._most_held = most_held
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body()
        try:
            with anyio.move_on_after(self._timeout_s) as reading:
                await self._read(body, scope, receive)
            if reading.cancelled_caught:
                body.refusal = (408, f"the body was not sent within {self._timeout_s:g} s")
            if body.refusal is None:
                await self._app(scope, _replaying(bytes(body.read), receive), send)
            else:
                await _refuse(*body.refusal, scope, receive, send)
        finally:
            self._held -= len(body.read)

    async def _read(self, body: "Body", scope: Scope, receive: Receive) -> None:
        """What a client announces is believed only if it is too much."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        more = not (announced.isdigit() and int(announced) > self._most_bytes)
        too_large = not more
        while more:
            message = await receive()
            part: bytes = message.get("body", b"")
            body.read += part
            self._held += len(part)
            too_large = len(body.read) > self._most_bytes
            more = message.get("more_body", False) and not too_large and self._held <= self._most_held
        if too_large:
            body.refusal = (413, f"the body is larger than {self._most_bytes} bytes")
        elif self._held > self._most_held:
            body.refusal = (503, "the bodies of other requests are too large: ask again")


@dataclass(slots=True, eq=False)
class Body:
    """What has come of a request's body; `refusal` is a status and its reason."""

    read: bytearray = field(default_factory=bytearray)
    refusal: tuple[int, str] | None = None


def _replaying(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whatever comes after it."""
    parts = [body]

    async def replay() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await receive()

    return replay


async def _refuse(code: int, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    """The connection is closed: what is left of the body is nobody's to read."""
    answer = JSONResponse({"detail": detail}, code, {"Connection": "close"})
    await answer(scope, receive, send)

"""What no request may exceed: the size of its body, and the time it takes to send it."""

import anyio
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 2_097_152
"""More than a request with 100 of the longest keys takes."""

BODY_TIMEOUT_S = 10.0

MOST_HEADER_BYTES = 16_384

HEADER_TIMEOUT_S = 10.0

MOST_CONNECTIONS = 100
"""More are answered 503."""


class Bounds:
    """Reads each body whole before anything looks at it. Answers 413 where it is too large, 408 if it is too slow."""

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body: bytes | None = b""
        with anyio.move_on_after(self._timeout_s) as reading:
            body = await self._body(scope, receive)
        if reading.cancelled_caught:
            await _refuse(408, f"the body was not sent within {self._timeout_s:g} s", scope, receive, send)
        elif body is None:
            await _refuse(413, f"the body is larger than {self._most_bytes} bytes", scope, receive, send)
        else:
            await self._app(scope, _replaying(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """None where it is too large. What a client announces is believed only if it is too much."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._most_bytes:
            return None
        body = b""
        while True:
            message = await receive()
            part: bytes = message.get("body", b"")
            body += part
            if len(body) > self._most_bytes:
                return None
            if not message.get("more_body", False):
                return body


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

"""Bounds what a request may send, before anything of it is parsed."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 4 * 1024 * 1024
"""A hundred keys of the longest kind, or a thousand dead letters, with room."""

TOO_LARGE = f"the body is larger than {MOST_BYTES} bytes"


class BodyLimit:
    """Answers 413 to a larger body: at once where its length is told, or when it turns out to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "0")
        if told.isdecimal() and int(told) > MOST_BYTES:
            await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self._app(scope, limited, send)

"""The page over HTTP. It shows no more than the status does; the rest only to those who may see it."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

from replicator.api.access import Access
from replicator.api.answers import Refusal
from replicator.api.page.gathering import Gatherer, Overlooked
from replicator.api.page.streams import HEADERS, MOST_STREAMS, EventStream, Streams
from replicator.report.style import STYLE
from replicator.report.words import text

EVENTS = "text/event-stream"

_SCRIPT = (files("replicator.api.page") / "page.js").read_text(encoding="utf-8")
_STYLE = STYLE + (files("replicator.api.page") / "page.css").read_text(encoding="utf-8")
_FRAME = (files("replicator.api.page") / "page.html").read_text(encoding="utf-8")


def _hashed(inline: str) -> str:
    return f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"


POLICY = "; ".join(
    [
        "default-src 'none'",
        f"script-src {_hashed(_SCRIPT)}",
        f"style-src-elem {_hashed(_STYLE)}",
        "style-src-attr 'unsafe-inline'",  # where the scale of a picture stands
        "img-src data:",  # the empty icon, so that none is asked for
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What the page may do: look as its own style says, run its own script, and ask the daemon that it came from."""

PAGE_HEADERS = {**HEADERS, "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}

PUBLISHED: dict[int | str, dict[str, object]] = {
    200: {"content": {EVENTS: {"schema": {"type": "string"}}}, "description": "With that in `Accept`, as events."},
    401: {"model": Refusal, "description": "A token was given, and it is wrong."},
    503: {"model": Refusal, "description": f"More than {MOST_STREAMS} streams at a time."},
}


def router(daemon: Overlooked, access: Access) -> APIRouter:
    """The routes / and /v1/page."""
    routes = APIRouter()
    gatherer, streams = Gatherer(daemon), Streams()

    @routes.get("/", summary="The status page", response_class=HTMLResponse, responses={401: PUBLISHED[401]})
    async def whole(request: Request) -> HTMLResponse:
        content = await gatherer.content(locked(access, request), lags=True)
        return HTMLResponse(_page(daemon.config.migration, content), headers=PAGE_HEADERS)

    @routes.get("/v1/page", summary="What the status page shows", response_class=HTMLResponse, responses=PUBLISHED)
    async def page(request: Request) -> Response:
        seen = locked(access, request)
        if EVENTS in request.headers.get("Accept", ""):
            return EventStream(gatherer, streams, seen)
        return HTMLResponse(await gatherer.content(seen, lags=True), headers=PAGE_HEADERS)

    return routes


def locked(access: Access, request: Request) -> str:
    """What the caller would need to see everything: nothing, the `token`, or to be at the daemon's `machine`.

    Raises 401 where a token was given that is wrong.
    """
    try:
        access(request)
    except HTTPException as refusal:
        if refusal.status_code == 401 and "Authorization" in request.headers:
            raise
        return "token" if refusal.status_code == 401 else "machine"
    return ""


def _page(migration: str, content: str) -> str:
    parts = {"MIGRATION": text(migration), "STYLE": _STYLE, "SCRIPT": _SCRIPT, "CONTENT": content}
    return "".join(parts.get(part, part) for part in _FRAME.split("@"))

"""Any replica answers for the whole migration: what the one that leads knows, the others ask it.

A request goes to the leader as it came, over the connection that the replicas have anyway, with the address of whoever
made it. Health and metrics are each replica's own. Streams are not passed on: the page asks again and again instead.
"""

from base64 import b64decode, b64encode
from typing import Any, Protocol

import anyio
import structlog
from fastapi import Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replicator.api.bounds import Bounds
from replicator.config.models import MigrationConfig
from replicator.replicas.channel import Params
from replicator.telemetry import Metrics

ALIVE = "/healthz"

READY = "/readyz"

OWN = {READY, "/metrics"}
"""What each replica answers for itself, though it does not lead."""

NOBODY = "no replica leads at the moment: ask again in some seconds"

STREAM = b"text/event-stream"


class Together(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    metrics: Metrics

    @property
    def leads(self) -> bool: ...

    @property
    def is_working(self) -> bool: ...

    async def ask_leader(self, request: Params) -> Params | None: ...


class Forwarding:
    """Around the whole interface: what is not this replica's to answer, the leader does."""

    def __init__(self, app: ASGIApp, daemon: Together) -> None:
        self._app = app
        self._daemon = daemon
        self._passed_on = Bounds(self._pass_on)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._daemon.leads or scope["path"] == ALIVE:
            await self._app(scope, receive, send)
        elif scope["path"] in OWN:
            await self._own(scope["path"])(scope, receive, send)
        elif STREAM in dict(scope["headers"]).get(b"accept", b""):
            await _unavailable("streams are with the leader only: ask without one")(scope, receive, send)
        else:
            await self._passed_on(scope, receive, send)

    def _own(self, path: str) -> Response:
        """A replica that does not lead needs no attention while it works for the one that does."""
        if path != READY:
            return Response(generate_latest(self._daemon.metrics.registry), media_type=CONTENT_TYPE_LATEST)
        ready = self._daemon.is_working
        problems = {} if ready else {self._daemon.config.migration: ["no replica leads that this one could work for"]}
        return JSONResponse({"ready": ready, "problems": problems}, 200 if ready else 503)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client that leaves meanwhile is not noticed: the call is bounded as it is at the leader."""
        given = await self._daemon.ask_leader(await _asked(scope, receive))
        if given is None:
            await _unavailable(NOBODY)(scope, receive, send)
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given["headers"]]
        await send({"type": "http.response.start", "status": given["status"], "headers": headers})
        await send({"type": "http.response.body", "body": b64decode(given["body"])})


async def answer(app: ASGIApp, params: Params) -> Params:
    """What the interface of the leader answers to a request that came to another replica."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": params["method"],
        "path": params["path"],
        "raw_path": params["path"].encode(),
        "query_string": params["query"].encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in params["headers"]],
        "client": tuple(params["client"]) if params["client"] else None,
        "server": None,
        "root_path": "",
    }
    body: list[bytes] = [b64decode(params["body"])]
    given: Params = {"status": 500, "headers": [], "body": ""}
    answered = bytearray()

    async def receive() -> Message:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await anyio.sleep_forever()
        raise AssertionError("never")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            given["status"] = message["status"]
            given["headers"] = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message["headers"]]
        else:
            answered.extend(message.get("body", b""))

    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 — as a server does: it is said in the log, and the answer says that there is none
        structlog.get_logger().exception("a request that was passed on has failed", path=params["path"])
    return {**given, "body": b64encode(bytes(answered)).decode()}


async def _asked(scope: Scope, receive: Receive) -> Params:
    """The request as it is passed on; its body is bounded already."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "headers": [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        "client": list(scope["client"]) if scope.get("client") else None,
        "body": b64encode(bytes(body)).decode(),
    }


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, 503)

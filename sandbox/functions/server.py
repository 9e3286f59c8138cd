"""The server. It knows what replicator asks: settings listed and replaced as a whole, functions, and apps."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LOOPBACK: Final = "127.0.0.1"

ID: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Web/sites/(?P<app>[^/]+)(?P<rest>/.*)?",
    re.IGNORECASE,
)

WORDS: Final = frozenset({"true", "1"})


@dataclass
class Function:
    """`by_code`: its code switches it off, whatever the settings say. `bindings` as in function.json."""

    by_code: bool = False
    bindings: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class App:
    """Its settings, and those that its host has started with: new ones come into force `lag_s` after they were put.

    `starts` counts how often it has started anew. `putting` is called with what is about to be put: it may change
    settings before, as somebody else would.
    """

    settings: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    kind: str = "functionapp,linux"
    lag_s: float = 0.0
    starts: int = 0
    putting: Callable[[dict[str, str]], None] = lambda _: None
    _in_force: dict[str, str] | None = None
    _put_at: float = float("-inf")

    def put(self, settings: dict[str, str]) -> None:
        """Replaces all of them."""
        self.putting(settings)
        self._in_force = self.in_force()
        self.settings, self._put_at, self.starts = dict(settings), time.monotonic(), self.starts + 1

    def in_force(self) -> dict[str, str]:
        """What the host knows."""
        if self._in_force is None or time.monotonic() - self._put_at >= self.lag_s:
            return dict(self.settings)
        return self._in_force

    def is_disabled(self, name: str) -> bool:
        """As the host of Azure Functions decides it."""
        wanted = {f"azurewebjobs.{name}.disabled".casefold(), f"azurewebjobs_{name}_disabled".casefold()}
        switched = {v for n, v in self.in_force().items() if n.casefold() in wanted and v.casefold() in WORDS}
        return bool(switched) or self.functions[name].by_code


class FunctionsServer:
    """On loopback, in memory. `status` answers everything with that instead, `token` is what it wants to be given."""

    token = "sandbox"  # noqa: S105 — of nothing but this

    def __init__(self, port: int = 0) -> None:
        self.endpoint = ""
        self.status: int | None = None
        self.calls: list[str] = []
        self._apps: dict[str, App] = {}
        self._port = port
        self._runner: web.ServerRunner | None = None

    def app(self, name: str) -> App:
        """The app of this name, made if there is none."""
        return self._apps.setdefault(name, App())

    def app_id(self, name: str) -> str:
        """Its resource id."""
        return f"/subscriptions/0/resourceGroups/sandbox/providers/Microsoft.Web/sites/{name}"

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self._port).start()
        self.endpoint = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, http: web.BaseRequest) -> web.Response:
        self.calls.append(f"{http.method} {http.path}")
        if self.status is not None:
            return _refusal(self.status, "Asked")
        if http.headers.get("Authorization") != f"Bearer {self.token}":
            return _refusal(401, "InvalidAuthenticationToken")
        if not http.query.get("api-version"):
            return _refusal(400, "MissingApiVersionParameter")
        match = ID.fullmatch(http.path)
        app = self._apps.get(match["app"]) if match else None
        if match is None or app is None:
            return _refusal(404, "ResourceNotFound")
        return await self._answer(http, app, match["rest"] or "")

    async def _answer(self, http: web.BaseRequest, app: App, rest: str) -> web.Response:
        match http.method, rest.split("/")[1:]:
            case "GET", []:
                return _answer({"kind": app.kind, "properties": {"state": "Running"}})
            case "POST", ["config", "appsettings", "list"]:
                return _answer({"properties": app.settings})
            case "PUT", ["config", "appsettings"]:
                given = await http.json()
                app.put({str(name): str(value) for name, value in given["properties"].items()})
                return _answer({"properties": app.settings})
            case "GET", ["functions", name] if name in app.functions:
                config = {"bindings": app.functions[name].bindings}
                return _answer({"properties": {"name": name, "config": config, "isDisabled": app.is_disabled(name)}})
        return _refusal(404, "NotFound")


HEADERS: Final = {"x-ms-request-id": "sandbox"}


def _answer(body: object) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), content_type="application/json", headers=HEADERS)


def _refusal(status: int, code: str) -> web.Response:
    body = {"error": {"code": code, "message": "the sandbox says so"}}
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json", headers=HEADERS)

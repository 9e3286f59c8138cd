"""The control endpoint of a fault proxy, for daemons and scripts in other processes.

GET    /status              counters, rules, switches, late deliveries
POST   /rules               a RuleSpec as JSON; answers {"id": …}
DELETE /rules/{id}, /rules  lift one, lift all
POST   /refuse /accept /cut /pause /resume /release
GET    /settled             answers once no late delivery is pending
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import ValidationError

from sandbox.faults.rules import RuleSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.faults.late import LateDelivery
    from sandbox.faults.proxy import FaultProxy
    from sandbox.faults.rules import Rule

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def control(proxy: FaultProxy, port: int = 0) -> AsyncIterator[str]:
    """Serve the control endpoint of an entered proxy on loopback; yields its URL without a trailing slash."""
    runner = web.AppRunner(_application(proxy), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Control:
    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._switches = {
            "refuse": proxy.refuse,
            "accept": proxy.accept,
            "cut": proxy.cut,
            "pause": proxy.pause,
            "resume": proxy.resume,
            "release": proxy.release,
        }

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(describe(self._proxy))

    async def add(self, request: web.Request) -> web.Response:
        try:
            spec = RuleSpec.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=error.json(), content_type="application/json") from error
        return web.json_response({"id": self._proxy.book.add(spec).id}, status=201)

    async def lift(self, request: web.Request) -> web.Response:
        rule = self._proxy.book.rules.get(int(request.match_info["id"]))
        if rule is None:
            raise web.HTTPNotFound(text="no such rule is in force")
        rule.lift()
        return web.Response(status=204)

    async def lift_all(self, _request: web.Request) -> web.Response:
        self._proxy.lift_all()
        return web.Response(status=204)

    async def switch(self, request: web.Request) -> web.Response:
        switch = self._switches.get(request.match_info["switch"])
        if switch is None:
            raise web.HTTPNotFound(text=f"the switches are {', '.join(self._switches)}")
        switch()
        return web.Response(status=204)

    async def settled(self, _request: web.Request) -> web.Response:
        await self._proxy.settled()
        return web.Response(status=204)


def describe(proxy: FaultProxy) -> dict[str, object]:
    """What GET /status answers."""
    counters = proxy.counters
    return {
        "endpoint": proxy.endpoint,
        "target": f"{proxy.link.target_host}:{proxy.link.target_port}",
        "refusing": proxy.refusing,
        "paused": proxy.link.paused,
        "connections": counters.connections,
        "refused": counters.refused,
        "requests": counters.requests,
        "forwarded": counters.forwarded,
        "raw_bytes": counters.raw_bytes,
        "peak_requests_per_s": counters.peak_requests_per_s,
        "struck": dict(counters.struck),
        "rules": [_rule(rule) for rule in proxy.book.rules.values()],
        "pending": [_late(late) for late in proxy.late.pending],
        "delivered": [_late(late) for late in proxy.late.delivered],
    }


def _application(proxy: FaultProxy) -> web.Application:
    handlers = _Control(proxy)
    application = web.Application()
    application.add_routes(
        [
            web.get("/status", handlers.status),
            web.post("/rules", handlers.add),
            web.delete("/rules", handlers.lift_all),
            web.delete(r"/rules/{id:\d+}", handlers.lift),
            web.get("/settled", handlers.settled),
            web.post("/{switch}", handlers.switch),
        ]
    )
    return application


def _rule(rule: Rule) -> dict[str, object]:
    action = rule.spec.action.model_dump(mode="json", exclude={"body"})
    matched = rule.spec.model_dump(mode="json", exclude={"action"}, exclude_defaults=True)
    return {"id": rule.id, "hits": rule.hits, "peak_per_s": rule.rate.peak_per_s, "action": action, **matched}


def _late(late: LateDelivery) -> dict[str, object]:
    return {
        "id": late.id,
        "method": late.method,
        "target": late.target,
        "status": late.status,
        "error": late.error,
    }

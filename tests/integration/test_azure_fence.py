"""Promise: what was prepared while the lease lasted is not sent any more once it may end too soon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
import pytest
from aiohttp import web

from connectors.azure.transport import open_session
from fakes.targets import cosmos_config
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.errors import AmbiguousError
from replicator.telemetry import Metrics, PipelineTelemetry

LIFETIME_S = 5.0


class Service:
    """Remembers the method of each request that reached it."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def answer(request: web.BaseRequest) -> web.Response:
            self.received.append(request.method)
            return web.Response()

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()


def closing(after_looks: int) -> Delivery:
    """A delivery whose lease is over, as after a standstill, once the fence has been looked at so many times."""
    looks = count()
    fence = Fence(LIFETIME_S, clock=lambda: 0.0 if next(looks) < after_looks else 3 * LIFETIME_S)
    fence.extend(2 * LIFETIME_S)
    telemetry = PipelineTelemetry(Metrics(), "orders")
    return Delivery(limiter=AdaptiveLimiter(1), budget=RateBudget(None), fence=fence, timeout_s=1, telemetry=telemetry)


@pytest.mark.parametrize("connected", [False, True], ids=["new connection", "old connection"])
@pytest.mark.parametrize(
    ("method", "body", "looks"),
    [("DELETE", None, 1), ("POST", b"document", 1), ("POST", b"document", 2)],
    ids=["without a body", "before its head", "between head and body"],
)
async def test_a_request_is_not_sent_if_the_process_stood_still_after_the_fence(
    method: str, body: bytes | None, looks: int, connected: bool
) -> None:
    """Wherever in its preparation that was."""
    service = Service()
    async with service.running(), open_session(cosmos_config(service.url), "target") as session:

        async def send() -> None:
            try:
                async with session.request(method, service.url, data=body):
                    pass
            except aiohttp.ClientConnectionError as error:
                raise AmbiguousError(str(error)) from error

        if connected:
            await send()
        before = len(service.received)
        with pytest.raises(AmbiguousError, match="not sent"):
            await closing(looks).write_once([], send)
        assert len(service.received) == before
        await closing(3).write_once([], send)
        assert len(service.received) == before + 1, "while it lasts it is sent"

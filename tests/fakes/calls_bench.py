"""Calls of a target without a target: what is sent fails as told, then answers; hours of it pass in no time."""

from collections.abc import Awaitable, Callable

import anyio

from connectors.azure.cosmos.calls import Calls, Hook
from fakes.containers import ANSWERED
from fakes.targets import open_delivery
from fakes.virtual import in_virtual_time
from replicator.delivery import Backoff
from replicator.telemetry import Metrics, PipelineTelemetry


class CallsBench:
    """Calls, and what they are charged. `failures` are raised by the next requests, which then answer `fine`."""

    def __init__(self, *failures: BaseException, timeout_s: float = 5.0) -> None:
        self.metrics = Metrics()
        self.calls = Calls(
            open_delivery(timeout_s, backoff=Backoff(0.1, 0.1)), PipelineTelemetry(self.metrics, "orders")
        )
        self.failures = list(failures)
        self.sent = 0

    async def send(self, hook: Hook) -> str:
        self.sent += 1
        if self.failures:
            raise self.failures.pop(0)
        hook(ANSWERED, {"id": "x"})
        return "fine"

    @property
    def charged(self) -> float | None:
        return self.metrics.registry.get_sample_value("replicator_request_charge_total", {"pipeline": "orders"})


def virtually(run: Callable[[], Awaitable[None]]) -> None:
    """Runs it without waiting on real time."""

    async def bounded() -> None:
        with anyio.fail_after(3600):
            await run()

    in_virtual_time(bounded)()


async def hangs(_: Hook) -> None:
    """Never answered."""
    await anyio.sleep_forever()

"""A Service Bus queue, on a broker of its own."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from unittest.mock import patch

from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import _servicebus_receiver_async, _servicebus_sender_async
from contracts.worlds.messages import body_of, number_of, sent
from contracts.worlds.sides import LocalClouds, TargetWorld

from fakes import buses
from fakes.amqp import body_of as body_held
from fakes.servicebus import Hurried
from replicator.messages import Message
from replicator.model import Change
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.servicebus.faults import Fault

QUEUE = "contract"
TIMEOUT_S = 1.0
TOO_LARGE = "x" * (300 * 1024)
"""A queue of Standard takes 256 KiB."""


@asynccontextmanager
async def plain_queue(_: LocalClouds) -> AsyncIterator[TargetWorld[Message]]:
    """The real target and the real SDK; the queue drops what comes twice."""
    async with _world(sessions=False) as world:
        yield world


@asynccontextmanager
async def sessions_queue(_: LocalClouds) -> AsyncIterator[TargetWorld[Message]]:
    """Likewise; groups become sessions, and a message without one has its own."""
    async with _world(sessions=True) as world:
        yield world


@asynccontextmanager
async def _world(*, sessions: bool) -> AsyncIterator[TargetWorld[Message]]:
    settings = QueueSettings(sessions=sessions, duplicate_window_s=600.0)
    with ExitStack() as patches:
        for module in (_client_async, _servicebus_receiver_async, _servicebus_sender_async):
            patches.enter_context(patch.object(module, "asyncio", Hurried()))
        async with (
            ServiceBusServer({QUEUE: settings}) as broker,
            buses.bench(broker, QUEUE, timeout_s=TIMEOUT_S, sessions=sessions) as bench,
        ):
            yield _over(broker, bench, sessions=sessions)


def _over(broker: ServiceBusServer, bench: buses.Bench, *, sessions: bool) -> TargetWorld[Message]:
    async def held() -> dict[str, int]:
        stored = broker.namespace.queue(QUEUE).peek(0, 100_000)
        return {str(found.message_id): number_of(body_held(found.content)) for found in stored}

    async def consumed() -> list[str]:
        return [str(found.message_id) for found in broker.namespace.queue(QUEUE).peek(0, 100_000)]

    def lose_next(lands_s: float | None) -> None:
        broker.faults.add(Fault(operation="send*", count=1, delay_s=lands_s or 0.0, cut=lands_s is None))

    def upsert(name: str, number: int) -> Change[Message]:
        return sent(name, body_of(name, number), name if sessions else None)

    world = TargetWorld(
        bench.target, upsert, str, held, sent("refused", TOO_LARGE, "refused" if sessions else None),
        consumed=consumed, lose_next=lose_next, lifetime_s=2 * TIMEOUT_S,
    )  # fmt: skip
    if sessions:
        world.in_group = in_group
    return world


def in_group(group: str, name: str, number: int | None) -> Change[Message]:
    """One that keeps its order; without a number one that is refused."""
    return sent(name, TOO_LARGE if number is None else body_of(name, number), group)

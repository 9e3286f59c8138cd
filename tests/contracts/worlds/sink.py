"""The fake that passes messages on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.messages import body_of, number_of, sent
from contracts.worlds.sides import LocalClouds, TargetWorld

from fakes.memory import Fate, lost
from fakes.queue import Sink, SinkTarget
from fakes.targets import open_delivery
from replicator.messages import Message
from replicator.model import Change

LIFETIME_S = 0.05
REFUSED = "too large"


@asynccontextmanager
async def sink(_: LocalClouds) -> AsyncIterator[TargetWorld[Message]]:
    """A consumer finds each message once, as if what came twice were dropped."""
    fates: list[Fate] = []
    passed = Sink(refuses=lambda message: REFUSED if message.body == REFUSED else None)
    passed.service.fate = lambda *_: fates.pop() if fates else Fate()

    async def held() -> dict[str, int]:
        return {message.id: number_of(message.body) for message in passed.first_order}

    async def consumed() -> list[str]:
        return [message.id for message in passed.first_order]

    def lose_next(lands_s: float | None) -> None:
        fates.append(lost(float("inf") if lands_s is None else lands_s))

    target = SinkTarget(passed, open_delivery(0.03, 8, lifetime_s=LIFETIME_S))
    yield TargetWorld(
        target, lambda name, number: sent(name, body_of(name, number)), str, held, sent("refused", REFUSED),
        in_group=in_group, consumed=consumed, lose_next=lose_next, lifetime_s=LIFETIME_S,
    )  # fmt: skip


def in_group(group: str, name: str, number: int | None) -> Change[Message]:
    """One that keeps its order; without a number one that is refused."""
    return sent(name, REFUSED if number is None else body_of(name, number), group)

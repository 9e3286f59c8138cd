"""The fake queue."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.messages import body_of, group_of, state_of
from contracts.worlds.sides import LocalClouds, SourceWorld

from fakes.queue import QueueSource, ScriptedQueue
from replicator.messages import Message
from replicator.model import Mode

VISIBILITY_S = 2.0


@asynccontextmanager
async def queue(_: LocalClouds) -> AsyncIterator[SourceWorld[Message]]:
    """Two receivers, groups in order."""
    sent = ScriptedQueue(random.Random(1), visibility_s=VISIBILITY_S)
    ids: dict[str, str] = {}

    async def put(name: str, number: int) -> None:
        ids[name] = sent.send(body=body_of(name, number))

    async def put_in_group(group: str, name: str, number: int) -> None:
        ids[name] = sent.send(group, body_of(name, number))

    @asynccontextmanager
    async def opened(mode: Mode) -> AsyncIterator[QueueSource]:
        yield QueueSource(sent, mode, pause_s=0.01)

    yield SourceWorld(
        opened, put, ids.__getitem__, state_of, put_in_group=put_in_group, group_of=group_of,
        hold_s=VISIBILITY_S / 3, again_s=VISIBILITY_S,
    )  # fmt: skip

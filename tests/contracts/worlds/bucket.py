"""The fake bucket: records that are listed and looked up, and events about them."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.documents import KEY_NAMES, state_of
from contracts.worlds.sides import LocalClouds, SourceWorld

from fakes.bucket import LookingSource, ScriptedBucket
from fakes.records import key_of
from replicator.documents import Document
from replicator.model import Mode

VISIBILITY_S = 3.0
HOLD_S = 2.0
"""Longer than a second, by which commit times are rounded: a claim too far would not be seen."""


@asynccontextmanager
async def bucket(_: LocalClouds) -> AsyncIterator[SourceWorld[Document]]:
    """Two receivers; events are a little late."""
    held = ScriptedBucket(random.Random(1), late_s=0.2, visibility_s=VISIBILITY_S)

    async def put(name: str, number: int) -> None:
        held.put(name, number)

    async def delete(name: str) -> None:
        held.delete(name)

    @asynccontextmanager
    async def opened(_: Mode) -> AsyncIterator[LookingSource]:
        yield LookingSource(held, latency_s=0.002, pause_s=0.01, page=2)

    yield SourceWorld(opened, put, key_of, state_of, delete, key_names=KEY_NAMES, hold_s=HOLD_S, again_s=VISIBILITY_S)

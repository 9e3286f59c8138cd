"""The fake table with a log."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.documents import KEY_NAMES, state_of
from contracts.worlds.sides import LocalClouds, SourceWorld

from fakes.records import key_of
from fakes.scripted import ScriptedSource, ScriptedTable
from replicator.documents import Document
from replicator.model import Mode


@asynccontextmanager
async def scripted(_: LocalClouds) -> AsyncIterator[SourceWorld[Document]]:
    """Two shards and a clock that is ahead."""
    table = ScriptedTable(random.Random(1), shards=2, ahead_s=3.3)
    table.visible_within_s = 0.02

    async def put(name: str, number: int) -> None:
        table.put(name, number)

    async def delete(name: str) -> None:
        table.delete(name)

    async def close_log() -> None:
        for shard in table.open_shards():
            table.split(shard.id)

    async def trim() -> None:
        for id_ in table.shards:
            table.trim(id_)

    @asynccontextmanager
    async def opened(_: Mode) -> AsyncIterator[ScriptedSource]:
        yield ScriptedSource(table, latency_s=0.002, pause_s=0.01, page=2)

    yield SourceWorld(opened, put, key_of, state_of, delete, close_log=close_log, trim=trim, key_names=KEY_NAMES)

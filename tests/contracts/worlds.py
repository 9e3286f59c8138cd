"""How the contract suites are given the sources and targets they are run against.

A factory is an async context manager. Add the real ones to `SOURCES` and `TARGETS`, by a name for the test's id:

    @asynccontextmanager
    async def dynamodb() -> AsyncIterator[SourceWorld]:
        ...create a table with a stream, wait until it is active...
        async with source_kind.open(config, SourceContext("test", telemetry)) as source:
            yield SourceWorld(source, put=..., delete=..., close_log=None)

    SOURCES["dynamodb"] = dynamodb

Records are documents with the key attribute `id` (text) and a `number`. What a world cannot do is None: the tests that
need it are skipped and say so. Durations are small where the thing is a fake; a real service may need `patience_s`.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from fakes.memory import Entry, Fate, MemoryService, MemoryTarget, lost
from fakes.records import document, upsert
from fakes.scripted import ScriptedSource, ScriptedTable
from replicator.clocks import elapsed_s, utc_now
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.documents import Document
from replicator.model import Change
from replicator.ports import Source, Target
from replicator.telemetry import Metrics, PipelineTelemetry


@dataclass
class SourceWorld:
    """A source, not connected yet, over an empty table.

    `put` brings a record to a state, `delete` removes it. `close_log` ends the log's present partitions so that others
    continue them; `trim` makes it forget what it holds now; a change can be read within `patience_s`.
    """

    source: Source[Document]
    put: Callable[[str, int], Awaitable[None]]
    delete: Callable[[str], Awaitable[None]]
    close_log: Callable[[], Awaitable[None]] | None = None
    trim: Callable[[], Awaitable[None]] | None = None
    patience_s: float = 5.0


@dataclass
class TargetWorld:
    """A target, neither connected nor created, where nothing is held.

    `held` is what a reader finds; `put_foreign` writes an entry that is not ours; `lose_next` makes the answer to the
    next write disappear: it takes effect after `lands_s`, or never (None). `refused` is a change it can never take.
    """

    target: Target[Document]
    held: Callable[[], Awaitable[dict[str, Document]]]
    put_foreign: Callable[[str], Awaitable[None]] | None = None
    lose_next: Callable[[float | None], None] | None = None
    refused: Change[Document] | None = None
    lifetime_s: float = 0.05


SourceFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[SourceWorld]]
TargetFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[TargetWorld]]


@asynccontextmanager
async def scripted() -> AsyncIterator[SourceWorld]:
    """The fake source."""
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

    source = ScriptedSource(table, latency_s=0.002, pause_s=0.01)
    yield SourceWorld(source, put, delete, close_log, trim)


@asynccontextmanager
async def memory() -> AsyncIterator[TargetWorld]:
    """The fake target."""
    fates: list[Fate] = []
    service = MemoryService(epoch_s=utc_now().timestamp() - elapsed_s())
    service.fate = lambda kind, _: fates.pop() if fates and kind in {"write", "guarded"} else Fate()
    service.refuses = lambda change: "refused" if change.record.get("id") == "refused" else None
    fence = Fence(0.05)
    fence.extend(float("inf"))
    delivery = Delivery(
        limiter=AdaptiveLimiter(8),
        budget=RateBudget(None),
        fence=fence,
        timeout_s=0.03,
        telemetry=PipelineTelemetry(Metrics(), "contract"),
        backoff=Backoff(0.001, 0.002),
    )

    async def held() -> dict[str, Document]:
        found = {key: service.visible(key) for key, entry in service.entries.items() if not entry.foreign}
        return {key: record for key, record in found.items() if record is not None}

    async def put_foreign(name: str) -> None:
        service.entries[name] = Entry(f"f{next(service.etags)}", document(name, 0), foreign=True)

    def lose_next(lands_s: float | None) -> None:
        fates.append(lost(float("inf") if lands_s is None else lands_s))

    yield TargetWorld(
        MemoryTarget(service, delivery), held, put_foreign, lose_next, refused=upsert("refused", 1), lifetime_s=0.05
    )


SOURCES: dict[str, SourceFactory] = {"scripted": scripted}
TARGETS: dict[str, TargetFactory] = {"memory": memory}

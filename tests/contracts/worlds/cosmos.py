"""A Cosmos DB container, on a server of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.documents import KEY_NAMES, numbers, with_text
from contracts.worlds.sides import LocalClouds, TargetWorld

from fakes import cosmos as fakes
from fakes.records import delete, document, key_of, upsert
from replicator.documents import Document, digest
from sandbox.cosmos import CosmosServer, Fault, Settings
from sandbox.cosmos.wire import JsonObject

LIFETIME_S = 0.5


@asynccontextmanager
async def cosmos(_: LocalClouds) -> AsyncIterator[TargetWorld[Document]]:
    """The real target and the real SDK."""
    async with (
        CosmosServer(settings=Settings(partitions=3)) as server,
        fakes.bench(server, lifetime_s=LIFETIME_S, timeout_s=LIFETIME_S / 2) as bench,
    ):

        async def held() -> dict[str, int]:
            return numbers(fakes.held(server, KEY_NAMES))

        async def put_foreign(name: str) -> None:
            fakes.put(server, {"id": name, "number": 0})

        async def put_leftover(name: str) -> None:
            note: JsonObject = {"v": 1, "digest": digest(document(name, 0)), "version": ""}
            fakes.put(server, {"id": f"once {name}", "id_": name, "number": 0, "_replicator": note})

        def lose_next(lands_s: float | None) -> None:  # of all but queries and lists
            lost = Fault(operation="item.[!ql]*", count=1, delay_s=lands_s or 0.0, cut=lands_s is None)
            server.faults.add(lost)

        yield TargetWorld(
            bench.target, upsert, key_of, held, with_text(upsert("refused", 1), "x" * 2**21), delete,
            put_foreign=put_foreign, put_leftover=put_leftover, lose_next=lose_next,
            key_names=KEY_NAMES, lifetime_s=LIFETIME_S,
        )  # fmt: skip

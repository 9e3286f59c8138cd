"""How the contract suites are given the sources and targets they are run against.

A factory is an async context manager that is given the local AWS, or Azurite, started for the first that asks for it.
To run the suites against another source or target, add its factory to `SOURCES` or `TARGETS`, by a name for the test's
id.

Records are documents with the key attribute `id` (text) and a `number`. What a world cannot do is None: the tests that
need it are skipped and say so. Durations are small where the thing is a fake; a real service may need `patience_s`.
"""

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiobotocore.session import get_session
from anyio.from_thread import start_blocking_portal

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import DynamoDbSource, open_source
from fakes import blobs as blob_fakes
from fakes import cosmos as cosmos_fakes
from fakes.as_objects import AsObjects, as_document
from fakes.memory import Entry, Fate, MemoryService, MemoryTarget, lost
from fakes.records import document, upsert
from fakes.scripted import ScriptedSource, ScriptedTable
from replicator.clocks import elapsed_s, utc_now
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.documents import Document, digest
from replicator.model import Change
from replicator.ports import Source, Target
from replicator.registry import SourceContext
from replicator.telemetry import Metrics, PipelineTelemetry
from sandbox.aws import AwsServer
from sandbox.azurite import Azurite
from sandbox.cosmos import CosmosServer, Fault, Settings
from sandbox.cosmos.wire import JsonObject
from sandbox.faults import FaultProxy
from sandbox.faults.rules import CutBefore, HoldDelivery


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

    `held` is what a reader finds; `put_foreign` writes an entry that is not ours, `put_leftover` a record of ours where
    it does not belong; `lose_next` makes the answer to the next write disappear: it takes effect after `lands_s`, or
    never (None). `refused` is a change it can never take. `holds_off`: records may expire, and while copying a delete
    leaves a tombstone.
    """

    target: Target[Document]
    held: Callable[[], Awaitable[dict[str, Document]]]
    put_foreign: Callable[[str], Awaitable[None]] | None = None
    put_leftover: Callable[[str], Awaitable[None]] | None = None
    lose_next: Callable[[float | None], None] | None = None
    refused: Change[Document] | None = None
    lifetime_s: float = 0.05
    holds_off: bool = True


LocalAws: TypeAlias = Callable[[], AwsServer]
SourceFactory: TypeAlias = Callable[[LocalAws], AbstractAsyncContextManager[SourceWorld]]
LocalBlobs: TypeAlias = Callable[[], Azurite]
TargetFactory: TypeAlias = Callable[[LocalBlobs], AbstractAsyncContextManager[TargetWorld]]


@asynccontextmanager
async def scripted(_: LocalAws) -> AsyncIterator[SourceWorld]:
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

    source = ScriptedSource(table, latency_s=0.002, pause_s=0.01, page=2)
    yield SourceWorld(source, put, delete, close_log, trim)


@asynccontextmanager
async def memory(_: LocalBlobs) -> AsyncIterator[TargetWorld]:
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
        ours = [key for key, entry in service.entries.items() if not (entry.foreign or entry.leftover)]
        found = {key: service.visible(key) for key in ours}
        return {key: record for key, record in found.items() if record is not None}

    async def put_foreign(name: str) -> None:
        service.entries[name] = Entry(f"f{next(service.etags)}", document(name, 0), foreign=True)

    async def put_leftover(name: str) -> None:
        service.entries[f"once {name}"] = Entry(f"l{next(service.etags)}", document(name, 0), leftover=True)

    def lose_next(lands_s: float | None) -> None:
        fates.append(lost(float("inf") if lands_s is None else lands_s))

    target, refused = MemoryTarget(service, delivery), upsert("refused", 1)
    yield TargetWorld(target, held, put_foreign, put_leftover, lose_next, refused=refused, lifetime_s=0.05)


TABLES = itertools.count()


@asynccontextmanager
async def dynamodb(aws: LocalAws) -> AsyncIterator[SourceWorld]:
    """The real source and the real client, on a table of its own in the local AWS, whose stream is one shard."""
    server = aws()
    access = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    table = f"contract-{next(TABLES)}"
    config = DynamoDbSourceConfig(
        type="dynamodb", table=table, endpoint=server.endpoint, region=server.region, max_read_units=100_000,
        poll_interval_s=0.05, idle_margin_s=0.1, segments=3,
    )  # fmt: skip
    telemetry = PipelineTelemetry(Metrics(), "contract")
    endpoint: dict[str, Any] = {"endpoint_url": server.endpoint, "region_name": server.region, **access}
    async with get_session().create_client("dynamodb", **endpoint) as client:
        await client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

        async def put(name: str, number: int) -> None:
            await client.put_item(TableName=table, Item={"id": {"S": name}, "number": {"N": str(number)}})

        async def delete(name: str) -> None:
            await client.delete_item(TableName=table, Key={"id": {"S": name}})

        async with open_source(config, SourceContext("contract", telemetry)) as source:
            _small_pages(source)
            yield SourceWorld(source, put, delete, patience_s=20.0)


def _small_pages(source: DynamoDbSource) -> None:
    """A few records would fit into one page, and there would be nothing to resume after."""
    sizes = itertools.cycle((2, 1, 3))

    def limited(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "Limit": next(sizes)}

    table: Any = source._table_client
    streams: Any = source._streams_client
    table.meta.events.register("provide-client-params.dynamodb.Scan", limited)
    streams.meta.events.register("provide-client-params.dynamodb-streams.GetRecords", limited)


@asynccontextmanager
async def cosmos(_: LocalBlobs) -> AsyncIterator[TargetWorld]:
    """The real target and the real SDK, on a server of its own."""
    lifetime_s = 0.5
    async with (
        CosmosServer(settings=Settings(partitions=3)) as server,
        cosmos_fakes.bench(server, lifetime_s=lifetime_s, timeout_s=lifetime_s / 2) as bench,
    ):

        async def held() -> dict[str, Document]:
            return cosmos_fakes.held(server, ("id",))

        async def put_foreign(name: str) -> None:
            cosmos_fakes.put(server, {"id": name, "number": 0})

        async def put_leftover(name: str) -> None:
            note: JsonObject = {"v": 1, "digest": digest(document(name, 0)), "version": ""}
            cosmos_fakes.put(server, {"id": f"once {name}", "id_": name, "number": 0, "_replicator": note})

        def lose_next(lands_s: float | None) -> None:  # of all but queries and lists
            lost = Fault(operation="item.[!ql]*", count=1, delay_s=lands_s or 0.0, cut=lands_s is None)
            server.faults.add(lost)

        too_large = upsert("refused", 1)
        too_large.record["text"] = "x" * 2**21
        yield TargetWorld(
            bench.target, held, put_foreign, put_leftover, lose_next, refused=too_large, lifetime_s=lifetime_s
        )


SOURCES: dict[str, SourceFactory] = {"scripted": scripted, "dynamodb": dynamodb}


@asynccontextmanager
async def blob(blobs: LocalBlobs) -> AsyncIterator[TargetWorld]:
    """The real target of objects and the real SDK, on a container of its own in Azurite; see `fakes.as_objects`."""
    server, lifetime_s = blobs(), 0.5
    proxied = FaultProxy("127.0.0.1", server.port)  # in a thread: only the task that has entered it may leave it
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(proxied) as proxy:
        to = f"{proxy.endpoint}/{server.account_name}"
        async with blob_fakes.bench(server, to=to, lifetime_s=lifetime_s) as bench:
            yield _blob_world(bench, proxy, lifetime_s)


def _blob_world(bench: blob_fakes.Bench, proxy: FaultProxy, lifetime_s: float) -> TargetWorld:
    async def held() -> dict[str, Document]:
        found = await bench.held()
        return {name: as_document(name, content) for name, content in found.items() if name.startswith("{")}

    async def put_foreign(name: str) -> None:
        await bench.container.upload_blob(name, b"theirs", overwrite=True)

    def lose_next(lands_s: float | None) -> None:
        for method in ("PUT", "DELETE"):
            proxy.inject(CutBefore() if lands_s is None else HoldDelivery(seconds=lands_s), method=method, count=1)

    refused = upsert("refused", 1)
    refused.record["text"] = "x" * 9000
    return TargetWorld(
        AsObjects(bench.target),
        held,
        put_foreign,
        None,
        lose_next,
        refused=refused,
        lifetime_s=lifetime_s,
        holds_off=False,
    )


TARGETS: dict[str, TargetFactory] = {"memory": memory, "cosmos": cosmos, "blob": blob}

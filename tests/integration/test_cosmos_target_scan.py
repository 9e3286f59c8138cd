"""Reading a whole Cosmos DB container, removing what is not ours, and finishing a copy, page by page."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.scanning import PAGE
from connectors.azure.cosmos.writing import as_write
from fakes import cosmos
from fakes.cosmos import KEY_NAMES, Bench, order, order_key, put, removal
from replicator.model import Change, Listed, Rule
from sandbox.cosmos import CosmosServer, Fault, Settings
from sandbox.cosmos.wire import JsonObject

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

MANY = 2 * PAGE + 100
"""In one of two physical partitions there is more than a page in any case."""

RULES = MappingRules(KEY_NAMES, KEY_NAMES, ("/customer",))
LATER = timedelta(hours=1)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with CosmosServer(settings=Settings(partitions=2)) as server, cosmos.ready(server) as made:
        yield made


def fill(bench: Bench, changes: list[Change[Any]], rule: Rule) -> None:
    """Writes documents as the target would, past the SDK, which takes longer."""
    for change in changes:
        write = as_write(change, rule, RULES, datetime.now(UTC))
        assert write is not None
        put(bench.server, write.document.body)


async def listed(bench: Bench, position: str | None = None) -> list[Listed]:
    async with aclosing(bench.target.scan(position)) as pages:
        return [page async for page in pages]


def keys(pages: list[Listed]) -> list[str]:
    return [key for page in pages for key in page.keys]


async def test_a_scan_shows_everything_once_and_resumes_in_the_middle_of_a_partition(bench: Bench) -> None:
    changes = [order(f"c{n}", "1") for n in range(MANY)]
    fill(bench, changes, Rule.FOLLOW)
    pages = await listed(bench)
    assert len(pages) >= 4
    assert max(len(page.keys) for page in pages) == PAGE
    assert sorted(keys(pages)) == sorted(c.key for c in changes)
    for done, page in enumerate(pages, start=1):
        assert keys(await listed(bench, page.position)) == keys(pages[done:])


async def test_a_sweep_finishes_however_much_was_held_off(bench: Bench) -> None:
    gone = [removal(f"c{n}", "1") for n in range(PAGE + 30)]
    expiring = [order(f"e{n}", "1", expires_at=datetime.now(UTC) + LATER) for n in range(PAGE + 30)]
    fill(bench, gone + expiring, Rule.OVERLAP)
    fill(bench, [order("left", "alone")], Rule.OVERLAP)
    counts: list[int] = []
    await bench.target.sweep(counts.append)
    assert sum(counts) == len(gone) + len(expiring)
    assert set(bench.held()) == {c.key for c in expiring} | {order_key("left", "alone")}
    assert len(bench.bodies()) == len(expiring) + 1
    assert bench.sent("item.delete") == {"204": len(gone)}
    assert bench.sent("item.patch") == {"200": len(expiring)}


async def test_a_sweep_leaves_alone_what_changes_meanwhile(bench: Bench) -> None:
    """Whoever has written the document since has finished it by the rule that holds now."""
    fill(bench, [removal("a", "1"), order("a", "2", expires_at=datetime.now(UTC) + LATER)], Rule.OVERLAP)
    server = bench.server
    server.faults.add(Fault(operation="item.delete", count=1, status=412))
    server.faults.add(Fault(operation="item.patch", count=1, status=404))
    await bench.target.sweep(lambda _: None)
    assert set(bench.held()) == {order_key("a", "2")}
    assert bench.sent("item.delete") == {"412": 1, "204": 1}, "still held off, so it is taken up again"


FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retry_after_ms": 5}, {"status": 449}, {"status": 410}, {"status": 503},
    {"status": 408}, {"cut": True}, {"cut": True, "when": "after"},
]  # fmt: skip


@pytest.mark.parametrize("operation", ["pkranges.list", "item.query", "container.read"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_reading_everything_survives_faults(bench: Bench, operation: str, fault: dict[str, Any]) -> None:
    """Also of the requests that the SDK makes on its own, to know where the partitions are."""
    changes = [order(f"c{n}", "1") for n in range(30)]
    fill(bench, [*changes, removal("gone", "1")], Rule.OVERLAP)
    async with cosmos.bench(bench.server) as anew:
        await anew.target.connect(KEY_NAMES)
        struck = bench.server.faults.add(Fault(operation=operation, count=2, **fault))
        assert sorted(keys(await listed(anew))) == sorted([order_key("gone", "1"), *(c.key for c in changes)])
        await anew.target.sweep(lambda _: None)
        assert not await anew.target.is_empty()
        assert bench.server.faults.struck(struck) == 2 or operation == "container.read"
    assert len(bench.bodies()) == 30


FOREIGN: list[dict[str, Any]] = [
    {"id": "text", "customer": "c"}, {"id": "number", "customer": 7}, {"id": "fraction", "customer": 0.1},
    {"id": "boolean", "customer": True}, {"id": "null", "customer": None}, {"id": "absent"},
    {"id": "empty", "customer": ""}, {"id": "ü ~%41", "customer": "日本"},
    {"id": "no sidecar", "customer": "c", "order_id": "1"},
]  # fmt: skip


async def test_foreign_documents_are_removed_whatever_their_partition_key(bench: Bench) -> None:
    """Also where it is null, or not there at all, which are two different logical partitions."""
    fill(bench, [order("a", "1")], Rule.FOLLOW)
    for body in FOREIGN:
        put(bench.server, body)
    handles = [handle for page in await listed(bench) for handle in page.foreign]
    assert len(handles) == len(FOREIGN)
    await bench.target.remove_foreign(handles)
    assert [body["id"] for body in bench.bodies()] == ["a|1"]


async def test_foreign_documents_are_removed_from_hierarchical_partitions() -> None:
    paths = ("/customer", "/order_id", "/id")
    async with CosmosServer() as server, cosmos.ready(server, partition_key=paths) as bench:
        bodies: list[JsonObject] = [{"id": "1"}, {"id": "2", "customer": "c"}, {"id": "3", "order_id": None}]
        for body in bodies:
            put(server, body)
        handles = [handle for page in await listed(bench) for handle in page.foreign]
        assert len(handles) == 3
        await bench.target.remove_foreign(handles)
        assert bench.bodies() == []


async def test_a_document_of_ours_that_was_made_unreadable_counts_as_foreign(bench: Bench) -> None:
    """It has no key any more by which the source could be asked."""
    fill(bench, [order("a", "1")], Rule.FOLLOW)
    (body,) = bench.bodies()
    del body["order_id"]
    put(bench.server, body)
    (page,) = await listed(bench)
    assert (page.keys, len(page.foreign)) == ((), 1)


async def test_paging_needs_no_more_requests_than_pages(bench: Bench) -> None:
    fill(bench, [order(f"c{n}", "1") for n in range(MANY)], Rule.FOLLOW)
    pages = await listed(bench)
    assert bench.sent("item.query") == {"200": len(pages)}

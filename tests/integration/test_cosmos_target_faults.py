"""What becomes of writes to Cosmos DB when a request fails: each attempt of ours is one request, none is lost.

The real SDK over sockets. Faults of the service are the local server's own; those of the wire are the fault proxy's.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fakes import cosmos
from fakes.cosmos import KEY_NAMES, Bench, order, order_key, removal
from replicator.documents import Document
from replicator.errors import ForeignOwnerError
from replicator.model import ABSENT, Change, GuardedResult, Rule
from replicator.telemetry.pipeline import TARGET
from sandbox.cosmos import CosmosServer, Fault
from sandbox.faults import CutAfter, CutBefore, FaultProxy, HoldDelivery, Pass, Stall

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

LONG_S = 30.0
"""No test waits so long, however slow the machine."""

LIFETIME_S = 0.3
"""Where a request's lifetime is waited out."""

A = order_key("a", "1")
DOCUMENTS = "/docs"

WRITES: dict[str, tuple[Rule, list[Change[Document]]]] = {
    "item.create": (Rule.COPY, [order("b", "1")]),
    "item.upsert": (Rule.FOLLOW, [order("a", "1", 2)]),
    "item.batch": (Rule.FOLLOW, [order("a", "1", 2), order("a", "2")]),
    "item.delete": (Rule.FOLLOW, [removal("a", "1")]),
}

BEFORE_OR_AFTER = ("before", "after")
SURELY_NOT: dict[str, dict[str, Any]] = {
    "ThrottledError": {"status": 429, "retry_after_ms": 60},
    "TransientError 449": {"status": 449},
    "TransientError 410": {"status": 410},
    "TransientError split": {"status": 410, "substatus": 1002},
    "TransientError behind": {"status": 404, "substatus": 1002},
    "OwnerMissingError": {"status": 404, "substatus": 1003},
    "AccessError 401": {"status": 401},
    "AccessError 403": {"status": 403},
}
PERHAPS: list[dict[str, Any]] = [{"status": 503}, {"status": 408}, {"status": 500}, {"cut": True}]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One order is there."""
    async with CosmosServer() as server, seeded(server) as made:
        yield made


@pytest.fixture
async def brief() -> AsyncIterator[Bench]:
    """The same, and what a request of unknown outcome may still do is soon over."""
    async with CosmosServer() as server, seeded(server, lifetime_s=LIFETIME_S) as made:
        yield made


@asynccontextmanager
async def seeded(server: CosmosServer, **settings: Any) -> AsyncIterator[Bench]:
    async with cosmos.ready(server, **{"lifetime_s": LONG_S, "timeout_s": LONG_S, **settings}) as made:
        await made.target.apply([order("a", "1", 1)], Rule.FOLLOW)
        server.clear_stats()
        yield made


@asynccontextmanager
async def through_proxy(**settings: Any) -> AsyncIterator[tuple[Bench, FaultProxy]]:
    """One order is there, and the connection it went through is kept alive."""
    async with CosmosServer() as server:
        port = int(server.endpoint.rstrip("/").rsplit(":", 1)[1])
        async with (
            FaultProxy("127.0.0.1", port, rewrite_authority=True) as proxy,
            seeded(server, to=proxy.endpoint, **settings) as made,
        ):
            yield made, proxy


def expected(changes: list[Change[Document]]) -> dict[str, Document]:
    """What is held after these, on top of the one that was there."""
    held = {A: order("a", "1", 1).record}
    for change in changes:
        held.pop(change.key, None)
        if "number" in change.record:
            held[change.key] = change.record
    return held


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("kind", SURELY_NOT)
async def test_a_refusal_without_effect_is_repeated_and_leaves_no_doubt(
    bench: Bench, operation: str, kind: str
) -> None:
    rule, changes = WRITES[operation]
    fault = Fault(operation=operation, count=2, **SURELY_NOT[kind])
    bench.server.faults.add(fault)
    begun = anyio.current_time()
    assert await bench.target.apply(changes, rule) == []
    assert anyio.current_time() - begun >= 2 * (fault.retry_after_ms or 0) / 1000, "the service's own wish"
    assert bench.held() == expected(changes)
    assert bench.retried() == {kind.partition(" ")[0]: 2}
    assert len(bench.delivery.suspects) == 0
    sent = bench.sent(operation)
    assert sent.pop(str(fault.status)) == 2
    assert sum(sent.values()) == 1, "one request for each attempt"


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("when", BEFORE_OR_AFTER)
@pytest.mark.parametrize("fault", PERHAPS, ids=str)
async def test_an_unknown_outcome_is_repeated_and_remembered(
    bench: Bench, operation: str, when: Any, fault: dict[str, Any]
) -> None:
    """Whether it took effect or not: the same write again is harmless, a later one of the key has to wait."""
    rule, changes = WRITES[operation]
    bench.server.faults.add(Fault(operation=operation, count=1, when=when, **fault))
    assert await bench.target.apply(changes, rule) == []
    assert bench.held() == expected(changes)
    assert bench.retried() == {"AmbiguousError": 1}
    assert len(bench.delivery.suspects) == len(changes)
    assert sum(bench.sent(operation).values()) == 2, "one request for each attempt"


async def test_a_copied_batch_whose_answer_was_lost_is_found_to_be_there(brief: Bench) -> None:
    """Repeated, it is refused as a whole, then, as that is another write, row by row once the first one is over."""
    rows = [order("b", str(n)) for n in range(8)]
    brief.server.faults.add(Fault(operation="item.batch", count=1, when="after", cut=True))
    assert await brief.target.apply(rows, Rule.COPY) == []
    assert brief.held() == expected(rows)
    assert brief.sent("item.batch") == {"0": 1, "207": 7}
    assert brief.sent("item.create") == {"409": 8}


async def replace_a(bench: Bench) -> GuardedResult:
    observed = await bench.target.observe([A])
    bench.server.clear_stats()
    return await bench.target.replace({A: order("a", "1", 2)}, observed, Rule.FOLLOW)


@pytest.mark.parametrize("kind", SURELY_NOT)
async def test_a_guarded_write_refused_without_effect_is_repeated(bench: Bench, kind: str) -> None:
    bench.server.faults.add(Fault(operation="item.replace", count=2, **SURELY_NOT[kind]))
    assert await replace_a(bench) == GuardedResult()
    assert bench.held() == expected([order("a", "1", 2)])
    assert sum(bench.sent("item.replace").values()) == 3


@pytest.mark.parametrize("when", BEFORE_OR_AFTER)
@pytest.mark.parametrize("fault", PERHAPS, ids=str)
async def test_a_guarded_write_of_unknown_outcome_is_not_repeated(
    brief: Bench, when: Any, fault: dict[str, Any]
) -> None:
    """Its condition would no longer say what it said: the key is looked at again, when nothing can change it."""
    brief.server.faults.add(Fault(operation="item.replace", count=1, when=when, **fault))
    begun = anyio.current_time()
    assert (await replace_a(brief)).conflicts == (A,)
    assert anyio.current_time() - begun >= LIFETIME_S
    assert brief.held() == expected([order("a", "1", 2)] if when == "after" else [])
    assert sum(brief.sent("item.replace").values()) == 1


async def test_a_document_the_replica_does_not_know_yet_is_not_taken_for_absent(bench: Bench) -> None:
    """404 with sub status 1002. A repair would delete nothing, and call it done."""
    bench.server.faults.add(Fault(operation="item.read", count=1, status=404, substatus=1002))
    assert (await bench.target.observe([A]))[A] != ABSENT


@pytest.mark.parametrize("cut", [CutBefore(), CutAfter()], ids=lambda c: c.kind)
@pytest.mark.parametrize("operation", WRITES)
async def test_a_connection_lost_under_a_request_is_noticed_not_repeated_in_silence(
    cut: CutBefore | CutAfter, operation: str
) -> None:
    """The HTTP client would send a PUT or DELETE once more by itself when a kept-alive connection breaks."""
    rule, changes = WRITES[operation]
    async with through_proxy() as (bench, proxy):
        seen = proxy.inject(Pass(), path=DOCUMENTS)
        proxy.inject(cut, path=DOCUMENTS, count=1)
        assert await bench.target.apply(changes, rule) == []
        assert bench.held() == expected(changes)
        assert bench.retried() == {"AmbiguousError": 1}
        assert seen.hits == 2
        assert sum(bench.sent(operation).values()) == (2 if cut.kind == "cut_after" else 1)
        seen.lift()


@pytest.mark.parametrize("cut", [CutBefore(), CutAfter()], ids=lambda c: c.kind)
async def test_a_guarded_write_is_sent_once_over_a_broken_connection(cut: CutBefore | CutAfter) -> None:
    """Sent again it would be refused, its own effect taken for somebody else's."""
    async with through_proxy(lifetime_s=LIFETIME_S) as (bench, proxy):
        put = proxy.inject(cut, method="PUT", path=DOCUMENTS)
        assert (await replace_a(bench)).conflicts == (A,)
        assert put.hits == 1


async def test_a_write_that_lands_late_is_not_the_last_one() -> None:
    """Held back by the network, it takes effect after its repetition; the next change of the key has waited for it."""
    async with through_proxy(lifetime_s=LIFETIME_S) as (bench, proxy):
        proxy.inject(HoldDelivery(), method="POST", path=DOCUMENTS, count=1)
        begun = anyio.current_time()
        await bench.target.apply([order("a", "1", 2)], Rule.FOLLOW)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.target.apply, [order("a", "1", 3)], Rule.FOLLOW)
            await bench.target.apply([order("b", "1", 3)], Rule.FOLLOW)
            assert bench.held() == expected([order("a", "1", 2), order("b", "1", 3)]), "other keys do not wait"
            proxy.release()
            await proxy.settled()
            assert bench.sent("item.upsert") == {"200": 2, "201": 1}, "it has landed, and version 3 is still waiting"
        assert anyio.current_time() - begun >= LIFETIME_S
        assert bench.held() == expected([order("a", "1", 3), order("b", "1", 3)])


async def test_a_delete_that_lands_late_does_not_take_a_new_record_away() -> None:
    async with through_proxy(lifetime_s=LIFETIME_S) as (bench, proxy):
        proxy.inject(HoldDelivery(), method="DELETE", path=DOCUMENTS, count=1)
        await bench.target.apply([removal("a", "1")], Rule.FOLLOW)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.target.apply, [order("a", "1", 3)], Rule.FOLLOW)
            await bench.target.apply([order("b", "1", 3)], Rule.FOLLOW)
            proxy.release()
            await proxy.settled()
        assert bench.held() == expected([order("a", "1", 3), order("b", "1", 3)])


async def test_an_answer_that_does_not_come_in_time_is_an_unknown_outcome() -> None:
    async with through_proxy(timeout_s=0.2) as (bench, proxy):
        proxy.inject(Stall(), path=DOCUMENTS, count=1)
        begun = anyio.current_time()
        assert await bench.target.apply([order("a", "1", 2)], Rule.FOLLOW) == []
        assert anyio.current_time() - begun >= 0.2
        assert set(bench.retried()) == {"AmbiguousError"}
        assert len(bench.delivery.suspects) == 1
        assert bench.held() == expected([order("a", "1", 2)])


async def test_a_service_that_is_not_there_is_waited_for_without_any_doubt() -> None:
    """A connection that was never made has carried nothing."""
    async with CosmosServer(port=free_port()) as server, seeded(server) as bench:
        await server.stop()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.target.apply, [order("a", "1", 2)], Rule.FOLLOW)
            with anyio.fail_after(30):
                while not bench.telemetry.sides[TARGET].degraded:  # noqa: ASYNC110 — there is no event for it
                    await anyio.sleep(0.005)
            assert set(bench.retried()) == {"UnreachableError"}
            assert len(bench.delivery.suspects) == 0
            await server.start()
        assert bench.held() == expected([order("a", "1", 2)])


async def test_a_target_that_throttles_is_given_the_time_it_asks_for(bench: Bench) -> None:
    bench.server.set_budget(40)
    begun = anyio.current_time()
    await bench.target.apply([order(f"c{n}", "1") for n in range(14)], Rule.FOLLOW)
    assert anyio.current_time() - begun >= (14 * 5 - 40) / 40 - 0.2, "the budget, less one write that may overdraw it"
    assert len(bench.held()) == 15
    assert 0 < bench.sent("item.upsert")["429"] <= 14, "asked no more often than it said"
    assert set(bench.retried()) == {"ThrottledError"}


async def test_a_container_that_is_missing_is_waited_for_but_another_one_is_not_written(bench: Bench) -> None:
    """While it is missing nothing is refused for good; one that was made again holds nothing of what was replicated."""
    server = bench.server
    server.account.delete_container(cosmos.DATABASE, cosmos.CONTAINER)
    noticed = pytest.RaisesExc(ForeignOwnerError, match="made again")
    with pytest.RaisesGroup(noticed, flatten_subgroups=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.target.apply, [order("a", "1", 2)], Rule.FOLLOW)
            with anyio.fail_after(30):
                while not bench.telemetry.sides[TARGET].degraded:  # noqa: ASYNC110 — there is no event for it
                    await anyio.sleep(0.005)
            assert set(bench.retried()) == {"OwnerMissingError"}
            async with cosmos.bench(server) as other:
                await other.target.connect(KEY_NAMES)
                await other.target.create()
    assert bench.held() == {}


def free_port() -> int:
    """A port to come back to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

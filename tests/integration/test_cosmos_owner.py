"""A claim holds for one container and one mapping: another container of the same name, or another config, is noticed.

The SDK is no help: it takes up whatever has the container's name, and goes on.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fakes import cosmos
from fakes.cosmos import CONTAINER, DATABASE, KEY_NAMES, Bench, order, removal
from fakes.stores import InlineStore
from replicator.engine.ownership import Claim, Ownership
from replicator.errors import ConfigurationError, ForeignOwnerError
from replicator.model import ABSENT, Marker, PipelineState, Rule, Severity
from sandbox.cosmos import CosmosServer, Fault

pytestmark = pytest.mark.embedded("cosmos", "looks into the server, or steers it")

MARKERS = "replicator"
ONE, TWO = Marker("m", 1, "g1"), Marker("m", 1, "g2")
CHANGE = order("a", "1")


@pytest.fixture
async def server() -> AsyncIterator[CosmosServer]:
    async with CosmosServer() as running:
        yield running


@pytest.fixture
async def store() -> AsyncIterator[InlineStore]:
    async with InlineStore() as opened:
        yield opened


def delete(server: CosmosServer, name: str = CONTAINER) -> None:
    server.account.delete_container(DATABASE, name)


def make_again(server: CosmosServer, name: str = CONTAINER) -> None:
    """Empty, with the same settings."""
    settings = server.account.container(DATABASE, name).properties
    delete(server, name)
    server.account.create_container(DATABASE, {k: v for k, v in settings.items() if not k.startswith("_")})


@asynccontextmanager
async def begun(
    server: CosmosServer, store: InlineStore, *, adopt: bool = False, **settings: Any
) -> AsyncIterator[tuple[Claim, Bench, Callable[[], Awaitable[bool]]]]:
    """A process that has claimed the container, how, and what moves the marker on."""
    async with cosmos.bench(server, lifetime_s=0.1, **settings) as bench:
        await bench.target.connect(KEY_NAMES)
        ownership = Ownership("orders", bench.target, store)
        claim = await ownership.judge(adopt=adopt)
        assert claim is not None
        await bench.target.create()
        await ownership.take(claim)
        shown = await bench.target.read_marker()
        assert shown is not None

        async def beat() -> bool:
            return await bench.target.write_marker(replace(shown, generation="next"), shown)

        yield claim, bench, beat


async def claimed(server: CosmosServer, store: InlineStore, **settings: Any) -> None:
    """By a process that has written something, and ended."""
    async with begun(server, store, **settings) as (claim, bench, _):
        assert claim is Claim.FRESH
        await bench.target.apply([CHANGE], Rule.FOLLOW)


async def refusal(server: CosmosServer, store: InlineStore, **settings: Any) -> str:
    """What a start is refused with; it changes nothing."""
    server.clear_stats()
    with pytest.raises(ConfigurationError) as refused:
        async with begun(server, store, **settings):
            pass
    sent = set(server.stats()["operations"])
    assert not sent & {"container.create", "item.create", "item.upsert", "item.replace"}
    assert "--adopt" in refused.value.fix
    return refused.value.problem


async def goes_on(server: CosmosServer, store: InlineStore, **settings: Any) -> bool:
    """Whether a process takes up where the last one has ended."""
    async with begun(server, store, **settings) as (claim, _, _):
        return claim is Claim.RESUME


# --- another container of the same name ---------------------------------------------------------------------------


async def test_a_container_that_stayed_is_gone_on_with(server: CosmosServer, store: InlineStore) -> None:
    await claimed(server, store)
    assert await goes_on(server, store)


@pytest.mark.parametrize("change", [delete, make_again])
async def test_a_start_after_the_container_was_replaced_is_refused_until_it_is_adopted(
    server: CosmosServer, store: InlineStore, change: Callable[[CosmosServer], None]
) -> None:
    """Whatever does not change again at the source would be missing for ever. The marker lives elsewhere and stays."""
    await claimed(server, store)
    change(server)
    assert "was deleted or replaced" in await refusal(server, store)
    async with begun(server, store, adopt=True) as (claim, bench, _):
        assert claim is Claim.ADOPT
        state = await store.load_pipeline("orders")
        assert state is not None
        assert (state.epoch, state.repairing) == (2, True)
        assert bench.bodies() == []
    assert await goes_on(server, store)


async def test_a_new_migration_may_begin_where_only_the_marker_of_a_former_container_is_left(
    server: CosmosServer, store: InlineStore
) -> None:
    async with InlineStore() as former:
        await claimed(server, former)
        make_again(server)
        await claimed(server, store)
        assert await goes_on(server, store)
        assert "another migration" in await refusal(server, former)


async def test_another_container_is_noticed_at_the_next_beat(server: CosmosServer, store: InlineStore) -> None:
    async with begun(server, store) as (_, _, beat):
        assert await beat()
        make_again(server)
        with pytest.raises(ForeignOwnerError, match=r"container orders .* made again"):
            await beat()
    assert "was deleted or replaced" in await refusal(server, store)


@pytest.mark.parametrize("substatus", [0, 1003])
async def test_a_container_that_is_gone_is_noticed_at_the_next_beat(
    server: CosmosServer, store: InlineStore, substatus: int
) -> None:
    """It never comes back: one that is made again is another one."""
    async with begun(server, store) as (_, _, beat):
        server.faults.add(Fault(operation="container.read", status=404, substatus=substatus))
        with pytest.raises(ForeignOwnerError, match=r"container orders .* deleted"):
            await beat()


async def test_a_beat_waits_while_the_service_does_not_answer(server: CosmosServer, store: InlineStore) -> None:
    async with begun(server, store) as (_, bench, beat):
        for fault in ({"status": 503}, {"status": 429, "retry_after_ms": 1}, {"cut": True}):
            server.faults.add(Fault(operation="container.read", count=1, **fault))
        assert await beat()
        assert sum(bench.retried().values()) == 3


async def scanned(bench: Bench) -> object:
    async with aclosing(bench.target.scan(None)) as pages:
        return [page async for page in pages]


USES: dict[str, Callable[[Bench], Awaitable[object]]] = {
    "create": lambda b: b.target.apply([CHANGE], Rule.COPY),
    "upsert": lambda b: b.target.apply([CHANGE], Rule.FOLLOW),
    "batch": lambda b: b.target.apply([CHANGE, order("a", "2")], Rule.FOLLOW),
    "delete": lambda b: b.target.apply([removal("a", "1")], Rule.FOLLOW),
    "observe": lambda b: b.target.observe([CHANGE.key]),
    "replace": lambda b: b.target.replace({CHANGE.key: CHANGE}, {CHANGE.key: ABSENT}, Rule.FOLLOW),
    "scan": scanned,
    "sweep": lambda b: b.target.sweep(lambda _: None),
    "is_empty": lambda b: b.target.is_empty(),
}


@pytest.mark.parametrize("use", USES)
async def test_no_request_reaches_another_container(server: CosmosServer, store: InlineStore, use: str) -> None:
    """Neither before the next beat nor after it. The SDK would look up what has the name now, and try again there."""
    async with begun(server, store) as (_, bench, _):
        await bench.target.apply([CHANGE], Rule.FOLLOW)
        await scanned(bench)
        make_again(server)
        for _ in range(2):
            noticed = pytest.RaisesExc(ForeignOwnerError, match=r"container orders .* made again")
            with pytest.RaisesGroup(noticed, allow_unwrapped=True, flatten_subgroups=True):
                await USES[use](bench)
        assert bench.bodies() == []


async def test_another_container_for_the_marker_is_noticed_too(server: CosmosServer, store: InlineStore) -> None:
    async with begun(server, store) as (_, _, beat):
        assert await beat()
        make_again(server, MARKERS)
        with pytest.raises(ForeignOwnerError, match=r"container replicator .* made again"):
            await beat()
    assert "marker is gone" in await refusal(server, store)


async def test_two_daemons_of_which_one_has_seen_another_container(server: CosmosServer, store: InlineStore) -> None:
    """The one that began with the former container stops, whoever has claimed the new one."""
    async with begun(server, store) as (_, _, beat), InlineStore() as other:
        make_again(server)
        async with begun(server, other) as (claim, _, _):
            assert claim is Claim.FRESH
            with pytest.raises(ForeignOwnerError):
                await beat()


# --- another mapping ----------------------------------------------------------------------------------------------

OTHER_ID: dict[str, Any] = {"id": ("order_id", "customer")}


async def test_another_id_in_the_config_is_refused_until_it_is_adopted(
    server: CosmosServer, store: InlineStore
) -> None:
    """Every update would write a second document, and every delete miss the first."""
    await claimed(server, store)
    problem = await refusal(server, store, **OTHER_ID)
    assert "id customer, order_id" in problem
    assert "id order_id, customer" in problem
    assert await goes_on(server, store), "with the config as it was"
    async with begun(server, store, adopt=True, **OTHER_ID) as (claim, _, _):
        assert claim is Claim.ADOPT
    assert await goes_on(server, store, **OTHER_ID)
    assert "id order_id, customer" in await refusal(server, store)


@pytest.mark.parametrize(
    "same", [{"id": KEY_NAMES}, {"partition_key": ("/customer",)}, {"partition_key": ('/"customer"',)}], ids=str
)
async def test_another_way_to_write_the_same_config_is_none(
    server: CosmosServer, store: InlineStore, same: dict[str, Any]
) -> None:
    await claimed(server, store)
    assert await goes_on(server, store, **same)


async def test_a_claim_that_was_cut_off_may_be_taken_up_with_another_config(
    server: CosmosServer, store: InlineStore
) -> None:
    """Nothing was written under the first one."""
    async with begun(server, store):
        state = await store.load_pipeline("orders")
        assert state is not None
    await store.begin_epoch("orders", PipelineState(epoch=1, pending_generation=state.generation))
    assert await goes_on(server, store, **OTHER_ID)
    assert await goes_on(server, store, **OTHER_ID)


async def test_check_names_another_mapping(server: CosmosServer, store: InlineStore) -> None:
    await claimed(server, store)
    expected: list[tuple[dict[str, Any], Severity]] = [({}, Severity.NOTE), (OTHER_ID, Severity.ERROR)]
    for settings, severity in expected:
        async with cosmos.bench(server, **settings) as bench:
            await bench.target.connect(KEY_NAMES)
            (found,) = [f for f in await bench.target.check() if f.severity is not Severity.OK]
            assert found.severity is severity
            assert "--adopt" in found.fix


# --- the document of the marker -----------------------------------------------------------------------------------


async def test_the_marker_says_in_plain_words_what_it_is_of(server: CosmosServer) -> None:
    async with cosmos.ready(server) as bench:
        await bench.target.write_marker(ONE, None)
        (item,) = server.account.container(DATABASE, MARKERS).items()
        body = {name: value for name, value in json.loads(item.body).items() if not name.startswith("_")}
        properties = server.account.container(DATABASE, CONTAINER).properties
        names = ["customer", "order_id"]
        assert body == {
            "id": "orders",
            "migration": "m",
            "epoch": 1,
            "generation": "g1",
            "incarnation": properties["_rid"],
            "mapping": {"key": names, "id": names, "partition_key": ["/customer"]},
        }


async def test_a_marker_is_of_nobody_before_the_container_is_there(server: CosmosServer) -> None:
    async with cosmos.ready(server) as bench:
        await bench.target.write_marker(ONE, None)
    delete(server)
    async with cosmos.bench(server) as bench:
        await bench.target.connect(KEY_NAMES)
        assert await bench.target.read_marker() is None
        await bench.target.create()
        assert await bench.target.read_marker() is None
        assert not await bench.target.write_marker(TWO, ONE)
        assert await bench.target.write_marker(TWO, None)
        assert await bench.target.read_marker() == TWO

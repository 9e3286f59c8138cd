"""What every state store promises.

To run it against another store, add a factory to `STORES`: given the request of a test, it returns a function that
opens a store with `async with`; each call of that function opens the *same* state anew, as another process would.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr

from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.opening import open_store
from connectors.azure.state.store import BlobStore
from fakes.stateblobs import MemoryBlobs, MemoryContainer
from fakes.stores import InlineStore
from replicator.clocks import elapsed_s
from replicator.errors import LeaseLostError
from replicator.model import (
    Action,
    Budgets,
    Checkpoint,
    CopyStage,
    DeadLetterSummary,
    LetterCount,
    Outcome,
    Partition,
    Payload,
    Phase,
    PipelineState,
    Rejection,
)
from replicator.ports import StateStore
from replicator.state.contents import Entry, Identity, Remembered, Standing, Standings, Tally
from replicator.state.sqlite import SqliteStore
from sandbox.azurite import Azurite

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[StateStore]]


def sqlite(request: pytest.FixtureRequest) -> Open:
    """One file, opened anew by each call."""
    directory: Path = request.getfixturevalue("tmp_path")
    return lambda: SqliteStore(directory / "state.sqlite")


def blob(request: pytest.FixtureRequest) -> Open:
    """A part of one container of Azurite, by a client of its own for each call."""
    server: Azurite = request.getfixturevalue("azurite")
    config = BlobStateConfig(
        type="blob",
        endpoint=server.endpoint,
        key=SecretStr(server.account_key),
        container="contracts-state",
        prefix=f"{uuid.uuid4().hex}/",
        create=True,
    )
    return lambda: open_store(config)


def memory(_: pytest.FixtureRequest) -> Open:
    """The same store on what stands for a container elsewhere in the tests."""
    container = MemoryContainer()
    return lambda: BlobStore(MemoryBlobs(container))


STORES: dict[str, Callable[[pytest.FixtureRequest], Open]] = {"sqlite": sqlite, "blob": blob, "blob in memory": memory}

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SHORT_S = 0.03
LONG_S = 60.0


@pytest.fixture(params=sorted(STORES))
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens the same state any number of times."""
    return STORES[request.param](request)


@pytest.fixture
async def store(opened: Open) -> AsyncIterator[StateStore]:
    async with opened() as one:
        yield one


async def test_the_identity_of_a_migration_is_minted_once(opened: Open, store: StateStore) -> None:
    first = await store.migration_id()
    assert first
    assert await store.migration_id() == first
    async with opened() as again:
        assert await again.migration_id() == first


async def test_two_processes_mint_one_identity(opened: Open) -> None:
    found: list[str] = []
    async with opened() as one, opened() as other, anyio.create_task_group() as tasks:

        async def ask(store: StateStore) -> None:
            found.append(await store.migration_id())

        tasks.start_soon(ask, one)
        tasks.start_soon(ask, other)
    assert found[0] == found[1]


async def test_a_pipeline_never_started_is_unknown(store: StateStore) -> None:
    assert await store.load_pipeline("orders") is None
    assert await store.load_checkpoints("orders") == []
    assert await store.dead_letters("orders") == []


@pytest.mark.parametrize(
    "state",
    [
        PipelineState(epoch=1),
        PipelineState(
            epoch=7,
            phase=Phase.FAILED,
            copy_stage=CopyStage.SWEPT,
            repairing=True,
            guarding=True,
            copy_started_at=T0,
            copy_finished_at=T0 + timedelta(microseconds=1),
            generation="g",
            pending_generation="p",
            failure="it was näht 'quoted'",
            fence=T0,
            drained_at=T0 + timedelta(seconds=1),
            sealed_at=T0 + timedelta(seconds=2),
        ),
    ],
)
async def test_a_pipeline_state_survives_reopening(opened: Open, store: StateStore, state: PipelineState) -> None:
    await store.save_pipeline("orders", PipelineState(epoch=99))
    await store.save_pipeline("orders", state)
    async with opened() as again:
        assert await again.load_pipeline("orders") == state
        assert await again.load_pipeline("customers") is None


async def _resolve_all(store: StateStore) -> None:
    await store.resolve_dead_letters(await store.dead_letters("orders"))


CHECKPOINTS = [
    Checkpoint(Partition("a", bounded=False)),
    Checkpoint(
        Partition("b", bounded=True, parents=("a", "x,y"), log="stream:2026"),
        position="00012",
        intent="p'",
        finished=True,
        succeeded=True,
        replicated_through=T0,
        records=2**40,
    ),
]


async def test_checkpoints_survive_reopening_exactly(opened: Open, store: StateStore) -> None:
    await store.save_checkpoints("orders", CHECKPOINTS)
    await store.save_checkpoints("customers", CHECKPOINTS[:1])
    async with opened() as again:
        assert sorted(await again.load_checkpoints("orders"), key=lambda c: c.partition.id) == CHECKPOINTS
        assert await again.load_checkpoints("customers") == CHECKPOINTS[:1]


async def test_a_checkpoint_replaces_the_earlier_one_of_its_partition(store: StateStore) -> None:
    await store.save_checkpoints("orders", CHECKPOINTS)
    moved = Checkpoint(CHECKPOINTS[1].partition, position="2")
    await store.save_checkpoints("orders", [moved])
    assert sorted(await store.load_checkpoints("orders"), key=lambda c: c.partition.id) == [CHECKPOINTS[0], moved]


async def test_nothing_to_save_is_no_error(store: StateStore) -> None:
    await store.save_checkpoints("orders", [])
    await store.forget_partitions("orders", [])
    await store.add_dead_letters("orders", "p", [])
    assert await store.resolve_dead_letters([]) == 0


async def test_forgotten_partitions_are_gone_and_others_stay(store: StateStore) -> None:
    await store.save_checkpoints("orders", CHECKPOINTS)
    await store.save_checkpoints("customers", CHECKPOINTS)
    await store.forget_partitions("orders", ["a", "never known"])
    assert await store.load_checkpoints("orders") == CHECKPOINTS[1:]
    assert len(await store.load_checkpoints("customers")) == 2


async def test_a_new_epoch_forgets_everything_of_this_pipeline_only(opened: Open, store: StateStore) -> None:
    for pipeline in ("orders", "customers"):
        await store.save_checkpoints(pipeline, CHECKPOINTS)
        await store.add_dead_letters(pipeline, "a", [Rejection("k", "too large")])
        await store.save_note(pipeline, "verification", "half")
    state = PipelineState(epoch=2, repairing=True)
    await store.begin_epoch("orders", state)
    async with opened() as again:
        assert await again.load_pipeline("orders") == state
        assert await again.load_checkpoints("orders") == []
        assert await again.dead_letters("orders") == []
        assert await again.load_note("orders", "verification") is None
        assert await again.load_note("customers", "verification") == "half"
        assert len(await again.load_checkpoints("customers")) == 2
        assert len(await again.dead_letters("customers")) == 1


async def test_a_note_survives_reopening_and_replaces_the_one_before(opened: Open, store: StateStore) -> None:
    assert await store.load_note("orders", "verification") is None
    for text in ("half", "all"):
        await store.save_note("orders", "verification", text)
    await store.save_note("orders", "foreign", "none")
    async with opened() as again:
        assert await again.load_note("orders", "verification") == "all"
        assert await again.load_note("orders", "foreign") == "none"
        assert await again.load_note("customers", "verification") is None


async def test_the_audit_log_is_read_page_by_page_oldest_first(opened: Open, store: StateStore) -> None:
    done = [Action(T0 + timedelta(seconds=-n), f"actor-{n}", "pause", "orders", "why") for n in range(3)]
    for action in done:
        await store.add_action(action)
    async with opened() as again:
        first, second = await again.actions(limit=2)
        (third,) = await again.actions(after=second.place)
        assert await again.actions(after=third.place) == []
    assert [replace(found, place=0) for found in (first, second, third)] == done


async def test_a_dead_letter_of_a_key_is_counted_up_and_keeps_its_beginning(opened: Open, store: StateStore) -> None:
    await store.add_dead_letters("orders", "a", [Rejection("k", "too large", T0)])
    (before,) = await store.dead_letters("orders")
    await store.add_dead_letters("orders", "b", [Rejection("k", "too deep", T0 + timedelta(seconds=9))])
    async with opened() as again:
        (letter,) = await again.dead_letters("orders")
    assert (letter.pipeline, letter.partition, letter.key) == ("orders", "b", "k")
    assert (letter.reason, letter.count, letter.committed_at) == ("too deep", 2, T0)
    assert letter.first_seen == before.first_seen
    assert letter.last_seen >= before.last_seen


async def test_dead_letters_come_oldest_first_up_to_a_limit(store: StateStore) -> None:
    for key in "cab":
        await store.add_dead_letters("orders", "p", [Rejection(key, "no")])
    await store.add_dead_letters("customers", "p", [Rejection("z", "no")])
    assert [d.key for d in await store.dead_letters("orders")] == ["c", "a", "b"]
    assert [d.key for d in await store.dead_letters("orders", limit=2)] == ["c", "a"]
    assert [d.key for d in await store.dead_letters()] == ["c", "a", "b", "z"]


@pytest.mark.parametrize("pipeline", [None, "orders"])
async def test_dead_letters_are_paged_to_the_end_whatever_becomes_of_them_meanwhile(
    store: StateStore, pipeline: str | None
) -> None:
    """Each once, in the order of the whole list: resolving some, or refusing them again, moves no other one."""
    for number in range(10):
        await store.add_dead_letters("orders", "p", [Rejection(f"{number} {n}", "no", T0) for n in range(3)])
        await store.add_dead_letters("customers", "p", [Rejection(f"{number} 0", "no", T0)])
    whole = [(d.pipeline, d.key) for d in await store.dead_letters(pipeline)]
    assert len(whole) == (30 if pipeline else 40)
    paged: list[tuple[str, str]] = []
    after: str | None = None
    while page := await store.dead_letters(pipeline, limit=7, after=after):
        assert len(page) <= 7
        paged += [(d.pipeline, d.key) for d in page]
        after = page[-1].place
        await store.add_dead_letters("orders", "retry", [Rejection(d.key, "no", T0) for d in page[::2]])
        await store.resolve_dead_letters(page[1::2])
    assert paged == whole


async def test_going_on_behind_what_is_no_place_is_refused(store: StateStore) -> None:
    for place in ("", "k", "2026-01-01 k", "yesterday orders k"):
        with pytest.raises(ValueError, match="no place"):
            await store.dead_letters(after=place)


async def test_of_many_keys_those_with_an_open_dead_letter_are_told(store: StateStore) -> None:
    keys = [f"k{n} \u00e4'\"" for n in range(2000)]
    await store.add_dead_letters("orders", "p", [Rejection(key, "no") for key in keys[:1500]])
    await store.add_dead_letters("customers", "p", [Rejection(key, "no") for key in keys[1500:]])
    found = await store.dead_letters_of("orders", keys)
    assert found == await store.dead_letters("orders", 2000)
    assert {d.key for d in found} == set(keys[:1500])
    assert await store.dead_letters_of("orders", []) == []


async def test_the_summary_tells_since_when_something_is_missing(store: StateStore) -> None:
    assert await store.dead_letter_summary("orders") == DeadLetterSummary()
    later = T0 + timedelta(days=1)
    await store.add_dead_letters("orders", "p", [Rejection("a", "no", later), Rejection("b", "no", T0)])
    await store.add_dead_letters("customers", "p", [Rejection("c", "no", T0 - timedelta(days=9))])
    assert await store.dead_letter_summary("orders") == DeadLetterSummary(2, T0, copied_row=False)
    await store.add_dead_letters("orders", "scan", [Rejection("row", "no")])
    assert await store.dead_letter_summary("orders") == DeadLetterSummary(3, T0, copied_row=True)


async def test_resolved_dead_letters_are_closed(store: StateStore) -> None:
    await store.add_dead_letters("orders", "p", [Rejection("a", "no", T0), Rejection("b", "no", T0)])
    await store.add_dead_letters("customers", "p", [Rejection("a", "no", T0)])
    (letter,) = await store.dead_letters_of("orders", ["a", "never open"])
    assert await store.resolve_dead_letters([letter]) == 1
    assert [d.key for d in await store.dead_letters("orders")] == ["b"]
    assert len(await store.dead_letters("customers")) == 1
    assert await store.resolve_dead_letters([letter]) == 0


async def test_a_dead_letter_that_was_refused_once_more_since_it_was_read_is_not_closed(store: StateStore) -> None:
    """Nor one that has been closed and is open again: what was seen then is not what is missing now."""
    await store.add_dead_letters("orders", "p", [Rejection("a", "no", T0), Rejection("b", "no", T0)])
    seen = await store.dead_letters("orders")
    await store.add_dead_letters("orders", "p", [Rejection("a", "no", T0)])
    await store.resolve_dead_letters([d for d in seen if d.key == "b"])
    await store.add_dead_letters("orders", "p", [Rejection("b", "no", T0)])
    assert await store.resolve_dead_letters(seen) == 0
    assert {d.key: d.count for d in await store.dead_letters("orders")} == {"a": 2, "b": 1}


async def test_dead_letters_are_counted_by_reason_and_by_what_became_of_them(store: StateStore) -> None:
    """Also when they are gone; no reason names its key; another pipeline's are its own."""
    await store.add_dead_letters("orders", "p", [Rejection(k, f"{k} is too large") for k in ("a", "b", "c", "d")])
    await store.add_dead_letters("orders", "p", [Rejection("e", "no such tier")])
    await store.add_dead_letters("customers", "p", [Rejection("a", "no")])
    found = {letter.key: letter for letter in await store.dead_letters("orders")}
    await store.resolve_dead_letters([found["a"], found["b"]])
    await store.resolve_dead_letters([found["a"]])
    await store.discard_dead_letters([found["c"]])
    large = "(key) is too large"
    assert set(await store.count_letters("orders")) == {
        LetterCount(large, Outcome.RESOLVED, 2),
        LetterCount(large, Outcome.DISCARDED, 1),
        LetterCount(large, Outcome.OPEN, 1),
        LetterCount("no such tier", Outcome.OPEN, 1),
    }
    await store.begin_epoch("orders", PipelineState(epoch=2))
    compared = {c.reason: c.count for c in await store.count_letters("orders") if c.outcome is Outcome.COMPARED}
    assert compared == {large: 1, "no such tier": 1}
    assert await store.count_letters("customers") == [LetterCount("no", Outcome.OPEN, 1)]


async def test_the_reasons_that_are_counted_are_bounded(store: StateStore) -> None:
    """Nothing is left out of the sum."""
    await store.add_dead_letters("orders", "p", [Rejection(f"k{n}", f"reason {n}") for n in range(250)])
    counted = await store.count_letters("orders")
    assert (len(counted), sum(c.count for c in counted)) == (101, 250)
    await store.resolve_dead_letters(await store.dead_letters("orders"))
    counted = await store.count_letters("orders")
    assert (len(counted), sum(c.count for c in counted)) == (101, 250)


async def test_a_lease_is_exclusive(opened: Open, store: StateStore) -> None:
    assert await store.lease_owner() is None
    assert await store.acquire_lease("one", LONG_S) == 0
    async with opened() as other:
        assert 0 < await other.acquire_lease("two", LONG_S) <= LONG_S
        assert await other.lease_owner() == "one"


async def test_of_many_that_ask_at_once_one_gets_the_lease(opened: Open) -> None:
    answers: list[float] = []

    async def ask(store: StateStore, owner: str) -> None:
        answers.append(await store.acquire_lease(owner, LONG_S))

    async with opened() as one, opened() as two, anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(ask, (one, two)[number % 2], str(number))
    assert answers.count(0) == 1


async def test_the_holder_renews(opened: Open, store: StateStore) -> None:
    assert await store.acquire_lease("one", SHORT_S) == 0
    assert await store.acquire_lease("one", LONG_S) == 0
    await anyio.sleep(SHORT_S * 1.2)
    async with opened() as other:
        assert await other.acquire_lease("two", SHORT_S) > LONG_S / 2


async def take_over(opened: Open, store: StateStore) -> None:
    """`store` has held the lease, and another process has taken it when it had ended."""
    assert await store.acquire_lease("one", SHORT_S) == 0
    async with opened() as other:
        while (left_s := await other.acquire_lease("two", SHORT_S)) > 0:  # noqa: ASYNC110 — as it is meant
            await anyio.sleep(left_s)


async def test_a_lease_is_taken_over_only_after_its_end(opened: Open, store: StateStore) -> None:
    begun = elapsed_s()
    await take_over(opened, store)
    assert elapsed_s() - begun >= SHORT_S
    assert await store.lease_owner() == "two"


async def test_a_lease_that_was_lost_is_never_had_again(opened: Open, store: StateStore) -> None:
    """Not even when the other one has given it back: what is remembered in memory is no longer what was saved."""
    await take_over(opened, store)
    with pytest.raises(LeaseLostError, match="two"):
        await store.acquire_lease("one", LONG_S)
    async with opened() as other:
        await other.release_lease("two", 0)
        await anyio.sleep(SHORT_S)
        with pytest.raises(LeaseLostError):
            await store.acquire_lease("one", LONG_S)
        assert await other.acquire_lease("three", LONG_S) == 0


KEPT = PipelineState(epoch=3, generation="kept")
LETTER = Rejection("k", "too large", T0)

CHANGES: dict[str, Callable[[StateStore], Awaitable[object]]] = {
    "save_pipeline": lambda s: s.save_pipeline("orders", PipelineState(epoch=1)),
    "begin_epoch": lambda s: s.begin_epoch("orders", PipelineState(epoch=4)),
    "save_checkpoints": lambda s: s.save_checkpoints("orders", [Checkpoint(CHECKPOINTS[0].partition, "stale")]),
    "forget_partitions": lambda s: s.forget_partitions("orders", ["a", "b"]),
    "save_note": lambda s: s.save_note("orders", "verification", "stale"),
    "add_action": lambda s: s.add_action(Action(T0, "stale", "pause")),
    "add_dead_letters": lambda s: s.add_dead_letters("orders", "p", [LETTER]),
    "resolve_dead_letters": _resolve_all,
    "restore": lambda s: s.restore([Remembered("orders", PipelineState(epoch=9)), Identity("stale")]),
    "clear": lambda s: s.clear(),
    "set_standings": lambda s: s.set_standings(Standings(Standing.MOVED, "stale", "elsewhere")),
}


async def everything(store: StateStore) -> tuple[object, ...]:
    checkpoints = sorted(await store.load_checkpoints("orders"), key=lambda c: c.partition.id)
    noted = await store.load_note("orders", "verification"), await store.actions(), await store.standings()
    return await store.load_pipeline("orders"), checkpoints, await store.dead_letters("orders"), noted


async def filled(store: StateStore) -> tuple[object, ...]:
    await store.save_pipeline("orders", KEPT)
    await store.save_checkpoints("orders", CHECKPOINTS)
    await store.add_dead_letters("orders", "p", [LETTER])
    return await everything(store)


@pytest.mark.parametrize("change", CHANGES)
async def test_who_has_lost_the_lease_changes_nothing_any_more(opened: Open, store: StateStore, change: str) -> None:
    """A process that stood still, and goes on before it could notice, must not undo what its successor has saved."""
    await take_over(opened, store)
    async with opened() as successor:
        before = await filled(successor)
        with pytest.raises(LeaseLostError, match="two"):
            await CHANGES[change](store)
        assert await everything(successor) == before
        assert await everything(store) == before, "reading is free"


@pytest.mark.parametrize("change", CHANGES)
async def test_who_is_late_with_its_lease_but_has_not_lost_it_goes_on(store: StateStore, change: str) -> None:
    assert await store.acquire_lease("one", SHORT_S) == 0
    before = await filled(store)
    await anyio.sleep(SHORT_S * 1.2)
    await CHANGES[change](store)
    assert await everything(store) != before


@pytest.mark.parametrize("change", CHANGES)
async def test_who_never_held_the_lease_is_not_held_to_it(opened: Open, store: StateStore, change: str) -> None:
    before = await filled(store)
    async with opened() as other:
        assert await other.acquire_lease("two", LONG_S) == 0
        await CHANGES[change](store)
    assert await everything(store) != before


async def test_a_released_lease_lingers_so_that_late_requests_are_over(opened: Open, store: StateStore) -> None:
    assert await store.acquire_lease("one", LONG_S) == 0
    await store.release_lease("one", SHORT_S)
    async with opened() as other:
        assert 0 < await other.acquire_lease("two", LONG_S) <= SHORT_S
        await anyio.sleep(SHORT_S * 1.2)
        assert await other.acquire_lease("two", LONG_S) == 0


async def test_nobody_releases_the_lease_of_another(opened: Open, store: StateStore) -> None:
    assert await store.acquire_lease("one", LONG_S) == 0
    async with opened() as other:
        await other.release_lease("two", 0)
        assert await other.acquire_lease("two", LONG_S) > 1


async def test_a_change_survives_the_cancellation_of_its_caller(opened: Open, store: StateStore) -> None:
    """Cancelled or not, a save is whole or has not begun: nothing in between."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.save_checkpoints, "orders", CHECKPOINTS)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    async with opened() as again:
        assert len(await again.load_checkpoints("orders")) in {0, 2}
    await store.save_checkpoints("orders", CHECKPOINTS)
    assert len(await store.load_checkpoints("orders")) == 2


async def test_what_was_discarded_is_remembered_until_a_new_epoch(store: StateStore) -> None:
    rejections = [Rejection(key, "no", payload=Payload(f"v-{key}", {"at": "p"}, "body")) for key in ("a", "b")]
    await store.add_dead_letters("orders", "p", rejections)
    first, second = await store.dead_letters()
    assert first.payload == rejections[0].payload
    assert await store.discarded("orders") == {}
    assert await store.discard_dead_letters([first]) == 1
    assert await store.discard_dead_letters([first]) == 0
    assert await store.dead_letters() == [second]
    assert await store.discarded("orders", ["a", "b"]) == {"a": "v-a"}
    assert await store.discarded("orders", []) == {}
    assert await store.discarded("customers") == {}
    await store.begin_epoch("orders", PipelineState(2))
    assert await store.discarded("orders") == {}


async def test_bodies_expire_and_what_finds_the_record_does_not(store: StateStore) -> None:
    await store.add_dead_letters("orders", "p", [Rejection("a", "no", payload=Payload("v", {"at": "p"}, "body"))])
    (letter,) = await store.dead_letters()
    assert await store.expire_payloads(letter.last_seen) == 0
    assert await store.expire_payloads(letter.last_seen + timedelta(seconds=1)) == 1
    assert await store.expire_payloads(letter.last_seen + timedelta(seconds=1)) == 0
    (letter,) = await store.dead_letters()
    assert letter.payload == Payload("v", {"at": "p"})


IN_PLACE = pytest.mark.parametrize("opened", ["sqlite", "blob in memory"], indirect=True)
"""What needs many requests, and no service: the store in blobs is the same."""


async def various(store: StateStore) -> None:
    """Something of each kind."""
    await store.migration_id()
    for pipeline in ("orders", "customers"):
        await store.save_pipeline(pipeline, PipelineState(epoch=3, budgets=Budgets(concurrency=5), fence=T0))
        await store.save_checkpoints(pipeline, CHECKPOINTS)
        await store.save_note(pipeline, "verification", "{}")
    await store.save_note("", "triggers", "of the whole")
    payload = Payload("v1", {"object": "k"}, "what it held")
    refused = [Rejection(f"k{n}", f"reason {n}", T0 if n % 2 else None, payload) for n in range(20)]
    await store.add_dead_letters("orders", "p", refused)
    await store.add_dead_letters("orders", "p", refused[:3])
    found = await store.dead_letters("orders")
    await store.resolve_dead_letters(found[3:14])
    await store.discard_dead_letters(found[14:17])
    await store.add_dead_letters("customers", "q", [Rejection("k1", "no")])
    await store.restore([Action(T0, "somebody", "pause", "orders", str(n), place=n) for n in range(1, 451)])


async def tallied(store: StateStore) -> Tally:
    found = Tally()
    async for entries in store.contents():
        assert entries
        found.add(entries)
    return found


async def told(store: StateStore) -> tuple[object, ...]:
    """By the methods that the engine uses."""
    actions = await store.actions() + await store.actions(after=448)
    notes = [await store.load_note(p, n) for p, n in (("", "triggers"), ("customers", "verification"))]
    counted = [sorted(await store.count_letters(p), key=str) for p in ("orders", "customers")]
    summaries = [await store.dead_letter_summary(p) for p in ("orders", "customers")]
    letters = await store.dead_letters(limit=7), await store.dead_letters_of("orders", ["k1", "k19"])
    unwanted = await store.discarded("orders", [f"k{n}" for n in range(20)])
    return await store.migration_id(), await everything(store), actions, notes, counted, summaries, letters, unwanted


async def test_what_is_carried_into_another_store_and_back_is_as_it_was(opened: Open, store: StateStore) -> None:
    """Everything, places and counts included; what is carried back can be worked with."""
    await various(store)
    before, sums = await told(store), await tallied(store)
    assert all(sums.counts.values())
    assert sums.counts["operator actions"] == 450
    async with InlineStore() as other:
        async for entries in store.contents():
            await other.restore(entries)
        assert await tallied(other) == sums
        assert await told(other) == before
        await store.clear()
        assert await tallied(store) == Tally()
        async for entries in other.contents():
            await store.restore(entries)
    async with opened() as again:
        assert await tallied(again) == sums
        assert await told(again) == before
        await again.add_action(Action(T0, "somebody", "resume"))
        assert [action.place for action in await again.actions(after=449)] == [450, 451]
        assert await again.resolve_dead_letters(await again.dead_letters("customers")) == 1


@IN_PLACE
async def test_a_store_that_was_cleared_is_as_new(opened: Open, store: StateStore) -> None:
    await various(store)
    identity = await store.migration_id()
    await store.clear()
    async with opened() as again:
        assert await again.load_pipeline("orders") is None
        assert await again.load_checkpoints("orders") == []
        assert await again.load_note("", "triggers") is None
        assert await again.dead_letters() == []
        assert await again.discarded("orders") == {}
        assert await again.count_letters("orders") == []
        assert await again.actions() == []
        assert await again.migration_id() != identity
        await again.add_action(Action(T0, "somebody", "pause"))
        assert [action.place for action in await again.actions()] == [1]


@IN_PLACE
async def test_entries_that_differ_differ_in_their_sum(store: StateStore) -> None:
    """Or else what went wrong on the way would not be seen."""
    one: list[Entry] = [Identity("a"), Remembered("orders", PipelineState(epoch=1))]
    await store.restore(one)
    before = await tallied(store)
    await store.restore([Remembered("orders", PipelineState(epoch=2))])
    assert (await tallied(store)).counts == before.counts
    assert (await tallied(store)).digest != before.digest


@IN_PLACE
async def test_how_a_store_stands_survives_everything_else(opened: Open, store: StateStore) -> None:
    assert await store.standings() == Standings(Standing.USABLE)
    filling = Standings(Standing.FILLING, "m1", "/var/lib/state.sqlite")
    await store.set_standings(filling)
    await various(store)
    assert await store.standings() == filling
    await store.clear()
    async with opened() as again:
        assert await again.standings() == filling
        assert await again.acquire_lease("one", SHORT_S) == 0
        assert await again.standings() == filling
    assert (await tallied(store)).total == 0

"""Promise: whichever the request at which a process ends, whose answer is lost, or during which it loses the lease, a
save is whole or has not begun.

Each operation is tried once for each request that it makes, against a container in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import pytest

from connectors.azure.state.store import BlobStore
from fakes.stateblobs import CutError, MemoryBlobs, MemoryContainer, cut_at, unanswered
from replicator.delivery import Backoff
from replicator.errors import ConfigurationError, LeaseLostError
from replicator.model import Action, Checkpoint, LetterCount, Outcome, Partition, Payload, PipelineState, Rejection

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AT_ONCE = Backoff(0.0, 0.0)
NAMES = ("a", "b", "new")
LETTERS = [Rejection(key, "too large", T0, Payload("v", body="body")) for key in ("k", "l")]


def at(position: str) -> list[Checkpoint]:
    return [Checkpoint(Partition(name, bounded=False), position) for name in NAMES]


async def close(store: BlobStore) -> None:
    await store.discard_dead_letters(await store.dead_letters_of("orders", ["k"]))


OPERATIONS: dict[str, Callable[[BlobStore], Awaitable[object]]] = {
    "save_pipeline": lambda s: s.save_pipeline("orders", PipelineState(epoch=2)),
    "save a new pipeline": lambda s: s.save_pipeline("customers", PipelineState(epoch=1)),
    "save a checkpoint": lambda s: s.save_checkpoints("orders", at("2")[:1]),
    "save a new checkpoint": lambda s: s.save_checkpoints("orders", at("2")[2:]),
    "save several checkpoints": lambda s: s.save_checkpoints("orders", at("2")),
    "forget_partitions": lambda s: s.forget_partitions("orders", ["a", "b"]),
    "begin_epoch": lambda s: s.begin_epoch("orders", PipelineState(epoch=2)),
    "save a note": lambda s: s.save_note("orders", "verification", "2"),
    "save a new note": lambda s: s.save_note("orders", "other", "2"),
    "add_action": lambda s: s.add_action(Action(T0, "actor", "resume")),
    "add a dead letter": lambda s: s.add_dead_letters("orders", "p", [Rejection("new", "no", T0)]),
    "count a dead letter up": lambda s: s.add_dead_letters("orders", "p", LETTERS[:1]),
    "discard_dead_letters": close,
}


@dataclass
class World:
    """A container with a state in it."""

    container: MemoryContainer

    def open(self, blobs: MemoryBlobs | None = None) -> BlobStore:
        return BlobStore(blobs or MemoryBlobs(self.container), AT_ONCE)

    async def held(self) -> tuple[object, ...]:
        """All that can be read, as another process reads it."""
        store = self.open()
        letters = [(d.key, d.count, d.payload) for d in await store.dead_letters()]
        checkpoints = sorted((c.partition.id, c.position) for c in await store.load_checkpoints("orders"))
        notes = [await store.load_note("orders", name) for name in ("verification", "other")]
        states = [await store.load_pipeline(name) for name in ("orders", "customers")]
        counted = sorted((c.reason, c.outcome, c.count) for c in await store.count_letters("orders"))
        actions = [action.name for action in await store.actions()]
        return states, checkpoints, letters, counted, notes, actions, await store.discarded("orders", ["k", "l"])


async def world(*, leased: bool = True) -> tuple[World, BlobStore, MemoryBlobs]:
    """With something in it, and a daemon that has put it there."""
    made = World(MemoryContainer())
    blobs = MemoryBlobs(made.container)
    store = made.open(blobs)
    if leased:
        assert await store.acquire_lease("one", 0) == 0
    await store.save_pipeline("orders", PipelineState(epoch=1))
    await store.save_checkpoints("orders", at("1")[:2])
    await store.save_note("orders", "verification", "1")
    await store.add_dead_letters("orders", "p", LETTERS)
    await store.add_action(Action(T0, "actor", "pause"))
    blobs.asked.clear()
    return made, store, blobs


async def outcomes(operation: str, *, leased: bool) -> tuple[tuple[object, ...], tuple[object, ...], int]:
    """What is held before and after an operation, and how many requests it makes."""
    made, store, blobs = await world(leased=leased)
    before = await made.held()
    await OPERATIONS[operation](store)
    return before, await made.held(), len(blobs.asked)


@pytest.mark.parametrize("leased", [True, False], ids=["with a lease", "without"])
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_process_that_ends_between_two_requests_leaves_all_of_a_save_or_nothing(
    operation: str, side: str, leased: bool
) -> None:
    before, after, requests = await outcomes(operation, leased=leased)
    assert before != after
    seen = []
    for number in range(requests):
        made, store, blobs = await world(leased=leased)
        setattr(blobs, side, cut_at(number))
        with suppress(ExceptionGroup, CutError):
            await OPERATIONS[operation](store)
        seen.append(await made.held())
        assert seen[-1] in (before, after)
        await _goes_on(made)
    assert seen == sorted(seen, key=lambda held: held == after), "once it is done it is done"


async def _goes_on(made: World) -> None:
    """The next daemon takes the state up as it is."""
    store, held = made.open(), await made.held()
    while await store.acquire_lease("two", 0) > 0:
        pass
    assert await made.held() == held
    await store.save_checkpoints("orders", at("3"))
    assert [c.position for c in await store.load_checkpoints("orders")] == ["3"] * 3


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_lost_answer_makes_no_difference(operation: str) -> None:
    """Neither is anything counted twice."""
    _, after, requests = await outcomes(operation, leased=True)
    for number in range(requests):
        made, store, blobs = await world()
        blobs.after = unanswered(number)
        await OPERATIONS[operation](store)
        assert await made.held() == after


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_whoever_loses_the_lease_between_two_requests_changes_nothing_after_that(operation: str) -> None:
    """What the successor has read when its lease counts is what there is, until it changes something itself."""
    _, after, requests = await outcomes(operation, leased=True)
    for number in range(requests):
        made, store, blobs = await world()
        taken: list[tuple[object, ...]] = []

        async def take(
            reached: int, at: int = number, made: World = made, taken: list[tuple[object, ...]] = taken
        ) -> None:
            if reached == at:
                assert await made.open().acquire_lease("two", 60) == 0
                taken.append(await made.held())

        blobs.before = take
        if await _is_lost(OPERATIONS[operation](store)):
            assert taken[0] != after
        else:
            assert taken[0] == after, "it was done before, and only tidying up was left"
        assert await made.held() == taken[0]
        with pytest.raises(LeaseLostError):
            await store.save_pipeline("orders", PipelineState(epoch=9))
        assert await made.held() == taken[0]


async def _is_lost(saving: Awaitable[object]) -> bool:
    try:
        await saving
    except LeaseLostError as error:
        return "two" in str(error)
    return False


async def test_a_takeover_that_is_cut_off_is_done_again_by_the_next_one() -> None:
    made, _, _ = await world()
    before = await made.held()
    counting = MemoryBlobs(made.container)
    assert await made.open(counting).acquire_lease("two", 0) == 0
    for number in range(len(counting.asked)):
        made, former, _ = await world()
        cut = MemoryBlobs(made.container, after=cut_at(number))
        with suppress(ExceptionGroup, CutError):
            await made.open(cut).acquire_lease("two", 0)
        assert await made.open().acquire_lease("three", 0) == 0
        assert await made.held() == before
        with pytest.raises(LeaseLostError, match="three"):
            await former.save_checkpoints("orders", at("9")[:1])
        assert await made.held() == before


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_request_that_lands_after_the_takeover_changes_nothing(operation: str) -> None:
    """It was made under the lease, and was under way for longer than that lasted; its process may have ended."""
    _, _, requests = await outcomes(operation, leased=True)
    landed = 0
    for number in range(requests):
        made, store, blobs = await world()
        blobs.before = cut_at(number)
        with suppress(ExceptionGroup, CutError):
            await OPERATIONS[operation](store)
        assert await made.open().acquire_lease("two", 60) == 0
        held = await made.held()
        for land in blobs.under_way:
            land()
            landed += 1
        assert await made.held() == held
    assert landed


async def test_what_nobody_names_holds_no_body_and_goes_with_the_epoch() -> None:
    """A body that has been refused must not outlive its time in a blob that no process knows of."""
    made, store, blobs = await world()
    await OPERATIONS["add a dead letter"](store)
    for number in range(len(blobs.asked)):
        made, store, blobs = await world()
        blobs.before = cut_at(number)
        with suppress(ExceptionGroup, CutError):
            await store.add_dead_letters("orders", "p", [Rejection("new", "no", T0, Payload("v", body="secret"))])
        named = [d.key for d in await made.open().dead_letters()]
        assert "new" in named or not any(b"secret" in held.data for held in made.container.blobs.values())
        again = made.open()
        await again.begin_epoch("orders", PipelineState(epoch=2))
        assert [name for name in made.container.blobs if name.startswith("pipelines/")] == [
            "pipelines/orders/root.json"
        ]


async def test_tidying_up_late_removes_nothing_of_a_later_epoch() -> None:
    """A former holder that stood still while it tidied up does not know that epoch."""
    _, _, requests = await outcomes("begin_epoch", leased=True)
    for number in range(requests):
        made, store, blobs = await world()

        async def begin_another(reached: int, at_request: int = number, made: World = made) -> None:
            if reached == at_request:
                successor = made.open()
                assert await successor.acquire_lease("two", 60) == 0
                await successor.begin_epoch("orders", PipelineState(epoch=3))
                await successor.save_checkpoints("orders", at("3"))

        blobs.before = begin_another
        with suppress(LeaseLostError):
            await store.begin_epoch("orders", PipelineState(epoch=2))
        assert len(await made.open().load_checkpoints("orders")) == 3


@pytest.mark.parametrize("leased", [True, False], ids=["with a lease", "without"])
async def test_a_blob_that_somebody_has_removed_is_named_and_not_sought_for_ever(leased: bool) -> None:
    """By a policy of the account, or by hand: a position that is gone must not be taken for a beginning."""
    made, store, _ = await world(leased=leased)
    for name in [name for name in made.container.blobs if name.startswith("pipelines/orders/first/")]:
        del made.container.blobs[name]
    with pytest.raises(ConfigurationError, match="pipelines/orders/first/"):
        await store.load_checkpoints("orders")
    with pytest.raises(ConfigurationError, match="pipelines/orders/first/"):
        await store.save_checkpoints("orders", at("2")[:1])


async def test_bodies_left_by_an_epoch_that_was_cut_off_expire_with_the_others() -> None:
    made, _, _ = await world()
    removing = MemoryBlobs(made.container)
    await made.open(removing).begin_epoch("orders", PipelineState(epoch=2))
    first = next(number for number, asked in enumerate(removing.asked) if asked.startswith("remove"))
    made, _, _ = await world()
    with suppress(ExceptionGroup, CutError):
        await made.open(MemoryBlobs(made.container, before=cut_at(first))).begin_epoch("orders", PipelineState(2))
    assert any(b'"body": "body"' in held.data for held in made.container.blobs.values())
    assert await made.open().expire_payloads(T0) == 0
    assert not any(b'"body": "body"' in held.data for held in made.container.blobs.values())


async def test_a_save_of_a_position_is_one_request() -> None:
    """So are a note, the state of a pipeline, and a renewal of the lease; nothing is asked to count no dead letters."""
    _, store, blobs = await world()
    for operation in ("save a checkpoint", "save a note", "save_pipeline"):
        blobs.asked.clear()
        await OPERATIONS[operation](store)
        assert [asked.split()[0] for asked in blobs.asked] == ["put"], operation
    blobs.asked.clear()
    assert await store.acquire_lease("one", 60) == 0
    assert blobs.asked == ["put lease.json"]
    blobs.asked.clear()
    assert (await store.dead_letter_summary("customers")).count == 0
    assert (await store.dead_letter_summary("orders")).count == 2
    asked = len(blobs.asked)
    assert (await store.dead_letter_summary("orders")).count == 2
    assert len(blobs.asked) == asked


async def test_the_audit_log_goes_on_in_another_blob_when_one_is_full() -> None:
    made, store, _ = await world()
    for number in range(450):
        await store.add_action(Action(T0, "actor", str(number)))
    actions = await made.open().actions(limit=1000)
    assert [action.name for action in actions] == ["pause", *map(str, range(450))]
    assert [action.place for action in actions] == list(range(1, 452))
    assert [a.name for a in await made.open().actions(limit=2, after=200)] == ["199", "200"]
    assert len([name for name in made.container.blobs if name.startswith("audit/")]) == 3


async def test_two_that_count_at_once_lose_nothing() -> None:
    made, store, _ = await world(leased=False)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(made.open().add_dead_letters, "orders", "p", LETTERS)
    assert [d.count for d in await store.dead_letters()] == [6, 6]
    assert await store.count_letters("orders") == [LetterCount("too large", Outcome.OPEN, 2)]

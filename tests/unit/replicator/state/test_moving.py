"""Promise: whatever the step at which a move ends, at most one store can be worked with, it holds everything, and the
move can be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from connectors.azure.state.store import BlobStore
from fakes.stateblobs import CutError, MemoryBlobs, MemoryContainer
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.config import LimitsConfig
from replicator.errors import ConfigurationError, LeaseLostError
from replicator.model import Action, Checkpoint, DeadLetter, Partition, Payload, PipelineState, Rejection
from replicator.ports import StateStore
from replicator.state import moving
from replicator.state.contents import Entry, Identity, Noted, Standing, Standings, Tally
from replicator.state.moving import leased, move, require_usable, tally

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

LIMITS = LimitsConfig(lease_s=30, request_lifetime_s=15, request_timeout_s=5)


@dataclass
class Cut:
    """Ends a process at its n-th step."""

    at: int | None = None
    steps: int = 0

    def step(self, _: object) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise CutError

    async def step_soon(self, number: int) -> None:
        self.step(number)


@dataclass
class File:
    """One state in SQLite, opened anew by each process."""

    store: InlineStore = field(default_factory=InlineStore)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        async with self.store:
            yield

    def open(self, cut: Cut | None = None) -> StateStore:
        other = InlineStore((cut or Cut()).step)
        other._connection = self.store._connection
        return other


@dataclass
class Blobs:
    """One state in blobs."""

    container: MemoryContainer = field(default_factory=MemoryContainer)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        yield

    def open(self, cut: Cut | None = None) -> StateStore:
        return BlobStore(MemoryBlobs(self.container, before=(cut or Cut()).step_soon))


Place = File | Blobs

KINDS: dict[str, tuple[Callable[[], Place], Callable[[], Place]]] = {
    "from a file to blobs": (File, Blobs),
    "from blobs to a file": (Blobs, File),
    "from a file to a file": (File, File),
}


async def fill(store: StateStore) -> None:
    await store.migration_id()
    await store.save_pipeline("orders", PipelineState(epoch=3, generation="g"))
    await store.save_checkpoints("orders", [Checkpoint(Partition(p, bounded=False), "7", "9") for p in "ab"])
    await store.save_note("", "triggers", "{}")
    await store.add_dead_letters("orders", "a", [Rejection("k", "too large", T0, Payload("v", body="held"))])
    await store.add_action(Action(T0, "somebody", "pause", "orders"))


async def carry(old: StateStore, new: StateStore) -> Tally:
    return await move(old, new, old_place="OLD", new_place="NEW", announce=lambda doing, entries: None)


async def summed(store: StateStore) -> Tally:
    return await tally(store, "", lambda doing, entries: None)


@asynccontextmanager
async def places(kinds: str) -> AsyncIterator[tuple[Place, Place]]:
    """The first one filled."""
    old, new = (kind() for kind in KINDS[kinds])
    async with old.kept(), new.kept():
        await fill(old.open())
        yield old, new


async def is_cut(old: Place, new: Place, cut: Cut) -> bool:
    ended = False
    try:
        await carry(old.open(cut), new.open(cut))
    except* CutError:
        ended = True
    return ended


@pytest.mark.parametrize("kinds", KINDS)
async def test_a_move_that_ends_at_any_step_loses_nothing_and_leaves_no_two_stores_to_work_with(kinds: str) -> None:
    number, unusable = 0, 0
    while True:
        number += 1
        async with places(kinds) as (old, new):
            whole = await summed(old.open())
            ended = await is_cut(old, new, Cut(number))
            stand = [(await place.open().standings()).standing for place in (old, new)]
            holds = [await summed(place.open()) for place in (old, new)]
            assert holds[0] == whole, "the old one stays as it is"
            if stand[0] is Standing.USABLE:
                assert stand[1] is Standing.FILLING or holds[1] == Tally(), number
            elif stand[1] is Standing.USABLE:
                assert holds[1] == whole, number
            else:
                unusable += 1
            assert await carry(old.open(), new.open()) == whole
            assert await summed(new.open()) == whole
            assert (await old.open().standings()).place == "NEW"
            await require_usable(new.open(), "NEW")
            with pytest.raises(ConfigurationError, match="has been moved to NEW"):
                await require_usable(old.open(), "OLD")
        if not ended:
            break
    assert number > 20
    assert unusable, "between the two marks there is a moment when none may be used"


@pytest.mark.parametrize("kinds", KINDS)
async def test_what_the_old_store_forgot_after_a_cut_is_not_in_the_new_one(kinds: str) -> None:
    """A daemon may go on with it until the move is repeated."""
    cut = Cut()
    async with places(kinds) as (old, new):
        await is_cut(old, new, cut)
    for number in range(cut.steps // 2, cut.steps, 7):
        async with places(kinds) as (old, new):
            assert await is_cut(old, new, Cut(number))
            daemon = old.open()
            if (await daemon.standings()).standing is not Standing.USABLE:
                continue
            await daemon.begin_epoch("orders", PipelineState(epoch=4))
            await daemon.save_pipeline("customers", PipelineState(epoch=1))
            whole = await summed(daemon)
            assert await carry(old.open(), new.open()) == whole
            assert await summed(new.open()) == whole


async def test_a_move_that_was_finished_is_not_made_again() -> None:
    """What the new store has become since stays."""
    async with places("from a file to blobs") as (old, new):
        await carry(old.open(), new.open())
        await new.open().save_note("orders", "n", "since")
        await carry(old.open(), new.open())
        assert await new.open().load_note("orders", "n") == "since"


async def test_it_can_be_moved_on_and_back_to_another_place() -> None:
    async with places("from a file to blobs") as (first, second):
        third = File()
        async with third.kept():
            whole = await carry(first.open(), second.open())
            await carry(second.open(), third.open())
            assert await summed(third.open()) == whole
            with pytest.raises(ConfigurationError, match="has been moved to NEW"):
                await carry(first.open(), second.open())


@pytest.mark.parametrize("kinds", KINDS)
async def test_a_store_that_holds_something_is_not_moved_to(kinds: str) -> None:
    async with places(kinds) as (old, new):
        await new.open().migration_id()
        with pytest.raises(ConfigurationError, match="NEW: holds state already"):
            await carry(old.open(), new.open())
        assert (await old.open().standings()).standing is Standing.USABLE


@pytest.mark.parametrize("kinds", KINDS)
async def test_where_there_is_nothing_nothing_is_moved(kinds: str) -> None:
    async with places(kinds) as (old, new):
        await old.open().clear()
        with pytest.raises(ConfigurationError, match="OLD: holds no state"):
            await carry(old.open(), new.open())
        assert (await new.open().standings()).standing is Standing.USABLE


async def test_a_store_that_is_being_filled_is_neither_worked_with_nor_moved_nor_filled_from_elsewhere() -> None:
    """What was begun there may be the only copy that counts, but for its mark."""
    async with places("from a file to blobs") as (old, new):
        await new.open().set_standings(Standings(Standing.FILLING, "m", "ANOTHER"))
        filling = "only a part of what is being moved"
        with pytest.raises(ConfigurationError, match=filling):
            await require_usable(new.open(), "NEW")
        for source, target in ((old, new), (new, old)):
            with pytest.raises(ConfigurationError, match=filling):
                await carry(source.open(), target.open())


async def test_what_is_held_in_memory_is_bounded_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out, and the order stays."""
    monkeypatch.setattr(moving, "MOST_ENTRIES", 3)
    monkeypatch.setattr(moving, "MOST_CHARACTERS", 100)
    long = Noted("orders", "long", "x" * 60)
    letter = DeadLetter("orders", "p", "k", "no", None, T0, T0, payload=Payload(body="y" * 60))
    entries: list[Entry] = [Identity("m"), Identity("n"), Identity("o"), long, letter, Identity("p")]

    async def contents() -> AsyncIterator[Sequence[Entry]]:
        for page in (entries[:1], entries[1:5], entries[5:]):
            await anyio.lowlevel.checkpoint()
            yield page

    batches = [batch async for batch in moving.gathered(contents())]
    assert [len(batch) for batch in batches] == [3, 2, 1]
    assert [entry for batch in batches for entry in batch] == entries


class Forgetful(BlobStore):
    """Drops what it is to keep."""

    async def restore(self, entries: object) -> None:
        await anyio.lowlevel.checkpoint()


async def test_a_new_store_that_does_not_hold_what_was_written_never_counts() -> None:
    async with places("from a file to blobs") as (old, _):
        with pytest.raises(ConfigurationError, match="does not hold what was written"):
            await carry(old.open(), Forgetful(MemoryBlobs(MemoryContainer())))
        await require_usable(old.open(), "OLD")


@in_virtual_time
async def test_nothing_is_moved_under_a_daemon_that_is_alive() -> None:
    async with places("from a file to blobs") as (old, _):
        daemon = old.open()

        async def renew() -> None:
            while True:
                assert await daemon.acquire_lease("daemon", 30) == 0
                await anyio.sleep(5)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(renew)
            await anyio.sleep(1)
            with pytest.raises(ConfigurationError, match=r"OLD: another daemon \(daemon\) is running"):
                async with leased(old.open(), "OLD", LIMITS):
                    pytest.fail("it is alive")
            tasks.cancel_scope.cancel()


@in_virtual_time
async def test_the_lease_of_a_daemon_that_has_died_is_waited_out_and_then_kept() -> None:
    async with places("from a file to blobs") as (old, _):
        assert await old.open().acquire_lease("daemon", 30) == 0
        begun = anyio.current_time()
        async with leased(old.open(), "OLD", LIMITS):
            assert anyio.current_time() - begun >= 30
            await anyio.sleep(300)
            assert await old.open().acquire_lease("daemon", 30) > 0
        assert await old.open().acquire_lease("daemon", 30) == 0


@in_virtual_time
async def test_whoever_loses_the_lease_on_the_way_changes_nothing_more() -> None:
    async with places("from a file to blobs") as (old, new):
        mover, target = old.open(), new.open()
        assert await mover.acquire_lease("mover", 1) == 0
        await anyio.sleep(2)
        assert await old.open().acquire_lease("daemon", 30) == 0
        with pytest.raises(LeaseLostError):
            await carry(mover, target)
        await require_usable(old.open(), "OLD")

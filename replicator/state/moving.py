"""Moves everything that one state store holds into another one, which counts only once it is whole.

Whatever the step at which it ends, exactly one of both is usable, or none until the move is repeated:

1. the new store is marked as being filled: no daemon works with it;
2. it is emptied, filled, and read again: it must give the same sum of digests as the old one;
3. the old store is marked as moved: no daemon works with it any more;
4. the new store is marked as usable.

Both leases are held meanwhile. Repeated after an end in between, it begins with an empty new store again, from what the
old one holds by then; after the third step the old one cannot have changed.
"""

import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio

from replicator.config.models import LimitsConfig
from replicator.delivery import Fence
from replicator.engine.lease import DaemonLease
from replicator.errors import ConfigurationError
from replicator.model import DeadLetter
from replicator.ports import StateStore
from replicator.state.contents import Entry, Noted, Standing, Standings, Tally

MOST_ENTRIES = 5000
MOST_CHARACTERS = 16 * 1024 * 1024
"""Written at once."""

Announce = Callable[[str, int], None]
"""Told what is being done, and how many entries that were so far."""


async def move(old: StateStore, new: StateStore, *, old_place: str, new_place: str, announce: Announce) -> Tally:
    """Moves, both leases being held; what was moved. Does nothing where that very move has been finished before.

    Raises ConfigurationError where one of both must not be used for it; then nothing has changed.
    """
    before, there = await old.standings(), await new.standings()
    if is_done(before, there):
        return await tally(new, "looked at", announce)
    await require_movable(old, new, old_place=old_place, new_place=new_place)
    name = before.move if before.standing is Standing.MOVED else uuid.uuid4().hex
    await new.set_standings(Standings(Standing.FILLING, name, old_place))
    await new.clear()
    moved = Tally()
    async for entries in gathered(old.contents()):
        await new.restore(entries)
        moved.add(entries)
        announce("copied", moved.total)
    found = await tally(new, "compared", announce)
    if found != moved:
        raise ConfigurationError(new_place, "does not hold what was written to it", "Name another place for the state")
    await old.set_standings(Standings(Standing.MOVED, name, new_place))
    await new.set_standings(Standings(Standing.USABLE, name, old_place))
    return moved


async def gathered(contents: AsyncIterable[Sequence[Entry]]) -> AsyncIterator[list[Entry]]:
    """The same in larger pieces, bounded by number and by what is held in memory: a store may have to write many dead
    letters anew to add a few.
    """
    batch: list[Entry] = []
    characters = 0
    async for entries in contents:
        for entry in entries:
            batch.append(entry)
            characters += _characters(entry)
            if len(batch) >= MOST_ENTRIES or characters >= MOST_CHARACTERS:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


def _characters(entry: Entry) -> int:
    """Of what may be long."""
    match entry:
        case Noted(_, _, text):
            return len(text)
        case DeadLetter(payload=payload):
            return len(payload.body or "")
    return 0


async def tally(store: StateStore, doing: str, announce: Announce) -> Tally:
    """All that it holds."""
    found = Tally()
    async for entries in store.contents():
        found.add(entries)
        announce(doing, found.total)
    return found


async def require_movable(old: StateStore, new: StateStore, *, old_place: str, new_place: str) -> None:
    """Raises ConfigurationError where there is nothing to be moved, or no room for it. Changes nothing."""
    before, there = await old.standings(), await new.standings()
    resumed = there.standing is Standing.FILLING
    if before.standing is Standing.FILLING:
        raise _unfinished(old_place, before)
    if before.standing is Standing.MOVED and not (resumed and there.move == before.move):
        raise ConfigurationError(
            old_place, f"its state has been moved to {before.place}", "Move it on from there, if it is to be moved"
        )
    if await is_empty(old):
        raise ConfigurationError(old_place, "holds no state that could be moved", "Name the config that was run")
    if resumed and there.move != before.move and there.place != old_place:
        raise _unfinished(new_place, there)
    if not resumed and (there.standing is Standing.MOVED or not await is_empty(new)):
        raise ConfigurationError(
            new_place, "holds state already, which would be lost", "Name a place where there is nothing yet"
        )


def is_done(old: Standings, new: Standings) -> bool:
    """Whether the one has been moved to the other."""
    return old.standing is Standing.MOVED and new.standing is Standing.USABLE and old.move == new.move


async def is_empty(store: StateStore) -> bool:
    """Whether it holds nothing."""
    async with aclosing(store.contents()) as contents:
        async for _ in contents:
            return False
    return True


async def require_usable(store: StateStore, place: str) -> None:
    """Raises ConfigurationError where its state is kept elsewhere, or not whole."""
    standings = await store.standings()
    if standings.standing is Standing.MOVED:
        raise ConfigurationError(
            "state",
            f"what was kept in {place} has been moved to {standings.place}",
            "Run the config that names that one",
        )
    if standings.standing is Standing.FILLING:
        raise _unfinished(place, standings)


@asynccontextmanager
async def leased(store: StateStore, place: str, limits: LimitsConfig) -> AsyncIterator[None]:
    """Holds the lease; waits until that of a daemon that has died is over.

    Raises ConfigurationError where a daemon holds it, in a group LeaseLostError when it is lost on the way.
    """
    lease = DaemonLease(store, limits.lease_s, Fence(limits.request_lifetime_s))
    try:
        try:
            await lease.acquire()
        except ConfigurationError as error:
            raise ConfigurationError(place, error.problem, "Stop it, and move then") from error
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lease.keep)
            yield
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await lease.release(0)


def _unfinished(place: str, standings: Standings) -> ConfigurationError:
    return ConfigurationError(
        "state",
        f"{place} holds only a part of what is being moved to it from {standings.place}",
        "Repeat replicator state move, which goes on from there; until then run the old config, if at all",
    )

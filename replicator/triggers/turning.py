"""Goes through the changes of one step: asks, waits, marks. Killed at any instruction it goes on when called again."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from replicator.clocks import utc_now
from replicator.errors import ConfigurationError
from replicator.triggers.looking import Look, Opened
from replicator.triggers.model import Pending, Place, Progress, Step, word_of
from replicator.triggers.note import Change, Note, Signed, Stage

OURSELVES = "replicator"

Record = Callable[[str, str, str, str], Awaitable[None]]
"""Notes who does what, to which pipeline, in detail; see `Daemon.record`."""


@dataclass(frozen=True, slots=True)
class Way:
    """What a step goes by: what is remembered, how each was found, who wants it, and whether it leads `back`."""

    note: Note
    looks: Mapping[Place, Look]
    who: str
    back: bool = False

    def aim(self, change: Change) -> bool:
        """What the trigger is to be."""
        return change.back if self.back else change.to

    @property
    def ends(self) -> Stage:
        """What a change is when it is in force."""
        return Stage.UNDONE if self.back else Stage.DONE


class Turning:
    """Of one migration. `save` makes what is remembered durable."""

    def __init__(self, opened: Mapping[Place, Opened], save: Callable[[Note], Awaitable[None]], record: Record) -> None:
        self._opened = opened
        self._save = save
        self._record = record

    async def go_through(self, step: Step, changes: Sequence[Change], way: Way) -> Progress:
        """Each in its turn; those that were asked for are waited for before one that is blind, before one of another
        side, and at the end: no side is turned on while what was asked of the other is not in force.

        On the way back a person is not waited for by what can be looked at, but by whatever else is behind: no hook is
        called, and nothing of another side is touched. Raises ConfigurationError where one cannot be changed; what was
        done is marked.
        """
        done: list[Place] = []
        asked: list[Change] = []
        pending: Pending | None = None
        for change in changes:
            blind = way.looks[change.place].blind
            if pending is not None and change.place.side is not pending.place.side:
                break
            if blind or (asked and asked[-1].place.side is not change.place.side):
                await self._settle(asked, way)
                asked.clear()
            if not blind:
                asked.append(change)
            elif pending is None:
                pending = await self._take_blind(change, way)
                if pending and not way.back:
                    break
            if not blind or pending is None:
                done.append(change.place)
        await self._settle(asked, way)
        return Progress(step, tuple(done), pending)

    async def _settle(self, changes: Sequence[Change], way: Way) -> None:
        """Asks for one after the other, and waits for all of them at once. What fails on the way back hinders no other
        of these.

        Raises ConfigurationError for the first that is not asked for, or does not come into force.
        """
        failures: list[ConfigurationError] = []
        asked: list[Change] = []
        for change in changes:
            try:
                asked += [change] if await self._ask(change, way) else []
            except ConfigurationError as error:
                failures.append(error)
                if not way.back:
                    break

        async def wait(change: Change) -> None:
            try:
                await self._opened[change.place].trigger.settle(way.aim(change))
            except ConfigurationError as error:
                failures.append(error)
            else:
                way.note.mark(change, way.ends)

        async with anyio.create_task_group() as tasks:
            for change in asked:
                tasks.start_soon(wait, change)
        if asked:
            await self._save(way.note)
        if failures:
            raise failures[0]

    async def _ask(self, change: Change, way: Way) -> bool:
        """Whether it was asked for, and is to be waited for; False where it is so already."""
        place, state = change.place, way.looks[change.place].state
        trigger = self._opened[place].trigger
        if way.back:
            await self._tell(way.who, "put a trigger back", place, f"{place}: {word_of(change.back)}")
            await (trigger.set_enabled(change.back) if change.before is None else trigger.restore(change.saved))
            return True
        if state.enabled is change.to and state.settled:
            await self._mark(way.note, change, Stage.ALREADY if change.stage is Stage.PLANNED else Stage.DONE)
            return False
        await self._mark(way.note, change, Stage.BEGUN)
        await self._tell_turn(change, way)
        await trigger.set_enabled(change.to)
        return True

    async def _take_blind(self, change: Change, way: Way) -> Pending | None:
        """A hook is called, a person is asked: what neither has done, or what was only begun, is not believed."""
        place, aim = change.place, way.aim(change)
        said = way.looks[place].state.enabled
        text = self._opened[place].trigger.manual(enabled=aim)
        if said is aim and (text or not way.back):
            already = change.stage is Stage.PLANNED and not way.back
            await self._mark(way.note, change, Stage.ALREADY if already else way.ends)
            return None
        if text:  # marked, since somebody may do it now and sign it off only after a restart
            if not way.back:
                await self._mark(way.note, change, Stage.BEGUN)
            return Pending(place, f"{place.side}-{word_of(aim)}", text)
        await self._call(change, way)
        return None

    async def _call(self, change: Change, way: Way) -> None:
        """A hook, which is believed when it has ended well, and not when it was killed in between."""
        place, note, aim = change.place, way.note, way.aim(change)
        note.signed.pop(str(place), None)
        await self._mark(note, change, change.stage if way.back else Stage.BEGUN)
        if way.back:
            await self._tell(way.who, "put a trigger back", place, f"{place}: {word_of(aim)}")
        else:
            await self._tell_turn(change, way)
        await self._opened[place].trigger.set_enabled(aim)
        note.signed[str(place)] = Signed(aim, OURSELVES, utc_now())
        await self._mark(note, change, way.ends)

    async def _tell_turn(self, change: Change, way: Way) -> None:
        detail = f"{change.place}: {word_of(change.before)} before"
        await self._tell(way.who, f"turn a trigger {word_of(change.to)}", change.place, detail)

    async def _tell(self, who: str, action: str, place: Place, detail: str) -> None:
        await self._record(who, action, self._opened[place].pipeline, detail)

    async def _mark(self, note: Note, change: Change, stage: Stage) -> None:
        note.mark(change, stage)
        await self._save(note)

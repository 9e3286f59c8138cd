"""Turns triggers off and on in the order of the config, and puts them back exactly.

Each is asked for in its turn; those that can be looked at are then waited for together, since services take their time.
What cannot be looked at, a hook or a person, begins when all before it is in force, and ends before what is behind it.

Every prior state is saved in one note before the first change, and each change is marked before and after it is made,
so that a step may be killed at any instruction: called again it goes on, and `undo` puts back what may have been
changed and nothing else. What cannot be looked at is known by what was done last, or by whoever has signed it off.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import structlog

from replicator.clocks import elapsed_s, utc_now
from replicator.errors import ConfigurationError
from replicator.ports import StateStore, Trigger
from replicator.triggers.model import Pending, Place, Planned, Progress, Side, Step, TriggerState
from replicator.triggers.note import NOTE, Change, Note, Signed, Stage, note_text, read_note

LOOK_INTERVAL_S = 30.0
"""From one look at all triggers to the next. Each is a call or two to its service."""

MOST_LOOKS = 8
"""Triggers that are looked at, at once, while a step is taken."""

OURSELVES = "replicator"

OFF, ON = "off", "on"

STEPS = tuple(f"{side}-{word}" for side in Side for word in (OFF, ON))
"""What may be signed off."""

Record = Callable[[str, str, str, str], Awaitable[None]]
"""Notes who does what, to which pipeline, in detail; see `Daemon.record`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A trigger that can be reached, and the pipeline whose target it reads, empty for none."""

    trigger: Trigger
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found, begun at this moment of `elapsed_s`. None with the reason where it failed."""

    state: TriggerState | None
    at: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A trigger as it was found, or as it was said to be: `blind` where nobody can look at it.

    `failure` is why it could not be looked at just now.
    """

    state: TriggerState
    blind: bool
    failure: ConfigurationError | None = None


UNKNOWN = Look(TriggerState(None), blind=False)


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


class Triggers:
    """Those of one migration. One step at a time.

    Every step raises ConfigurationError, which names the trigger and what to do, where one cannot be looked at or
    changed; what was done before that stays, and is remembered. All are idempotent.
    """

    def __init__(self, opened: Mapping[Place, Opened], store: StateStore, record: Record) -> None:
        self.step: Step | None = None
        self._busy = ""
        self._changed = anyio.Event()
        self.seen: dict[Place, Seen] = {}
        self._opened = dict(opened)
        self._store = store
        self._record = record

    @property
    def places(self) -> tuple[Place, ...]:
        """All of them, in the order of the config."""
        return tuple(self._opened)

    def pipeline(self, place: Place) -> str:
        """Whose target it reads; empty for none."""
        return self._opened[place].pipeline

    async def watch(self) -> None:
        """Looks at all of them, for ever, and at once when something was done."""
        while self._opened:
            self._changed = anyio.Event()
            await self.observe()
            with anyio.move_on_after(LOOK_INTERVAL_S):
                await self._changed.wait()

    async def observe(self) -> dict[Place, Seen]:
        """A look at each, kept in `seen`. One that fails does not hide the others."""
        note = await self._load()
        for place in self._opened:
            at = elapsed_s()
            try:
                self.seen[place] = Seen(await self._look(place, note), at)
            except ConfigurationError as error:
                self.seen[place] = Seen(None, at, str(error))
        return dict(self.seen)

    async def note(self) -> Note:
        """What is remembered."""
        return await self._load()

    async def plan(self, step: Step) -> list[Planned]:
        """What a step would do now, in its order. Changes nothing."""
        note = await self._load()
        if step is Step.UNDO:
            return [await self._plan_back(change, note) for change in reversed(note.changes) if change.is_ours]
        side, to = AIMS[step]
        return [await self._plan_turn(place, note, to=to) for place in self._of(side)]

    async def cordon(self, who: str) -> Progress:
        """Turns the AWS sides off."""
        return await self._turn_all(Step.CORDON, who)

    async def activate(self, who: str) -> Progress:
        """Turns the Azure sides on. Refused while an AWS side may be on: what it does would be done twice."""
        return await self._turn_all(Step.ACTIVATE, who)

    async def traffic(self, who: str) -> Progress:
        """Leads callers to Azure. Refused while an Azure side may be off: nobody would be there."""
        return await self._turn_all(Step.TRAFFIC, who)

    async def undo(self, who: str) -> Progress:
        """Puts back what was changed, newest first, and forgets it when all is back."""
        async with self._alone("an undo", Step.UNDO):
            note = await self._load()
            changes = [change for change in reversed(note.changes) if change.is_ours]
            looks = await self._look_at([self._require_opened(change.place) for change in changes], note)
            progress = await self._go_through(Step.UNDO, changes, Way(note, looks, who, back=True))
            if progress.complete:
                note.changes.clear()
                await self._save(note)
            return progress

    async def sign_off(self, name: str, step: str, who: str) -> None:
        """Takes somebody's word that a trigger is off or on: `step` is like `aws-off`. Only of those that cannot be
        looked at. Raises ConfigurationError.
        """
        side, _, word = step.partition("-")
        where = f"triggers.{name}"
        if step not in STEPS:
            raise ConfigurationError(where, f"{step} is no step", f"Use one of {', '.join(STEPS)}")
        place = Place(name, Side(side))
        if place not in self._opened:
            raise ConfigurationError(where, f"there is no trigger {place}", "Use a name of the config")
        if (await self._opened[place].trigger.observe()).enabled is not None:
            raise ConfigurationError(f"{where}.{side}", "can be looked at", "There is nothing to be signed off")
        async with self._alone("a sign-off"):
            note = await self._load()
            await self._tell(who, "sign a trigger off", place, f"{place}: {word}")
            note.signed[str(place)] = Signed(word == ON, who, utc_now())
            await self._save(note)

    async def _turn_all(self, step: Step, who: str) -> Progress:
        side, to = AIMS[step]
        async with self._alone(f"{step}", step):
            note = await self._load()
            if step in BEFORE:
                await self._require(*BEFORE[step], note)
            places = self._of(side)
            looks = await self._require_looks(places, note)
            await self._prepare(note, looks, to=to)
            changes = [change for change in (note.change(place) for place in places) if change is not None]
            return await self._go_through(step, changes, Way(note, looks, who))

    async def _require(self, side: Side, aim: bool, note: Note) -> None:
        for place, look in (await self._require_looks(self._of(side), note)).items():
            if look.state.enabled is not aim or not look.state.settled:
                how = f"is {_word(not aim)}" if look.state.enabled is not aim and look.state.enabled is not None else ""
                problem = f"{how or f'is not known to be {_word(aim)}'}, so {WHY[side]}"
                raise ConfigurationError(f"triggers.{place}", problem, FIRST[side])

    async def _prepare(self, note: Note, looks: Mapping[Place, Look], *, to: bool) -> None:
        """Remembers how each is now, all in one note. Of what is ours already the prior state is known, and stays."""
        found: list[Change] = []
        for place, look in looks.items():
            known, state = note.change(place), look.state
            if known is None or known.stage in {Stage.UNDONE, Stage.ALREADY, Stage.PLANNED}:
                if not state.settled:
                    problem = f"is being changed by somebody else ({state.detail})"
                    raise ConfigurationError(f"triggers.{place}", problem, "Wait until that has ended")
                found.append(Change(place, to, state.enabled, state.saved, state.detail, utc_now()))
        fresh = {change.place for change in found}
        note.changes[:] = [*(change for change in note.changes if change.place not in fresh), *found]
        await self._save(note)

    async def _go_through(self, step: Step, changes: Sequence[Change], way: Way) -> Progress:
        """Each in its turn; those that were asked for are waited for before one that is blind, and at the end."""
        done: list[Place] = []
        asked: list[Change] = []
        for change in changes:
            if way.looks[change.place].blind:
                await self._settle(asked, way)
                asked.clear()
                pending = await self._take_blind(change, way)
                if pending:
                    return Progress(step, tuple(done), pending)
            else:
                asked.append(change)
            done.append(change.place)
        await self._settle(asked, way)
        return Progress(step, tuple(done))

    async def _settle(self, changes: Sequence[Change], way: Way) -> None:
        """Asks for one after the other, and waits for all of them at once. What fails on the way back hinders no other.

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
            await self._tell(way.who, "put a trigger back", place, f"{place}: {_word(change.back)}")
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
            return Pending(place, f"{place.side}-{_word(aim)}", text)
        await self._call(change, way)
        return None

    async def _call(self, change: Change, way: Way) -> None:
        """A hook, which is believed when it has ended well, and not when it was killed in between."""
        place, note, aim = change.place, way.note, way.aim(change)
        note.signed.pop(str(place), None)
        await self._mark(note, change, change.stage if way.back else Stage.BEGUN)
        if way.back:
            await self._tell(way.who, "put a trigger back", place, f"{place}: {_word(aim)}")
        else:
            await self._tell_turn(change, way)
        await self._opened[place].trigger.set_enabled(aim)
        note.signed[str(place)] = Signed(aim, OURSELVES, utc_now())
        await self._mark(note, change, way.ends)

    async def _tell_turn(self, change: Change, way: Way) -> None:
        detail = f"{change.place}: {_word(change.before)} before"
        await self._tell(way.who, f"turn a trigger {_word(change.to)}", change.place, detail)

    async def _plan_turn(self, place: Place, note: Note, *, to: bool) -> Planned:
        state = await self._look(place, note)
        change = state.enabled is not to or not state.settled
        manual = self._opened[place].trigger.manual(enabled=to) if change else ""
        return Planned(place, state.enabled, to, change, manual, state.detail)

    async def _plan_back(self, change: Change, note: Note) -> Planned:
        trigger = self._opened[self._require_opened(change.place)].trigger
        state = await self._look(change.place, note)
        return Planned(
            change.place, state.enabled, change.back, True, trigger.manual(enabled=change.back), change.detail
        )

    async def _look(self, place: Place, note: Note) -> TriggerState:
        """As it is, or else as it was said to be."""
        return (await self._look_closely(place, note)).state

    async def _look_closely(self, place: Place, note: Note) -> Look:
        state = await self._opened[place].trigger.observe()
        signed = note.signed.get(str(place))
        if state.enabled is not None or signed is None:
            return Look(state, blind=state.enabled is None)
        said = f"by {signed.who}, {signed.at:%Y-%m-%d %H:%M:%S} UTC"
        return Look(replace(state, enabled=signed.enabled, detail=said), blind=True)

    async def _look_at(self, places: Iterable[Place], note: Note) -> dict[Place, Look]:
        """Several at once, in their order; one that fails does not hide the others."""
        room = anyio.CapacityLimiter(MOST_LOOKS)
        found: dict[Place, Look] = dict.fromkeys(places, UNKNOWN)

        async def look(place: Place) -> None:
            async with room:
                try:
                    found[place] = await self._look_closely(place, note)
                except ConfigurationError as error:
                    found[place] = replace(UNKNOWN, failure=error)

        async with anyio.create_task_group() as tasks:
            for place in found:
                tasks.start_soon(look, place)
        return found

    async def _require_looks(self, places: Iterable[Place], note: Note) -> dict[Place, Look]:
        """Raises ConfigurationError for the first of them that cannot be looked at."""
        looks = await self._look_at(places, note)
        for look in looks.values():
            if look.failure is not None:
                raise look.failure
        return looks

    def _of(self, side: Side) -> tuple[Place, ...]:
        return tuple(place for place in self._opened if place.side is side)

    def _require_opened(self, place: Place) -> Place:
        """The same place, where the config still has it."""
        if place not in self._opened:
            raise ConfigurationError(
                f"triggers.{place}",
                "was changed and is not in the config any more, so it cannot be put back",
                "Put it back into the config",
            )
        return place

    async def _tell(self, who: str, action: str, place: Place, detail: str) -> None:
        await self._record(who, action, self._opened[place].pipeline, detail)

    async def _mark(self, note: Note, change: Change, stage: Stage) -> Change:
        marked = note.mark(change, stage)
        await self._save(note)
        return marked

    async def _load(self) -> Note:
        return read_note(await self._store.load_note("", NOTE))

    async def _save(self, note: Note) -> None:
        await self._store.save_note("", NOTE, note_text(note))

    @asynccontextmanager
    async def _alone(self, what: str, step: Step | None = None) -> AsyncIterator[None]:
        """Raises ConfigurationError while another is under way. What was seen before counts no more after it."""
        if self._busy:
            raise ConfigurationError("triggers", f"{self._busy} is under way", "Wait until it has ended")
        self._busy, self.step = what, step
        try:
            yield
        except ConfigurationError as error:
            structlog.get_logger().error("triggers could not be changed", doing=what, error=str(error))
            raise
        finally:
            self._busy, self.step = "", None
            self.seen.clear()
            self._changed.set()


AIMS = {Step.CORDON: (Side.AWS, False), Step.ACTIVATE: (Side.AZURE, True), Step.TRAFFIC: (Side.TRAFFIC, True)}

BEFORE = {Step.ACTIVATE: (Side.AWS, False), Step.TRAFFIC: (Side.AZURE, True)}
"""How those of another side must be before a step is taken."""

WHY = {Side.AWS: "what it triggers would be done twice", Side.AZURE: "callers would find nobody"}
FIRST = {Side.AWS: "Cordon first", Side.AZURE: "Activate first"}


def _word(enabled: bool | None) -> str:
    return "unknown" if enabled is None else ON if enabled else OFF

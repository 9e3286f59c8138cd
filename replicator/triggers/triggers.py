"""Turns triggers off and on in the order of the config, and puts them back exactly.

Each is asked for in its turn; those that can be looked at are then waited for together, since services take their time.
What cannot be looked at, a hook or a person, begins when all before it is in force, and ends before what is behind it.

Every prior state is saved in one note before the first change, and each change is marked before and after it is made,
so that a step may be killed at any instruction: called again it goes on, and `undo` puts back what may have been
changed and nothing else. What cannot be looked at is known by what was done last, or by whoever has signed it off.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import structlog

from replicator.clocks import elapsed_s, utc_now
from replicator.errors import ConfigurationError
from replicator.ports import StateStore
from replicator.triggers.looking import Look, Opened, Seen, look, look_at, require
from replicator.triggers.model import Place, Planned, Progress, Side, Step, TriggerState, word_of
from replicator.triggers.note import NOTE, Change, Note, Signed, Stage, note_text, read_note
from replicator.triggers.turning import Record, Turning, Way

LOOK_INTERVAL_S = 30.0
"""From one look at all triggers to the next. Each is a call or two to its service."""

STEPS = tuple(f"{side}-{word}" for side in Side for word in ("off", "on"))
"""What may be signed off."""


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
        self._turning = Turning(self._opened, self._save, record)

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
            return [await self._plan_back(change, note) for change in back_from(note)]
        side, to = AIMS[step]
        return [await self._plan_turn(place, note, to=to) for place in self._of(side)]

    async def cordon(self, who: str) -> Progress:
        """Turns the AWS sides off."""
        return await self._turn_all(Step.CORDON, who)

    async def require_cordoned(self) -> None:
        """Raises ConfigurationError where an AWS side may be on."""
        await self._require(*BEFORE[Step.ACTIVATE], await self._load())

    async def activate(self, who: str) -> Progress:
        """Turns the Azure sides on. Refused while an AWS side may be on: what it does would be done twice."""
        return await self._turn_all(Step.ACTIVATE, who)

    async def traffic(self, who: str) -> Progress:
        """Leads callers to Azure. Refused while an Azure side may be off: nobody would be there."""
        return await self._turn_all(Step.TRAFFIC, who)

    async def undo(self, who: str) -> Progress:
        """Puts back what was changed, side after side, newest first, and forgets it when all is back. Nothing at AWS is
        turned on before all at Azure is off.
        """
        async with self._alone("an undo", Step.UNDO):
            note = await self._load()
            changes, gone = self._parted(back_from(note))
            looks = await look_at({change.place: self._opened[change.place] for change in changes}, note)
            progress = await self._turning.go_through(Step.UNDO, changes, Way(note, looks, who, back=True))
            if gone:
                self._require_opened(gone[0].place)
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
            await self._record(who, "sign a trigger off", self._opened[place].pipeline, f"{place}: {word}")
            note.signed[str(place)] = Signed(word == "on", who, utc_now())
            await self._save(note)

    async def _turn_all(self, step: Step, who: str) -> Progress:
        side, to = AIMS[step]
        async with self._alone(f"{step}", step):
            note = await self._load()
            if step in BEFORE:
                await self._require(*BEFORE[step], note)
            if step is Step.ACTIVATE and not any(c.is_ours and c.place.side is Side.AZURE for c in note.changes):
                note.activating_at = utc_now()  # saved with what is prepared, before anything is turned on
            looks = require(await look_at(self._of(side), note))
            await self._prepare(note, looks, to=to)
            changes = [change for change in map(note.change, looks) if change is not None]
            return await self._turning.go_through(step, changes, Way(note, looks, who))

    async def _require(self, side: Side, aim: bool, note: Note) -> None:
        for place, seen in require(await look_at(self._of(side), note)).items():
            state = seen.state
            if state.enabled is not aim or not state.settled:
                is_other = state.enabled is (not aim)
                how = f"is {word_of(not aim)}" if is_other else f"is not known to be {word_of(aim)}"
                raise ConfigurationError(f"triggers.{place}", f"{how}, so {WHY[side]}", FIRST[side])

    async def _prepare(self, note: Note, looks: Mapping[Place, Look], *, to: bool) -> None:
        """Remembers how each is now, all in one note. Of what is ours already the prior state is known, and stays."""
        found: list[Change] = []
        for place, seen in looks.items():
            known, state = note.change(place), seen.state
            if known is None or known.stage in {Stage.UNDONE, Stage.ALREADY, Stage.PLANNED}:
                if not state.settled:
                    problem = f"is being changed by somebody else ({state.detail})"
                    raise ConfigurationError(f"triggers.{place}", problem, "Wait until that has ended")
                found.append(Change(place, to, state.enabled, state.saved, state.detail, utc_now()))
        fresh = {change.place for change in found}
        note.changes[:] = [*(change for change in note.changes if change.place not in fresh), *found]
        await self._save(note)

    async def _plan_turn(self, place: Place, note: Note, *, to: bool) -> Planned:
        state = await self._look(place, note)
        change = state.enabled is not to or not state.settled
        manual = self._opened[place].trigger.manual(enabled=to) if change else ""
        return Planned(place, state.enabled, to, change, manual, state.detail)

    async def _plan_back(self, change: Change, note: Note) -> Planned:
        trigger = self._require_opened(change.place).trigger
        state = await self._look(change.place, note)
        return Planned(
            change.place, state.enabled, change.back, True, trigger.manual(enabled=change.back), change.detail
        )

    async def _look(self, place: Place, note: Note) -> TriggerState:
        """As it is, or else as it was said to be."""
        return (await look(place, self._opened[place].trigger, note)).state

    def _of(self, side: Side) -> dict[Place, Opened]:
        return {place: opened for place, opened in self._opened.items() if place.side is side}

    def _parted(self, changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
        """Those that can be put back, and those whose triggers have left the config, which stand in the way of all that
        is of another side.
        """
        gone = [change for change in changes if change.place not in self._opened]
        if not gone:
            return list(changes), []
        until = max(index for index, change in enumerate(changes) if change.place.side is gone[0].place.side)
        return [change for change in changes[: until + 1] if change.place in self._opened], gone

    def _require_opened(self, place: Place) -> Opened:
        if place not in self._opened:
            raise ConfigurationError(
                f"triggers.{place}",
                "was changed and is not in the config any more, so it cannot be put back",
                "Put it back into the config",
            )
        return self._opened[place]

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


def back_from(note: Note) -> list[Change]:
    """What an undo goes through, in its order. Pure."""
    ours = [change for change in reversed(note.changes) if change.is_ours]
    return sorted(ours, key=lambda change: BACKWARDS.index(change.place.side))


BACKWARDS = (Side.TRAFFIC, Side.AZURE, Side.AWS)
"""The sides in the order in which they are put back."""

AIMS = {Step.CORDON: (Side.AWS, False), Step.ACTIVATE: (Side.AZURE, True), Step.TRAFFIC: (Side.TRAFFIC, True)}

BEFORE = {Step.ACTIVATE: (Side.AWS, False), Step.TRAFFIC: (Side.AZURE, True)}
"""How those of another side must be before a step is taken."""

WHY = {Side.AWS: "what it triggers would be done twice", Side.AZURE: "callers would find nobody"}
FIRST = {Side.AWS: "Cordon first", Side.AZURE: "Activate first"}

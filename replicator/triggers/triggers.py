"""Turns triggers off and on, one after the other in the order of the config, and puts them back exactly.

Every prior state is saved in one note before the first change, and each change is marked before and after it is made,
so that a step may be killed at any instruction: called again it goes on, and `undo` puts back what may have been
changed and nothing else. What cannot be looked at is known by what was done last, or by whoever has signed it off.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
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

OURSELVES = "replicator"

OFF, ON = "off", "on"

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

    async def undo(self, who: str) -> Progress:
        """Puts back what was changed, newest first, and forgets it when all is back."""
        async with self._alone("an undo", Step.UNDO):
            note = await self._load()
            done: list[Place] = []
            for change in reversed(list(note.changes)):
                pending = await self._put_back(change, note, who)
                if pending:
                    return Progress(Step.UNDO, tuple(done), pending)
                done.append(change.place)
            note.changes.clear()
            await self._save(note)
            return Progress(Step.UNDO, tuple(done))

    async def sign_off(self, name: str, step: str, who: str) -> None:
        """Takes somebody's word that a trigger is off or on: `step` is like `aws-off`. Only of those that cannot be
        looked at. Raises ConfigurationError.
        """
        side, _, word = step.partition("-")
        where = f"triggers.{name}"
        if side not in set(Side) or word not in {OFF, ON}:
            raise ConfigurationError(where, f"{step} is no step", "Use aws-off, aws-on, azure-off or azure-on")
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
            if step is Step.ACTIVATE:
                await self._require_off(Side.AWS, note)
                if not any(change.is_ours and change.place.side is Side.AZURE for change in note.changes):
                    note.activating_at = utc_now()  # saved with what is prepared, before anything is turned on
            await self._prepare(note, self._of(side), to=to)
            done: list[Place] = []
            for place in self._of(side):
                pending = await self._turn(place, note, who, to=to)
                if pending:
                    return Progress(step, tuple(done), pending)
                done.append(place)
            return Progress(step, tuple(done))

    async def _require_off(self, side: Side, note: Note) -> None:
        for place in self._of(side):
            state = await self._look(place, note)
            if state.enabled is not False or not state.settled:
                how = "is on" if state.enabled else "is not known to be off"
                raise ConfigurationError(
                    f"triggers.{place}", f"{how}, so what it triggers would be done twice", "Cordon first"
                )

    async def _prepare(self, note: Note, places: tuple[Place, ...], *, to: bool) -> None:
        """Remembers how each is now, all in one note. Of what is ours already the prior state is known, and stays."""
        found: list[Change] = []
        for place in places:
            known = note.change(place)
            if known is None or known.stage in {Stage.UNDONE, Stage.ALREADY, Stage.PLANNED}:
                state = await self._look(place, note)
                if not state.settled:
                    problem = f"is being changed by somebody else ({state.detail})"
                    raise ConfigurationError(f"triggers.{place}", problem, "Wait until that has ended")
                found.append(Change(place, to, state.enabled, state.saved, state.detail, utc_now()))
        fresh = {change.place for change in found}
        note.changes[:] = [*(change for change in note.changes if change.place not in fresh), *found]
        await self._save(note)

    async def _turn(self, place: Place, note: Note, who: str, *, to: bool) -> Pending | None:
        change = note.change(place)
        assert change is not None  # noqa: S101 — it was prepared
        state = await self._look(place, note)
        is_there = state.enabled is to and state.settled
        if is_there:
            await self._mark(note, change, Stage.ALREADY if change.stage is Stage.PLANNED else Stage.DONE)
            return None
        text = self._opened[place].trigger.manual(enabled=to)
        if text:  # marked, since somebody may do it now and sign it off only after a restart
            await self._mark(note, change, Stage.BEGUN)
            return Pending(place, f"{place.side}-{ON if to else OFF}", text)
        await self._change(note, change, who, to=to)
        return None

    async def _change(self, note: Note, change: Change, who: str, *, to: bool) -> None:
        """Turns it, marked as begun before and as done after that."""
        place, trigger = change.place, self._opened[change.place].trigger
        blind = (await trigger.observe()).enabled is None
        if blind:
            note.signed.pop(str(place), None)
        change = await self._mark(note, change, Stage.BEGUN)
        await self._tell(who, f"turn a trigger {ON if to else OFF}", place, f"{place}: {_word(change.before)} before")
        await trigger.set_enabled(to)
        if blind:
            note.signed[str(place)] = Signed(to, OURSELVES, utc_now())
        await self._mark(note, change, Stage.DONE)

    async def _put_back(self, change: Change, note: Note, who: str) -> Pending | None:
        if not change.is_ours:
            return None
        place = change.place
        trigger = self._require_opened(place).trigger
        text = trigger.manual(enabled=change.back)
        if text and (await self._look(place, note)).enabled is not change.back:
            return Pending(place, f"{place.side}-{ON if change.back else OFF}", text)
        if not text:
            await self._restore(change, note, who)
        await self._mark(note, change, Stage.UNDONE)
        return None

    async def _restore(self, change: Change, note: Note, who: str) -> None:
        place, trigger = change.place, self._opened[change.place].trigger
        blind = (await trigger.observe()).enabled is None
        if blind and note.signed.pop(str(place), None) is not None:
            await self._save(note)
        await self._tell(who, "put a trigger back", place, f"{place}: {ON if change.back else OFF}")
        if not blind and change.before is not None:
            await trigger.restore(change.saved)
            return
        await trigger.set_enabled(change.back)
        note.signed[str(place)] = Signed(change.back, OURSELVES, utc_now())

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
        state = await self._opened[place].trigger.observe()
        signed = note.signed.get(str(place))
        if state.enabled is not None or signed is None:
            return state
        return replace(state, enabled=signed.enabled, detail=f"by {signed.who}, {signed.at:%Y-%m-%d %H:%M:%S} UTC")

    def _of(self, side: Side) -> tuple[Place, ...]:
        return tuple(place for place in self._opened if place.side is side)

    def _require_opened(self, place: Place) -> Opened:
        if place not in self._opened:
            raise ConfigurationError(
                f"triggers.{place}",
                "was changed and is not in the config any more, so it cannot be put back",
                "Put it back into the config",
            )
        return self._opened[place]

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


AIMS = {Step.CORDON: (Side.AWS, False), Step.ACTIVATE: (Side.AZURE, True)}


def _word(enabled: bool | None) -> str:
    return "unknown" if enabled is None else ON if enabled else OFF

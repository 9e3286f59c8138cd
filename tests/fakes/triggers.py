"""Triggers that do what they are told, and a process that may be killed at any instruction between."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.lowlevel import checkpoint

from fakes.stores import InlineStore
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.model import Finding
from replicator.ports import Trigger
from replicator.triggers.looking import Opened
from replicator.triggers.model import Place, Side, TriggerState
from replicator.triggers.triggers import Triggers


async def turn(trigger: Trigger, enabled: bool) -> None:
    """Asks for it, and waits for it."""
    await trigger.set_enabled(enabled)
    await trigger.settle(enabled)


async def put_back(trigger: Trigger, before: TriggerState) -> None:
    """Asks for what was there, and waits for it."""
    await trigger.restore(before.saved)
    assert before.enabled is not None
    await trigger.settle(before.enabled)


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class Thing:
    """What a trigger switches, in the cloud. `setting` is exact; None is absent, which counts as on."""

    setting: str | None = None
    visible: bool = True
    settled: bool = True
    takes_s: float = 0.0
    due_at: float = 0.0
    text: str = ""
    calls: list[str] = field(default_factory=list)
    fails: str = ""

    @property
    def enabled(self) -> bool:
        return self.setting not in {"off", "OFF"}


@dataclass
class ScriptedTrigger:
    """`step` is told before and after each effect; it may raise."""

    place: Place
    thing: Thing
    step: Callable[[str], None]

    async def observe(self) -> TriggerState:
        await checkpoint()
        if self.thing.fails == "observe":
            raise ConfigurationError(f"triggers.{self.place}", "cannot be looked at", "Mend it")
        if not self.thing.visible:
            return TriggerState(None)
        settled = self.thing.settled and elapsed_s() >= self.thing.due_at
        return TriggerState(self.thing.enabled, settled, repr(self.thing.setting))

    async def set_enabled(self, enabled: bool) -> None:
        assert not self.thing.text, "a person does that"
        if self.thing.enabled is not enabled or not self.thing.visible:
            await self._put("on" if enabled else "off")

    async def restore(self, saved: str) -> None:
        await self._put(None if saved == "None" else saved.strip("'"))

    async def settle(self, enabled: bool) -> None:
        await anyio.sleep(max(0.0, self.thing.due_at - elapsed_s()))

    def manual(self, *, enabled: bool) -> str:
        return f"{self.thing.text} {'on' if enabled else 'off'}" if self.thing.text else ""

    async def check(self) -> list[Finding]:
        return []

    async def _put(self, setting: str | None) -> None:
        self.step(f"before {self.place}")
        await checkpoint()
        if self.thing.fails == "set":
            raise ConfigurationError(f"triggers.{self.place}", "cannot be changed", "Mend it")
        self.thing.setting = setting
        self.thing.due_at = elapsed_s() + self.thing.takes_s
        self.thing.calls.append(f"{setting}")
        self.step(f"after {self.place}")
        await checkpoint()


class World:
    """Things at both sides, a state store, and processes that work on them. `kill_at` counts instructions."""

    def __init__(self, **things: Thing) -> None:
        """Named like `orders_aws`; their order is that of the config."""
        self.things = {Place(n, Side(s)): thing for name, thing in things.items() for n, s in [name.rsplit("_", 1)]}
        self.kill_at: int | None = None
        self.instructions = 0
        self.recorded: list[tuple[str, str, str, str]] = []
        self.store = InlineStore(self._step)

    def settings(self) -> dict[Place, str | None]:
        """Exactly."""
        return {place: thing.setting for place, thing in self.things.items()}

    def process(self, kill_at: int | None = None, *, without: str = "") -> Triggers:
        """A new one, with nothing in memory. It dies at this instruction."""
        self.kill_at, self.instructions = kill_at, 0
        opened = {
            place: Opened(ScriptedTrigger(place, thing, self._step), pipeline=place.name)
            for place, thing in self.things.items()
            if place.name != without
        }
        return Triggers(opened, self.store, self._record)

    async def _record(self, who: str, action: str, pipeline: str, detail: str) -> None:
        self._step("record")
        self.recorded.append((who, action, pipeline, detail))

    def _step(self, _: str) -> None:
        self.instructions += 1
        if self.instructions == self.kill_at:
            raise KilledError

"""The nouns of a plan. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class When(StrEnum):
    """NEVER is what replicator leaves alone: what would have to be done there is yours."""

    START = "start"
    RUNNING = "running"
    SWITCH = "switch"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Intended:
    """One kind of change, in words. `fix` is what is left to a person, with the command for it; empty for nothing."""

    when: When
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A change and where it would be made: a path in the config such as `pipelines.orders.target`."""

    when: When
    where: str
    text: str
    fix: str = ""


@runtime_checkable
class PlannedSource(Protocol):
    """A source that tells what is done to it. Called once it is connected; nothing is changed and nothing received."""

    async def planned(self) -> list[Intended]:
        """All that would ever be changed there, and what is left to the operator."""


@runtime_checkable
class PlannedTarget(Protocol):
    """A target that tells what is written to it. Called once it is connected; nothing is changed."""

    async def planned(self) -> list[Intended]:
        """All that would ever be changed there, but for the records and the marker, of which the engine knows."""


UNTOLD = Intended(When.RUNNING, "what is changed there is not told by its connector")

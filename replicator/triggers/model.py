"""The nouns of triggers. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Of an entry point: what runs it now, its twin that takes over, and what leads its callers to either.

    That one is off while it leads to AWS, and on when it leads to Azure.
    """

    AWS = "aws"
    AZURE = "azure"
    TRAFFIC = "traffic"


class Step(StrEnum):
    """What may be done with triggers: turn those of the one side off, those of the other on, lead callers there, or put
    all back.
    """

    CORDON = "cordon"
    ACTIVATE = "activate"
    TRAFFIC = "traffic"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Place:
    """Which trigger: the entry point's name in the config, and the side."""

    name: str
    side: Side

    def __str__(self) -> str:
        return f"{self.name}.{self.side}"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """A trigger as it was found. `enabled` None: it cannot be known. `settled`: nothing is under way there any more.

    `saved` is what `Trigger.restore` needs to put exactly this back; `detail` is for people. Neither holds secrets.
    """

    enabled: bool | None
    settled: bool = True
    saved: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a step would do to one trigger. `now` None is unknown; `manual` is what a person has to do, empty where
    nobody has to. `change`: whether anything would be done at all.
    """

    place: Place
    now: bool | None
    to: bool | None
    change: bool
    manual: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """A person must do this, and sign it off as `step` (`off` or `on`) of this place."""

    place: Place
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step has come. `done`: the triggers that are as the step wants them, by place; whatever comes behind
    one that is pending has not been touched.
    """

    step: Step
    done: tuple[Place, ...]
    pending: Pending | None = None

    @property
    def complete(self) -> bool:
        return self.pending is None


def word_of(enabled: bool | None) -> str:
    """For people."""
    return "unknown" if enabled is None else "on" if enabled else "off"

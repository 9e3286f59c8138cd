"""What a state store holds, in a form that every store can give and take: how it is carried from one into another."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from replicator.model import Action, Checkpoint, DeadLetter, LetterCount, PipelineState


@dataclass(frozen=True, slots=True)
class Identity:
    """That of the migration, which its targets know."""

    migration: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """A pipeline's state."""

    pipeline: str
    state: PipelineState


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a partition is."""

    pipeline: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Noted:
    """A note of a part of the engine."""

    pipeline: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The version of a key that was discarded."""

    pipeline: str
    key: str
    version: str


@dataclass(frozen=True, slots=True)
class Closed:
    """How many dead letters were closed in one way; there is one of these for each reason and outcome."""

    pipeline: str
    count: LetterCount


Entry: TypeAlias = Identity | Remembered | Reached | Noted | Unwanted | Closed | DeadLetter | Action

KINDS: dict[type, str] = {
    Identity: "identity",
    Remembered: "pipelines",
    Reached: "checkpoints",
    Noted: "notes",
    DeadLetter: "dead letters",
    Unwanted: "discarded versions",
    Closed: "counts of closed dead letters",
    Action: "operator actions",
}
"""What people call them."""


class Standing(StrEnum):
    """Whether a daemon may work with a store."""

    USABLE = "usable"
    FILLING = "filling"
    """It is being moved to, and what it holds is not whole."""
    MOVED = "moved"
    """What it holds is kept elsewhere since."""


@dataclass(frozen=True, slots=True)
class Standings:
    """How a store stands since the last move: `move` tells moves apart, `place` is that of the other store."""

    standing: Standing = Standing.USABLE
    move: str = ""
    place: str = ""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def read_standings(text: str | None) -> Standings:
    """The inverse of `Standings.text`; of what never took part in a move, nothing is written."""
    if text is None:
        return Standings()
    members = json.loads(text)
    return Standings(Standing(members["standing"]), members["move"], members["place"])


@dataclass(slots=True)
class Tally:
    """How many entries there are of each kind, and a sum of their digests, which no order changes."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS.values(), 0))
    digest: int = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Counts these too."""
        for entry in entries:
            self.counts[KINDS[type(entry)]] += 1
            text = json.dumps([type(entry).__name__, asdict(entry)], default=datetime.isoformat, sort_keys=True)
            self.digest = (self.digest + int.from_bytes(hashlib.sha256(text.encode()).digest())) % (1 << 256)

    @property
    def total(self) -> int:
        """Of all kinds."""
        return sum(self.counts.values())

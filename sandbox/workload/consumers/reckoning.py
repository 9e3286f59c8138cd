"""What came of the events: which nobody has worked on, and which more than once. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.workload.consumers.journal import Entry

TICKS = "ticks"
"""The kind of what a schedule does, which nobody has written."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """An event that was worked on more than once: where, and when first and last (Unix seconds)."""

    event: str
    kind: str
    sides: tuple[str, ...]
    first_at: float
    last_at: float


@dataclass(slots=True)
class Reckoning:
    """`lost` were written and never worked on, `unknown` were worked on and never written, ticks aside. `counts` is by
    kind and side.
    """

    lost: list[Entry] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def repeated_of(self, kind: str) -> list[Repeated]:
        """Those of a kind."""
        return [one for one in self.repeated if one.kind == kind]

    def handled(self, kind: str, side: str) -> int:
        """How often something of the kind was worked on at a side."""
        return self.counts.get((kind, side), 0)


def reckon(written: Iterable[Entry], worked_on: Iterable[Entry]) -> Reckoning:
    """Both lists as they were noted."""
    done: dict[str, list[Entry]] = defaultdict(list)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for entry in worked_on:
        done[entry.event].append(entry)
        counts[entry.kind, entry.side] += 1
    noted = {entry.event: entry for entry in written}
    return Reckoning(
        lost=[entry for event, entry in noted.items() if event not in done],
        repeated=[_repeated(entries) for entries in done.values() if len(entries) > 1],
        unknown=[event for event, entries in done.items() if event not in noted and entries[0].kind != TICKS],
        counts=dict(counts),
    )


def _repeated(entries: list[Entry]) -> Repeated:
    times = [entry.at for entry in entries]
    return Repeated(entries[0].event, entries[0].kind, tuple(entry.side for entry in entries), min(times), max(times))

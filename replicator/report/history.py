"""What a pipeline has come through, kept across restarts: its lag over time, its phases, counts, and rounds. No I/O.

It is bounded, and saved as one note. The lag is kept in stretches of equal length, each with the worst that was seen,
so that thinning never makes it look better; a stretch that was not observed has no point.
"""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from replicator.engine.rounds import Round
from replicator.status import PipelineStatus

STEP_S = 10.0
"""How long a stretch is at first."""

MOST_POINTS = 2000
"""More of them are thinned: two stretches become one."""

RECENT_STEP_S = 30.0
MOST_RECENT = 120
"""Stretches of the last hour, which are never thinned but forgotten."""

MOST_MOMENTS = 500
MOST_FIRST = 100
"""Moments that are kept from the beginning when there are too many; the others are the latest."""

MOST_ROUNDS = 100

NEVER_IN_SYNC = ""


@dataclass(slots=True)
class Stretch:
    """Number `index` from the epoch on, as long as those beside it."""

    index: int
    worst_s: float | None
    unknown: bool

    @classmethod
    def seen(cls, at: datetime, lag_s: float | None, step_s: float) -> "Stretch":
        """The one that a single look is in."""
        return cls(int(at.timestamp() // step_s), lag_s, unknown=lag_s is None)

    def take(self, other: "Stretch") -> None:
        """What the other one has shown was seen in this one."""
        known = [s for s in (self.worst_s, other.worst_s) if s is not None]
        self.worst_s = max(known, default=None)
        self.unknown = self.unknown or other.unknown


@dataclass(slots=True)
class Lags:
    """The lag over time. `worst_s` is the largest ever seen."""

    step_s: float = STEP_S
    stretches: list[Stretch] = field(default_factory=list)
    worst_s: float | None = None

    def take(self, at: datetime, lag_s: float | None) -> None:
        """What is seen now. A clock that was set back adds to the latest stretch."""
        if lag_s is not None:
            self.worst_s = max(lag_s, self.worst_s or 0.0)
        _add(self.stretches, Stretch.seen(at, lag_s, self.step_s))
        while len(self.stretches) > MOST_POINTS:
            self._thin()

    def _thin(self) -> None:
        before, self.stretches = self.stretches, []
        self.step_s *= 2
        for stretch in before:
            _add(self.stretches, Stretch(stretch.index // 2, stretch.worst_s, stretch.unknown))


@dataclass(slots=True)
class Recent:
    """The lag of the last hour before the latest look, in stretches that stay as short as they are."""

    stretches: list[Stretch] = field(default_factory=list)

    def take(self, at: datetime, lag_s: float | None) -> None:
        """What is seen now. A clock that was set back adds to the latest stretch."""
        _add(self.stretches, Stretch.seen(at, lag_s, RECENT_STEP_S))
        oldest = self.stretches[-1].index - MOST_RECENT + 1
        self.stretches = [stretch for stretch in self.stretches if stretch.index >= oldest]


def _add(stretches: list[Stretch], seen: Stretch) -> None:
    if stretches and seen.index <= stretches[-1].index:
        stretches[-1].take(seen)
    else:
        stretches.append(seen)


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened, and what is known of it."""

    at: datetime
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A round that came to its end, without the records that it names."""

    began_at: datetime
    ended_at: datetime
    clean: bool
    sample: int | None
    contents: bool
    repair: bool
    compared: int
    scanned: int
    differences: int
    repaired: int
    unsettled: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Of changes."""

    read: int = 0
    applied: int = 0
    coalesced: int = 0
    rejected: int = 0
    late: int = 0

    def plus(self, now: "Counts", before: "Counts") -> "Counts":
        """These, and what was added between the two others."""
        return Counts(
            self.read + now.read - before.read,
            self.applied + now.applied - before.applied,
            self.coalesced + now.coalesced - before.coalesced,
            self.rejected + now.rejected - before.rejected,
            self.late + now.late - before.late,
        )


@dataclass(slots=True)
class History:
    """Of one pipeline, over all runs. `phase` and `sync` are the latest that were seen."""

    lags: Lags = field(default_factory=Lags)
    moments: list[Seen] = field(default_factory=list)
    moments_left_out: int = 0
    rounds: list[Ended] = field(default_factory=list)
    rounds_left_out: int = 0
    counts: Counts = Counts()
    best_copied_per_s: float | None = None
    best_applied_per_s: float | None = None
    phase: str = ""
    sync: str = NEVER_IN_SYNC
    recent: Recent = field(default_factory=Recent)


class Witness:
    """Sees one pipeline in one run of the daemon, and adds to its history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._before = Counts()

    def began(self, at: datetime) -> None:
        """The daemon has started."""
        self._happened(Seen(at, "daemon started"))

    def see(self, at: datetime, status: PipelineStatus, round_: Round | None) -> bool:
        """The pipeline as it is; True when something happened that is worth saving at once."""
        history = self.history
        history.lags.take(at, status.lag_s)
        history.recent.take(at, status.lag_s)
        now = Counts(status.read, status.applied, status.coalesced, status.rejected, status.late)
        history.counts, self._before = history.counts.plus(now, self._before), now
        history.best_copied_per_s = max(status.copied_per_s, history.best_copied_per_s or 0.0)
        history.best_applied_per_s = max(status.applied_per_s, history.best_applied_per_s or 0.0)
        changed = [self._phase(at, status), self._sync(at, status), self._round(round_)]
        return any(changed)

    def _phase(self, at: datetime, status: PipelineStatus) -> bool:
        if status.phase == self.history.phase:
            return False
        self.history.phase = status.phase
        self._happened(Seen(at, status.phase, "repairing" if status.repairing else status.failure))
        return True

    def _sync(self, at: datetime, status: PipelineStatus) -> bool:
        """Being in sync, and losing it; that it has not come to it yet is nothing that happened."""
        now = status.sync.state if status.sync else NEVER_IN_SYNC
        if now == self.history.sync or status.sync is None or (not self.history.sync and now != "in_sync"):
            return False
        self.history.sync = now
        self._happened(Seen(at, "in sync") if now == "in_sync" else Seen(at, "no longer in sync", status.sync.reason))
        return True

    def _round(self, round_: Round | None) -> bool:
        if round_ is None or round_.ended_at is None:
            return False
        rounds = self.history.rounds
        if rounds and (rounds[-1].began_at, rounds[-1].ended_at) == (round_.began_at, round_.ended_at):
            return False
        rounds.append(ended(round_, round_.ended_at))
        if len(rounds) > MOST_ROUNDS:
            del rounds[0]
            self.history.rounds_left_out += 1
        return True

    def _happened(self, moment: Seen) -> None:
        self.history.moments.append(moment)
        if len(self.history.moments) > MOST_MOMENTS:
            del self.history.moments[MOST_FIRST]
            self.history.moments_left_out += 1


def ended(round_: Round, at: datetime) -> Ended:
    """What is remembered of a round that ended then."""
    return Ended(
        began_at=round_.began_at,
        ended_at=at,
        clean=round_.is_clean,
        sample=round_.ask.sample,
        contents=round_.ask.contents,
        repair=round_.ask.repair,
        compared=round_.compared,
        scanned=round_.scanned,
        differences=round_.differences,
        repaired=round_.repaired,
        unsettled=round_.unsettled,
        foreign=round_.foreign,
    )


_HISTORY = TypeAdapter(History)


def write_history(history: History) -> str:
    """As text, for the state store."""
    return _HISTORY.dump_json(history).decode()


def read_history(text: str | None) -> History:
    """The inverse; one that cannot be read, as of another release, is begun anew."""
    try:
        return History() if text is None else _HISTORY.validate_json(text)
    except ValidationError:
        return History()

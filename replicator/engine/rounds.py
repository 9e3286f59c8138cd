"""A round of verification as it is remembered: how far it has come, what is doubted, and what was found. No I/O.

All of it is bounded and saved together, so that a restart goes on where it was saved, with nothing counted twice.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from replicator.engine.comparing import Pair, is_held
from replicator.engine.guards import MARGIN
from replicator.model import Observed

MOST_NAMED = 1000
"""Differences named one by one; more are only counted."""

ABSENT = "absent"
UNREADABLE = "not as replicator wrote it"
WAITING = "(messages)"
"""Stands for messages whose ids are not known."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a round is to do: look at `sample` records only (None: at all), at `contents`, and to `repair`. `fast`: as
    fast as the source's budget allows.
    """

    sample: int | None = None
    contents: bool = False
    repair: bool = False
    fast: bool = False

    def covers(self, other: "Ask") -> bool:
        """Whether a round that does this does the other as well."""
        enough = self.sample is None or (other.sample is not None and other.sample <= self.sample)
        return enough and all(getattr(self, what) >= getattr(other, what) for what in ("contents", "repair", "fast"))


@dataclass(slots=True)
class Leg:
    """One bounded partition of the source: `records` of it were compared, `position` is where to go on."""

    partition: str
    position: str | None = None
    records: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """A key whose sides differed, both seen before `seen_at` by the source's clock, the target before the source.

    `tries` counts how often something has changed since. `mended`: it took the guarded procedure and differs still.
    """

    key: str
    seen_at: datetime
    expected: str | None
    version: str
    found: Observed
    tries: int = 0
    mended: bool = False

    def is_due(self, through: datetime | None) -> bool:
        """Whether all that was committed until it was seen is at the target by now, as far as can be known."""
        return through is not None and through > self.seen_at + MARGIN

    def is_over(self, pair: Pair) -> bool:
        """Whether the target has come to what the source holds, or to what it held when this was seen."""
        return pair.is_equal or is_held(self.expected, pair.found)

    def is_unchanged(self, pair: Pair) -> bool:
        """Whether neither side has changed since."""
        return (pair.expected, pair.found) == (self.expected, self.found)


@dataclass(frozen=True, slots=True)
class Difference:
    """One that was found: `kind` is missing, different, extra, misplaced, foreign, lost, waiting, in_hand or unsettled.

    `source` and `target` are the versions that either side shows; `reason` is that of the key's dead letter, if any.
    """

    key: str
    kind: str
    source: str
    target: str
    reason: str = ""
    repaired: bool = False


@dataclass(slots=True)
class Round:
    """One round. `began_at`, by the source's clock, names it and is the time of which a clean one is evidence.

    `through_at` is when everything had been gone through, but for what is doubted. `fast`: until then it went as fast
    as the source's budget allows, and in one go.

    `legs` is None until the partitions are listed. `compared` counts the source's records, `scanned` the target's;
    `foreign` are entries there that are not ours, counted apart. `differences` are those that are left, among them
    messages that are `waiting` in a queue that was received to its end.
    """

    began_at: datetime
    ask: Ask = Ask()
    fast: bool = False
    through_at: datetime | None = None
    legs: list[Leg] | None = None
    position: str | None = None
    scan_done: bool = False
    compared: int = 0
    scanned: int = 0
    differences: int = 0
    repaired: int = 0
    unsettled: int = 0
    foreign: int = 0
    waiting: int = 0
    doubts: dict[str, Doubt] = field(default_factory=dict)
    findings: dict[str, Difference] = field(default_factory=dict)
    ended_at: datetime | None = None

    @property
    def is_clean(self) -> bool:
        return self.ended_at is not None and not (self.differences or self.unsettled or self.foreign)

    def differs(self, difference: Difference) -> bool:
        """Counts a difference, and names it if there is room; False where it is known already. One that was repaired,
        and differs again, is another one.
        """
        known = self.findings.get(difference.key)
        if known is not None and not known.repaired:
            return False
        self.differences += 1
        self._name(difference)
        return True

    def is_repaired(self, key: str) -> None:
        """One that was counted is none any more."""
        self.differences -= 1
        self._repaired(key)

    def is_foreign(self, entry: Difference) -> None:
        """Something at the target that is not ours."""
        self.foreign += 1
        self._name(entry)

    def is_removed(self, handle: str) -> None:
        """Something that was not ours is gone."""
        self.foreign -= 1
        self._repaired(handle)

    def is_unsettled(self, difference: Difference) -> None:
        """Nothing can be said of this one."""
        self.unsettled += 1
        self._name(difference)

    def waits(self, messages: int) -> None:
        """So many are in the queue and were not passed on; which ones is not known without receiving them."""
        self.waiting = messages
        self.differences += messages
        self._name(Difference(WAITING, "waiting", f"{messages}", ABSENT))

    def _repaired(self, key: str) -> None:
        self.repaired += 1
        if key in self.findings:
            self.findings[key] = replace(self.findings[key], repaired=True)

    def _name(self, difference: Difference) -> None:
        if len(self.findings) < MOST_NAMED:
            self.findings[difference.key] = difference


@dataclass(frozen=True, slots=True)
class Proof:
    """What the last round over everything has left, or a later one has found beyond that.

    `contents`: differences may be in contents, which only a round that looks at these shows to be gone.
    """

    began_at: datetime
    ended_at: datetime
    differences: int
    unsettled: int
    contents: bool = False


@dataclass(slots=True)
class Note:
    """What is remembered: the round under way or the last one, the last one over everything, and since when the target
    is known to be right: when the last clean one began. `fast_s`: how long the last fast one over everything took,
    without waiting for what was doubted: writers make that, and a drain has none. `fast_compared`: how many records of
    the source it compared.
    """

    round: Round | None = None
    proof: Proof | None = None
    clean_since: datetime | None = None
    fast_s: float | None = None
    fast_compared: int | None = None

    def begin(self, round_: Round) -> None:
        """In place of the one under way, if any; what that has found is not passed over."""
        if self.round is not None and self.is_under_way:
            self._worsen(self.round)
        self.round = round_

    @property
    def is_under_way(self) -> bool:
        return self.round is not None and self.round.ended_at is None

    def ended(self) -> None:
        """The round has come to its end. One over a part proves nothing, but what it finds is not passed over."""
        found = self.round
        assert found is not None  # noqa: S101
        assert found.ended_at is not None  # noqa: S101
        if found.ask.sample is not None:
            self._worsen(found)
            return
        if found.fast and found.through_at is not None and not found.ask.contents:
            self.fast_s = (found.through_at - found.began_at).total_seconds()
            self.fast_compared = found.compared
        left = self._left_in_contents if not found.ask.contents else 0
        self.proof = Proof(
            found.began_at,
            found.ended_at,
            differences=max(found.differences, left),
            unsettled=found.unsettled,
            contents=found.ask.contents or left > 0,
        )
        self.clean_since = found.began_at if found.is_clean and not left else self.clean_since

    @property
    def _left_in_contents(self) -> int:
        """Differences that may be where a round that looks at records alone sees nothing."""
        return self.proof.differences if self.proof is not None and self.proof.contents else 0

    def _worsen(self, found: Round) -> None:
        """Adds to the proof what a round has found that is none itself."""
        if self.proof is not None:
            self.proof = replace(
                self.proof,
                differences=max(self.proof.differences, found.differences),
                unsettled=max(self.proof.unsettled, found.unsettled),
                contents=self.proof.contents or (found.ask.contents and found.differences > 0),
            )


_NOTE = TypeAdapter(Note)


def write_note(note: Note) -> str:
    """As text, for the state store."""
    return _NOTE.dump_json(note).decode()


def read_note(text: str | None) -> Note:
    """The inverse; one that cannot be read, as of another release, is forgotten."""
    try:
        return Note() if text is None else _NOTE.validate_json(text)
    except ValidationError:
        return Note()


def difference_of(pair: Pair, kind: str = "", reason: str = "") -> Difference:
    """Names both versions of a pair that is not equal: what each side calls it, and the digest of what it shows."""
    return Difference(pair.key, kind or pair.kind.value, _source(pair), _target(pair.found), reason)


def _source(pair: Pair) -> str:
    if pair.expected is None:
        return ABSENT
    return " ".join(filter(None, (pair.version, pair.expected.strip()))) or "a record that the target cannot hold"


def _target(found: Observed) -> str:
    if found.guard is None:
        return ABSENT
    return f"{found.version} {found.digest}".strip() if found.digest else UNREADABLE

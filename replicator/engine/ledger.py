"""What became of the messages of a queue, by id, in a window: they cannot be looked up again once they have passed."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

MOST_IDS = 10_000
"""Messages that are remembered, the newest."""

MOST_LOST = 1000
"""Lost ones that are named."""


class Fate(StrEnum):
    """IN_HAND: received, and nothing has become of it yet. REFUSED: it is a dead letter, or was one that was
    discarded. LOST: settled at the source without being at the target or any of that, which must never be.
    """

    IN_HAND = "in_hand"
    FORWARDED = "forwarded"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(slots=True)
class LedgerNote:
    """What is saved: ids by their fate, oldest first; and how many were lost in all."""

    forwarded: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lost_count: int = 0


_NOTE = TypeAdapter(LedgerNote)


class Ledger:
    """Told of every message when it is received, when the target has answered, and when the source is told so.

    What was in hand when a process ended is forgotten: it was not settled, so it comes again.
    """

    def __init__(self) -> None:
        self.changed = False
        self.lost: dict[str, None] = {}
        self.lost_count = 0
        self._fates: OrderedDict[str, Fate] = OrderedDict()

    @property
    def counts(self) -> dict[str, int]:
        """How many of the messages in the window have met which fate."""
        found = Counter(fate.value for fate in self._fates.values())
        return {**{fate.value: found[fate.value] for fate in Fate}, Fate.LOST.value: self.lost_count}

    @property
    def in_hand(self) -> set[str]:
        """The messages that are on their way."""
        return {id_ for id_, fate in self._fates.items() if fate is Fate.IN_HAND}

    def received(self, ids: Iterable[str]) -> None:
        """These were received. What has met its fate before keeps it, whoever else is still to settle it."""
        for id_ in ids:
            self._note(id_, self._fates.pop(id_, Fate.IN_HAND))

    def answered(self, ids: Iterable[str], refused: Iterable[str]) -> None:
        """The target has taken these, or they are durable dead letters."""
        rejected = set(refused)
        for id_ in ids:
            self._note(id_, Fate.REFUSED if id_ in rejected else Fate.FORWARDED)

    def settled(self, ids: Iterable[str]) -> None:
        """The source will not deliver these again."""
        for id_ in ids:
            if self._fates.get(id_) is Fate.IN_HAND:
                self._note(id_, Fate.LOST)
                self.lost_count += 1
                if len(self.lost) < MOST_LOST:
                    self.lost[id_] = None

    def write(self) -> str:
        """As text, for the state store."""
        self.changed = False
        by = {fate: [id_ for id_, found in self._fates.items() if found is fate] for fate in Fate}
        note = LedgerNote(by[Fate.FORWARDED], by[Fate.REFUSED], list(self.lost), self.lost_count)
        return _NOTE.dump_json(note).decode()

    def read(self, text: str | None) -> None:
        """Takes up what was written; what cannot be read, as of another release, is forgotten."""
        try:
            note = LedgerNote() if text is None else _NOTE.validate_json(text)
        except ValidationError:
            note = LedgerNote()
        self.lost, self.lost_count = dict.fromkeys(note.lost), note.lost_count
        known = {**dict.fromkeys(note.forwarded, Fate.FORWARDED), **dict.fromkeys(note.refused, Fate.REFUSED)}
        self._fates = OrderedDict({**known, **self._fates})
        self.changed = False

    def _note(self, id_: str, fate: Fate) -> None:
        self._fates[id_] = fate
        self.changed = True
        while len(self._fates) > MOST_IDS:
            self._fates.popitem(last=False)

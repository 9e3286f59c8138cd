"""What is remembered of triggers: their prior states, what was changed since, and what people have signed off.

One note of the migration, saved before anything is changed in a cloud. It is what an undo goes by, so it is read
strictly: what cannot be read is never taken for an empty one.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

from replicator.errors import ConfigurationError
from replicator.triggers.model import Place

NOTE = "triggers"

UNREADABLE_FIX = "Use the version of replicator that has written it, or restore the state store from a backup"


class Stage(StrEnum):
    """Of a change. BEGUN: it may have taken effect. ALREADY: there was nothing to do, so there is nothing to undo."""

    PLANNED = "planned"
    ALREADY = "already"
    BEGUN = "begun"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Change:
    """One trigger that is to be turned to `to`. `before` and `saved` are its prior state, `at` when that was seen."""

    place: Place
    to: bool
    before: bool | None
    saved: str
    detail: str
    at: datetime
    stage: Stage = Stage.PLANNED

    @property
    def is_ours(self) -> bool:
        """Whether the trigger may be as it is by our doing."""
        return self.stage in {Stage.BEGUN, Stage.DONE}

    @property
    def back(self) -> bool:
        """What undoing it leads to: of one whose prior state nobody knew, the opposite of what was done."""
        return not self.to if self.before is None else self.before


@dataclass(frozen=True, slots=True)
class Signed:
    """What somebody has said about a trigger that cannot be looked at."""

    enabled: bool
    who: str
    at: datetime


@dataclass(slots=True)
class Note:
    """Changes in the order in which they are made; what was said, by the text of the place.

    `activating_at`: a moment before the first of the Azure sides was turned on, by the daemon's clock, None where that
    was never begun. An undo leaves it, since a function may have run by then.
    """

    changes: list[Change] = field(default_factory=list)
    signed: dict[str, Signed] = field(default_factory=dict)
    activating_at: datetime | None = None

    def change(self, place: Place) -> Change | None:
        """The change of a trigger, if there is one."""
        return next((change for change in self.changes if change.place == place), None)

    def put(self, change: Change) -> None:
        """Replaces the change of that trigger where it stands, or adds it at the end."""
        for index, other in enumerate(self.changes):
            if other.place == change.place:
                self.changes[index] = change
                return
        self.changes.append(change)

    def mark(self, change: Change, stage: Stage) -> Change:
        """The same change in another stage, put in its place."""
        marked = replace(change, stage=stage)
        self.put(marked)
        return marked


_NOTE = TypeAdapter(Note)


def read_note(text: str | None) -> Note:
    """Raises ConfigurationError for one that cannot be read: without it nothing could be put back."""
    if text is None:
        return Note()
    try:
        return _NOTE.validate_json(text)
    except ValidationError as error:
        problem = f"the note about triggers in the state store cannot be read ({error.error_count()} mistakes)"
        raise ConfigurationError("triggers", problem, UNREADABLE_FIX) from None


def note_text(note: Note) -> str:
    """As it is stored."""
    return _NOTE.dump_json(note).decode()

"""Writes after the fence, as they are remembered. Pure."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

NOTE = "late"


@dataclass(frozen=True, slots=True)
class Late:
    """Writes after the fence: how many, when the last of them was, and the first records by their keys."""

    count: int = 0
    last_at: datetime | None = None
    keys: tuple[str, ...] = ()

    def note(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), default=datetime.isoformat)


def read_note(text: str | None) -> Late:
    """The inverse of `Late.note`; none where there is no note."""
    if text is None:
        return Late()
    members = json.loads(text)
    at = members["last_at"]
    return Late(members["count"], None if at is None else datetime.fromisoformat(at), tuple(members["keys"]))

"""What was done: one line an event, on the disk when `note` returns."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of a kind (`orders`, the name of a queue, …) that was written or worked on at a side, `at` in Unix
    seconds.
    """

    event: str
    kind: str
    side: str
    at: float


class Journal:
    """Appends to a file of its own, which it makes where there is none."""

    def __init__(self, path: Path, side: str) -> None:
        self._side = side
        self._path = path

    def note(self, kind: str, event: str) -> None:
        """Durable when this returns."""
        entry = Entry(event, kind, self._side, time.time())
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(asdict(entry)).encode() + b"\n")
            os.fsync(file.fileno())


def read_journal(path: Path) -> list[Entry]:
    """All that was noted; nothing where there is no file. A line that is being written is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Entry(**json.loads(line)) for line in lines if line.endswith("\n")]

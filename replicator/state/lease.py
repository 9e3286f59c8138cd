"""The lease on one SQLite file: which of the processes that have it open may change what is in it.

A lease of the same boot of the same machine ends by the clock that both processes share. One of another boot, or
another machine that the file was moved from, has no clock in common: whoever asks waits a full duration during which
nobody renews it.
"""

import sqlite3
from pathlib import Path

from replicator.clocks import elapsed_s
from replicator.errors import LeaseLostError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Lease:
    """The table `lease`, as one process sees it. Each method is called within a transaction.

    `_owner` is who has acquired it through this object; `_watched` remembers since when a lease without a common clock
    has not been renewed.
    """

    def __init__(self, boot: str | None = None) -> None:
        self._boot = boot or (BOOT_ID.read_text().strip() if BOOT_ID.exists() else "this boot")
        self._owner: str | None = None
        self._watched: tuple[str, int, float] = ("", 0, 0.0)

    def acquire(self, db: sqlite3.Connection, owner: str, duration_s: float) -> float:
        """Takes or renews; returns 0, or how many seconds the present holder has left.

        Raises LeaseLostError when `owner` held it and somebody else has taken it since, be it given back by now.
        """
        if owner == self._owner:
            self.require(db)
        held = _held(db)
        left_s = 0.0 if held is None or held["owner"] == owner else self._left_s(held)
        if left_s > 0:
            return left_s
        serial = 0 if held is None else held["serial"] + 1
        row = (owner, self._boot, elapsed_s() + duration_s, duration_s, serial)
        db.execute("INSERT OR REPLACE INTO lease VALUES (1,?,?,?,?,?)", row)
        self._owner = owner
        return 0.0

    def require(self, db: sqlite3.Connection) -> None:
        """Raises LeaseLostError when it was acquired through this object and somebody else has taken it since.

        Its end does not matter: as long as nobody else has taken it, nobody else has read what is about to change.
        """
        held = _held(db)
        if self._owner is not None and held is not None and held["owner"] != self._owner:
            raise LeaseLostError(f"another daemon has taken the migration over ({held['owner']})")

    def release(self, db: sqlite3.Connection, owner: str, linger_s: float) -> None:
        """Ends our lease `linger_s` from now; leaves somebody else's alone."""
        db.execute("UPDATE lease SET ends_at = ? WHERE owner = ?", (elapsed_s() + linger_s, owner))

    def _left_s(self, held: sqlite3.Row) -> float:
        if held["boot"] == self._boot:
            return float(held["ends_at"]) - elapsed_s()
        *lease, seen_since = self._watched
        if lease != [held["owner"], held["serial"]]:
            seen_since = elapsed_s()
            self._watched = (held["owner"], held["serial"], seen_since)
        return seen_since + float(held["duration_s"]) - elapsed_s()


def _held(db: sqlite3.Connection) -> sqlite3.Row | None:
    held: sqlite3.Row | None = db.execute("SELECT * FROM lease").fetchone()
    return held

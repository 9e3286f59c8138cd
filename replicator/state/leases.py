"""Leases between processes that share one SQLite file.

A lease of the same boot of the same machine ends by the clock that both processes share. One of another boot, or
another machine that the file was moved from, has no clock in common: whoever asks waits a full duration during which
nobody renews it.
"""

import sqlite3
from pathlib import Path

from replicator.clocks import elapsed_s

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Leases:
    """The table `leases`; `watched` remembers since when a lease without a common clock has not been renewed."""

    def __init__(self, boot: str | None = None) -> None:
        self._boot = boot or (BOOT_ID.read_text().strip() if BOOT_ID.exists() else "this boot")
        self._watched: dict[str, tuple[str, int, float]] = {}

    def acquire(self, db: sqlite3.Connection, resource: str, owner: str, duration_s: float) -> float:
        """Takes or renews; returns 0, or how many seconds the present holder has left."""
        held = db.execute("SELECT * FROM leases WHERE resource = ?", (resource,)).fetchone()
        left_s = 0.0 if held is None or held["owner"] == owner else self._left_s(held)
        if left_s > 0:
            return left_s
        serial = 0 if held is None else held["serial"] + 1
        row = (resource, owner, self._boot, elapsed_s() + duration_s, duration_s, serial)
        db.execute("INSERT OR REPLACE INTO leases VALUES (?,?,?,?,?,?)", row)
        return 0.0

    def release(self, db: sqlite3.Connection, resource: str, owner: str, linger_s: float) -> None:
        """Ends our lease `linger_s` from now; leaves somebody else's alone."""
        ends_at = elapsed_s() + linger_s
        db.execute("UPDATE leases SET ends_at = ? WHERE resource = ? AND owner = ?", (ends_at, resource, owner))

    def _left_s(self, held: sqlite3.Row) -> float:
        if held["boot"] == self._boot:
            return float(held["ends_at"]) - elapsed_s()
        *lease, seen_since = self._watched.get(held["resource"], ("", 0, 0.0))
        if lease != [held["owner"], held["serial"]]:
            seen_since = elapsed_s()
            self._watched[held["resource"]] = (held["owner"], held["serial"], seen_since)
        return seen_since + float(held["duration_s"]) - elapsed_s()

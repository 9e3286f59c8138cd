"""What has become of dead letters, counted in the step that closes them. A bounded number of reasons is kept."""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from replicator.model import DeadLetter, LetterCount, Outcome
from replicator.naming import without

MOST_REASONS = 100
"""Of a pipeline; what is refused for yet another one counts as `OTHERS`."""

MOST_REASON = 300
"""Characters."""

MOST_LOOKED_AT = 100_000
"""Open dead letters whose reasons are looked at; more of them count as `OTHERS`, since the store waits meanwhile."""

OTHERS = "other reasons"


def tally(db: sqlite3.Connection, closed: Sequence[DeadLetter], outcome: Outcome) -> None:
    """Counts these, which are being closed."""
    for (pipeline, reason), number in Counter((d.pipeline, nameless(d.reason, d.key)) for d in closed).items():
        _add(db, pipeline, reason, outcome, number)


def close_all(db: sqlite3.Connection, pipeline: str, outcome: Outcome) -> None:
    """Closes every one of a pipeline."""
    for reason, number in _open(db, pipeline).items():
        _add(db, pipeline, reason, outcome, number)
    db.execute("DELETE FROM dead_letters WHERE pipeline = ?", (pipeline,))


def count(db: sqlite3.Connection, pipeline: str) -> list[LetterCount]:
    """See `StateStore.count_letters`."""
    rows = db.execute(
        "SELECT reason, outcome, count FROM closed_letters WHERE pipeline = ? ORDER BY reason, outcome", (pipeline,)
    )
    closed = [LetterCount(row["reason"], Outcome(row["outcome"]), row["count"]) for row in rows]
    return [LetterCount(reason, Outcome.OPEN, n) for reason, n in _open(db, pipeline).items()] + closed


def nameless(reason: str, key: str) -> str:
    """A reason as it would be of any other key."""
    return without(reason, key)[:MOST_REASON]


def _open(db: sqlite3.Connection, pipeline: str) -> dict[str, int]:
    (total,) = db.execute("SELECT COUNT(*) FROM dead_letters WHERE pipeline = ?", (pipeline,)).fetchone()
    rows = db.execute("SELECT key, reason FROM dead_letters WHERE pipeline = ? LIMIT ?", (pipeline, MOST_LOOKED_AT))
    found = Counter(nameless(row["reason"], row["key"]) for row in rows)
    kept = dict(found.most_common(MOST_REASONS))
    others = total - sum(kept.values())
    return {**kept, OTHERS: kept.get(OTHERS, 0) + others} if others else kept


def _add(db: sqlite3.Connection, pipeline: str, reason: str, outcome: Outcome, number: int) -> None:
    known = {row["reason"] for row in db.execute("SELECT reason FROM closed_letters WHERE pipeline = ?", (pipeline,))}
    told = reason if reason in known or len(known) < MOST_REASONS else OTHERS
    db.execute(
        "INSERT INTO closed_letters VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        (pipeline, told, outcome.value, number),
    )

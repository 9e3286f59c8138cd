"""What open dead letters leave of the watermark. Pure."""

from datetime import datetime

from replicator.model import DeadLetterSummary


def held_back(watermark: datetime | None, dead_letters: DeadLetterSummary) -> datetime | None:
    """The watermark no later than the oldest change that is missing.

    A copied row has no commit time of its own but was committed before it was read; nothing is known then.
    """
    if watermark is None or dead_letters.copied_row:
        return None
    missing = dead_letters.oldest_commit
    return watermark if missing is None else min(watermark, missing)

"""What other replicas do for a pipeline, as each reports it at its beats: only the one that leads tells operators."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica has done for one pipeline since it joined, and how its calls are going.

    The counts are those of `Totals`. `suspects` are keys with a request of unknown outcome, `degraded` says of each
    side whose calls keep failing why.
    """

    read: int = 0
    applied: int = 0
    coalesced: int = 0
    rejected: int = 0
    late: int = 0
    suspects: int = 0
    concurrency: int = 0
    throttled_at: datetime | None = None
    degraded: dict[str, str] = field(default_factory=dict)


NOTHING = Report()


class Elsewhere:
    """The latest reports on one pipeline, by session: a replica that joins again counts from the beginning, while
    nobody may have noticed yet that it had gone.
    """

    def __init__(self) -> None:
        self._reports: dict[object, Report] = {}
        self._throttled_at: datetime | None = None

    def take(self, session: object, report: Report) -> Report:
        """Returns what has become known by it, in counts."""
        before = self._reports.get(session, NOTHING)
        self._reports[session] = report
        if report.throttled_at is not None:
            self._throttled_at = max(report.throttled_at, self._throttled_at or report.throttled_at)
        return Report(
            read=report.read - before.read,
            applied=report.applied - before.applied,
            coalesced=report.coalesced - before.coalesced,
            rejected=report.rejected - before.rejected,
            late=report.late - before.late,
        )

    def forget(self, session: object) -> None:
        """It has left; what it has done stays counted."""
        self._reports.pop(session, None)

    @property
    def suspects(self) -> int:
        """Keys with a request of unknown outcome."""
        return sum(report.suspects for report in self._reports.values())

    @property
    def concurrency(self) -> int:
        """Requests that may be under way at the target at once."""
        return sum(report.concurrency for report in self._reports.values())

    @property
    def throttled_at(self) -> datetime | None:
        """When the target last refused a request as one too many."""
        return self._throttled_at

    @property
    def degraded(self) -> dict[str, str]:
        """Why calls to a side keep failing at one of them."""
        return {side: reason for report in self._reports.values() for side, reason in report.degraded.items()}

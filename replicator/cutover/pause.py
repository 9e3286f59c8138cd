"""The pause that clients see, measured by a client of our own: requests at intervals while a switch is under way. Pure.

A pause is the time from the end of a request that worked to the end of the next one that did, where one between them
failed, or where nobody tried, since the daemon was down. So it is what a client sees that tries as often, at most.
"""

from datetime import datetime
from typing import Protocol

from replicator.status import Instant, Part


class Probe(Protocol):
    """What sends the requests; see `replicator.cutover.probe`. `said` is what came of the last one, for people."""

    interval_s: float
    said: str

    async def works(self) -> bool:
        """Whether one request did what it is for, within its time. Raises nothing."""


class Stretch(Part):
    """From the last request that worked before to the first that did after."""

    began_at: Instant
    ended_at: Instant

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.began_at).total_seconds()


class Probed(Part):
    """What was measured since `began_at`, when a request had worked. `worked_at` is the end of the last one that did,
    `tried_at` that of the last one. `failing`: what came after `worked_at` failed. `longest` is the longest pause that
    is over, None where there was none.
    """

    began_at: Instant
    worked_at: Instant
    tried_at: Instant
    attempts: int = 1
    failures: int = 0
    failing: bool = False
    longest: Stretch | None = None

    def after(self, at: datetime, *, works: bool) -> "Probed":
        """With one more request, which ended then."""
        counted: dict[str, object] = {"attempts": self.attempts + 1, "tried_at": at}
        if not works:
            return self.model_copy(update=counted | {"failures": self.failures + 1, "failing": True})
        found = Stretch(began_at=self.worked_at, ended_at=at) if self.failing else None
        if found is not None and (self.longest is None or found.seconds > self.longest.seconds):
            return self.model_copy(update=counted | {"longest": found, "worked_at": at, "failing": False})
        return self.model_copy(update=counted | {"worked_at": at, "failing": False})

    def unwatched(self) -> "Probed":
        """After a time in which nobody tried: what was then is not known, so it counts as a pause."""
        return self.model_copy(update={"failing": True})

    @property
    def pause_s(self) -> float:
        """The longest pause, one that is not over yet included as far as it was seen; 0 where there was none."""
        under_way = (self.tried_at - self.worked_at).total_seconds() if self.failing else 0.0
        return max(under_way, self.longest.seconds if self.longest else 0.0)


def first(at: datetime) -> Probed:
    """After the first request, which worked."""
    return Probed(began_at=at, worked_at=at, tried_at=at)

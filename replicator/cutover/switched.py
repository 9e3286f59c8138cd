"""A switch as it is remembered and told: its steps, how far it has come, and those before it. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from replicator.cutover.pause import Probed
from replicator.status import Instant, Part

NOTE = "switch"

MOST_EARLIER = 20
"""Switches that were undone and are remembered, the latest ones."""

PROBE_AFTER = timedelta(minutes=10)
"""Clients that are not served so long after the switch are somebody else's matter."""


class Step(StrEnum):
    """In their order."""

    CORDON = "cordon"
    DRAIN = "drain"
    RELEASE = "release"
    ACTIVATE = "activate"
    TRAFFIC = "traffic"
    SEAL = "seal"


REVERSIBLE = (Step.CORDON, Step.DRAIN, Step.RELEASE)


class Stage(StrEnum):
    """RUNNING leads to DONE. UNDOING leads to UNDONE: everything is as it was before."""

    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class Taken(Part):
    """A step that was begun. `expected_s` is how long it was expected to take, None where nobody knows."""

    step: Step
    began_at: Instant
    ended_at: Instant | None = None
    expected_s: float | None = None


class Attempt(Part):
    """What is remembered of a switch when it is over. `held` are the pipelines whose queues were held when it began,
    `reason` is why it leads back, `probe` what clients saw, None where nothing measures it.
    """

    began_at: Instant
    by: str
    max_pause_s: float
    held: list[str] = Field(default_factory=list)
    stage: Stage = Stage.RUNNING
    steps: list[Taken] = Field(default_factory=list)
    reason: str = ""
    undone_at: Instant | None = None
    probe: Probed | None = None

    @property
    def paused_until(self) -> datetime | None:
        """When either side was on again: the end of the way back, or of the activation. None while neither is."""
        activated = (taken.ended_at for taken in self.steps if taken.step is Step.ACTIVATE)
        return self.undone_at or next(activated, None)


class Switched(Attempt):
    """A switch as it is remembered and told. `waiting_for` is what the present step waits for, in words; `no_way_back`
    whether something was sealed, or may have been turned on at Azure; `earlier` the latest of those before it, which
    were undone, of which there were `attempt` - 1.
    """

    waiting_for: str = ""
    no_way_back: bool = False
    attempt: int = 1
    earlier: list[Attempt] = Field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.stage in {Stage.DONE, Stage.UNDONE}

    @property
    def ended_at(self) -> datetime | None:
        """When it was done, or undone."""
        return self.undone_at or (self.steps[-1].ended_at if self.stage is Stage.DONE else None)

    def is_measured(self, now: datetime) -> bool:
        """Whether a probe is at work: until it is over and clients were served since, if that is not too long ago."""
        if self.probe is None or self.ended_at is None:
            return self.probe is not None
        served = not self.probe.failing and self.probe.worked_at > self.ended_at
        return not served and now - self.ended_at < PROBE_AFTER

    def paused_s(self, now: datetime) -> float:
        """How long the pause has lasted, from the cordon to the end of the activation, or of the way back."""
        if not self.steps:
            return 0.0
        return ((self.paused_until or now) - self.steps[0].began_at).total_seconds()


def past(told: Switched) -> dict[str, Any]:
    """What the next switch remembers of this one and of those before it."""
    over = Attempt(**{name: getattr(told, name) for name in Attempt.model_fields})
    return {"attempt": told.attempt + 1, "earlier": [*told.earlier, over][-MOST_EARLIER:]}

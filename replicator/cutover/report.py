"""What is told about readiness: what `GET /v1/cutover` answers, and what the command reads of it."""

from enum import StrEnum

from pydantic import Field

from replicator.status import Instant, Part


class Outcome(StrEnum):
    """Of a check. UNKNOWN, which evidence that is too old is too, is no better than FAIL."""

    PASS = "pass"  # noqa: S105 — no password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Check(Part):
    """One condition of one pipeline, or of the migration itself.

    `measured` and its `limit` are in `unit` (`s`, `d` for days, or empty); `measured_at` is when, by the daemon's clock
    or, of a comparison or a scan, by the source's. `todo` is what helps, empty where the check passes. `waived` is why
    the config says that the outcome does not count, empty where it does.
    """

    name: str
    outcome: Outcome
    measured: float | int | str | None
    limit: float | int | str | None
    unit: str
    measured_at: Instant | None
    todo: str
    waived: str

    @property
    def counts_as_passed(self) -> bool:
        """Whether it does not stand against a switch."""
        return self.outcome is Outcome.PASS or bool(self.waived)


class DrainEstimate(Part):
    """How long a drain would take now; see `replicator.cutover.estimating`. None is unknown. `comparison_s` comes on
    top of `seconds`.
    """

    seconds: float | None
    backlog: float | None
    per_s: float | None
    settling_s: float | None
    comparison_s: float | None = None


class PipelineCutover(Part):
    """One pipeline. `held`: its queue is only watched, and ready to be drained instead of being in no lag."""

    ready: bool
    held: bool
    replicated_through: Instant | None
    lag_s: float | None
    drain: DrainEstimate
    checks: list[Check]


class Cutover(Part):
    """Every pipeline by its name. Not ready while there is none, as while the daemon is starting.

    `judged_at` is by the daemon's clock. `drain_s` is that of the pipeline that takes longest, None when any cannot be
    told, and `comparison_s` likewise. `reasons` is what stands against it, in words. `checks` are those of the
    migration itself.
    """

    migration: str
    phase: str
    ready: bool
    judged_at: Instant
    drain_s: float | None
    comparison_s: float | None = None
    reasons: list[str]
    pipelines: dict[str, PipelineCutover]
    checks: list[Check] = Field(default_factory=list)

    @property
    def expected_s(self) -> float | None:
        """How long a drain would take with its comparison, as far as that is known of any."""
        known = [pipeline.drain.comparison_s for pipeline in self.pipelines.values()]
        comparison_s = max((seconds for seconds in (self.comparison_s, *known) if seconds is not None), default=0.0)
        return None if self.drain_s is None else self.drain_s + comparison_s

    def too_long_for(self, max_pause_s: float) -> str:
        """Why a drain would not fit into the pause, as far as is known; empty where it does."""
        if self.expected_s is None or self.expected_s <= max_pause_s:
            return ""
        return (
            f"a drain is expected to take {self.expected_s:.0f} s with its comparison, longer than the "
            f"{max_pause_s:.0f} s of the pause"
        )

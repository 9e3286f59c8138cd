"""The report as it is told: what `GET /v1/report` answers, and what the page is made of.

None is unknown or not done yet, never zero and never good. Nothing here holds a record's body or a secret; records are
counted, and named only where the audit log names them, as the config says (`replicator.naming.Naming`). Instants are by
the daemon's clock unless a member says that they are by the source's.
"""

from collections.abc import Mapping

from pydantic import Field

from replicator.status import Instant, Part

FORMAT = 1
"""Of the document. Members may be added to it; none changes its meaning."""

SWITCH_NOTE = "switch-report"
"""The note of the migration in which the switch writes down what it does, as a `SwitchReport`."""

ESTIMATE_NOTE = "estimate-report"
"""The note of the migration that holds what was estimated beforehand, as `Estimates`."""


class Side(Part):
    """A source or a target: the connector, and what the config names there, such as a table. No secrets."""

    type: str
    names: dict[str, str]


class Moment(Part):
    """Something that happened to a pipeline: `what` it came to, such as a phase, and more about it."""

    at: Instant
    what: str
    detail: str = ""


class LagPoint(Part):
    """A stretch of time that begins at `at` and lasts `Lag.step_s`.

    `worst_s` is the largest lag that was seen in it, None where none was known at all; `unknown` says that it was
    unknown at least once.
    """

    at: Instant
    worst_s: float | None
    unknown: bool


class Lag(Part):
    """The lag over time. A stretch without a point was not observed. `worst_s` is the largest that was ever seen."""

    step_s: float
    worst_s: float | None
    points: list[LagPoint]


class Copied(Part):
    """The copy, by the source's clock. `mean_per_s` and `mean_bytes_per_s` are over the whole of it."""

    began_at: Instant | None
    ended_at: Instant | None
    seconds: float | None
    records: int
    bytes: int | None
    mean_per_s: float | None
    mean_bytes_per_s: float | None
    best_per_s: float | None


class Changes(Part):
    """What was followed, over all runs. After a crash some seconds of counting may be missing, so each is at least so
    many. `coalesced` were superseded by a later change before they were written; `refused` counts refusals, also
    repeated ones.
    """

    read: int
    applied: int
    coalesced: int
    refused: int
    late: int
    best_per_s: float | None


class Comparison(Part):
    """A round of verification that came to its end. Instants are by the source's clock.

    `sample` is how many records were looked at at most, None for all. `differences` are those that were left.
    """

    began_at: Instant
    ended_at: Instant
    clean: bool
    sample: int | None
    contents: bool
    repair: bool
    compared: int
    scanned: int
    differences: int
    repaired: int
    unsettled: int
    foreign: int


class Verified(Part):
    """The evidence. `clean_since`: the target was equal to the source as of then, by the source's clock.

    `running` says that another round is under way. `left_out` counts older rounds that are not told.
    """

    clean_since: Instant | None
    running: bool
    rounds: list[Comparison]
    left_out: int


class LettersOf(Part):
    """Dead letters of one reason and outcome. `outcome` is open, resolved (the record is at the target as the source
    has it), discarded (by an operator), or compared (an adoption compared everything instead).
    """

    reason: str
    outcome: str
    count: int


class DeadLetters(Part):
    """All that there ever were; `open` now. `letters` tells them by reason."""

    open: int
    letters: list[LettersOf]


class Reality(Part):
    """A step as it was estimated and as it was, in seconds."""

    step: str
    estimated_s: float | None
    actual_s: float | None


class StartPosition(Part):
    """Where the way back begins to read one partition of what is the target now."""

    partition: str
    position: str
    at: Instant | None


class PipelineReport(Part):
    """One pipeline. `stands_against` is what stands against a switch now.

    `way_back` and `late_writes` (changes seen at the source after the seal) come from the switch.
    """

    source: Side
    target: Side
    mode: str
    phase: str
    epoch: int
    failure: str
    replicated_through: Instant | None
    lag_s: float | None
    ready: bool | None
    stands_against: list[str]
    problems: list[str] | None
    moments: list[Moment]
    moments_left_out: int
    copied: Copied
    changes: Changes | None
    lag: Lag
    verified: Verified
    dead_letters: DeadLetters
    estimates: list[Reality]
    way_back: list[StartPosition] | None
    late_writes: int | None


class OperatorAction(Part):
    """A line of the audit log."""

    at: Instant
    actor: str
    name: str
    pipeline: str
    detail: str


class SwitchStep(Part):
    """A step of the switch. `outcome` is done, failed, undone or skipped; None while it is under way."""

    name: str
    began_at: Instant
    ended_at: Instant | None = None
    expected_s: float | None = None
    outcome: str | None = None
    detail: str = ""


class Pause(Part):
    """The write pause that clients saw, as the probe measured it: from the first write that was refused to the first
    that was taken again. `budget_s` is what was allowed.
    """

    began_at: Instant
    ended_at: Instant | None
    seconds: float | None
    budget_s: float | None
    probes: int
    refused: int


class TriggerReport(Part):
    """An entry point before the switch and after it; each member is `on`, `off` or, where it is not known, None."""

    name: str
    aws_before: str | None = None
    aws_after: str | None = None
    azure_before: str | None = None
    azure_after: str | None = None
    signed_off_by: str = ""


class SwitchReport(Part):
    """What the switch writes down, replaced as a whole by each step. `attempt` counts switches that were begun.

    `way_back` and `late_writes` are by pipeline. `forced` is the reason that was given where it was sealed without
    proof.
    """

    attempt: int = 1
    steps: list[SwitchStep] = Field(default_factory=list)
    pause: Pause | None = None
    triggers: list[TriggerReport] | None = None
    way_back: Mapping[str, list[StartPosition]] = {}
    late_writes: Mapping[str, int] = {}
    sealed_at: Instant | None = None
    forced: str = ""


class Estimates(Part):
    """What was estimated beforehand: seconds by pipeline and step (copy, catch-up, verification, drain)."""

    made_at: Instant
    pipelines: Mapping[str, Mapping[str, float]]


class Report(Part):
    """The whole. `strategy` is planned downtime, minimized downtime, zero downtime or mixed.

    `began_at` is the earliest that is known of any pipeline; `ready` is None while the daemon is starting. `switch` is
    None where none was begun.
    """

    format: int = FORMAT
    migration: str
    migration_id: str
    written_at: Instant
    began_at: Instant | None
    strategy: str
    phase: str
    ready: bool | None
    keys: str
    pipelines: dict[str, PipelineReport]
    actions: list[OperatorAction]
    actions_left_out: bool
    switch: SwitchReport | None
    estimated_at: Instant | None

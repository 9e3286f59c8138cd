"""The report as it is told: what `GET /v1/report` answers, and what the page is made of.

None is unknown or not done yet, never zero and never good. Nothing here holds a record's body or a secret; records are
counted, and named only where the audit log names them, as the config says (`replicator.naming.Naming`). Instants are by
the daemon's clock unless a member says that they are by the source's.
"""

from collections.abc import Mapping

from replicator.cutover.fingerprint import Fingerprint
from replicator.cutover.rehearsal import Rehearsal
from replicator.status import Instant, Part

FORMAT = 1
"""Of the document. Members may be added to it; none changes its meaning."""

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


class WayBack(Part):
    """Where a replication the other way has to begin with this target: `reads` says what is read from the instant on.

    `before_activation` is a moment before the first Azure trigger was turned on, None where replicator turned none on;
    `at_seal` is when replicator had written its last. `doubt` is what makes the former too late, empty where nothing
    is known to.
    """

    reads: str
    before_activation: Instant | None
    at_seal: Instant | None
    doubt: str


class LateWrites(Part):
    """What was written at the source after the seal, and is not at the target. `first` names the first records, as the
    config says that records are named; `last_at` is by the source's clock.
    """

    count: int
    last_at: Instant | None
    first: list[str]


class DrainReport(Part):
    """How the drain stands, and how it stood when it was sealed. `fence` and `drained_at` are by the source's clock.

    `late` counts writes after the fence, which were applied. `forced`: it was sealed though nothing had proven it.
    """

    fence: Instant | None
    drained_at: Instant | None
    in_the_way: list[str]
    late: int | None
    sealed_at: Instant | None
    forced: bool | None


class PipelineReport(Part):
    """One pipeline. `stands_against` is what stands against a switch now. `result` is what came of one in mode copy,
    which is never switched: `equal`, `different`, `unfinished` or `failed`; None of all others.

    `drain` is None where there is no fence, `late_writes` before the seal, `way_back` before Azure is activated or the
    pipeline is sealed.
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
    result: str | None
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
    drain: DrainReport | None
    way_back: WayBack | None
    late_writes: LateWrites | None


class OperatorAction(Part):
    """A line of the audit log."""

    at: Instant
    actor: str
    name: str
    pipeline: str
    detail: str


class SwitchStep(Part):
    """A step of the switch, or the same done by hand. `outcome` is done, or of a switch that leads back undone or given
    up; None while it is under way. `expected_s` is how long it was expected to take, None where nobody knew.
    """

    name: str
    began_at: Instant
    ended_at: Instant | None = None
    elapsed_s: float | None = None
    expected_s: float | None = None
    outcome: str | None = None
    by: str = ""


class SeenPause(Part):
    """What a probe that writes as an application does has seen: `longest_s` is the longest stretch without success."""

    began_at: Instant | None
    ended_at: Instant | None
    longest_s: float | None
    attempts: int
    failures: int


class Pause(Part):
    """How long triggers of both sides were off: from the cordon to the end of the activation, or of the way back.

    `budget_s` is what was allowed. `seen` is None where no probe ran: then it is not known what clients saw.
    """

    began_at: Instant
    ended_at: Instant | None
    seconds: float | None
    budget_s: float | None
    seen: SeenPause | None = None


class SideReport(Part):
    """One side before it was touched, and as it was seen last: `on`, `off` or, where that is not known, None."""

    before: str | None = None
    after: str | None = None


class TriggerReport(Part):
    """An entry point, with the sides that it has: `aws`, `azure`, `traffic`."""

    name: str
    pipeline: str = ""
    sides: dict[str, SideReport]
    signed_off_by: str = ""


class EarlierSwitch(Part):
    """A switch that was undone, and why."""

    began_at: Instant
    by: str
    undone_at: Instant | None
    reason: str
    pause: Pause | None
    steps: list[SwitchStep]


class SwitchReport(Part):
    """The latest switch, or the steps that were taken one by one: then `by_hand`, and what only a switch knows is None.

    `stage` is running, done, undoing or undone; `reason` is why it leads back. `attempt` counts switches that were
    begun; `earlier` are the latest 20 of those before, all undone. `sealed_at` is when the last pipeline was sealed.
    `forced` is the reason that was given where one was sealed without proof.
    """

    by_hand: bool
    attempt: int
    stage: str | None
    began_at: Instant | None
    by: str
    reason: str
    undone_at: Instant | None
    pause: Pause | None
    steps: list[SwitchStep]
    earlier: list[EarlierSwitch]
    triggers: list[TriggerReport]
    sealed_at: Instant | None
    forced: str


class Estimates(Part):
    """What was estimated beforehand: seconds by pipeline and step (copy, catch-up, verification, drain)."""

    made_at: Instant
    pipelines: Mapping[str, Mapping[str, float]]


class Rehearsed(Part):
    """Whether this is a rehearsal itself, why none was demanded, or which one was recorded, where there is any.

    `fingerprint` is of what a rehearsal must have in common with this migration.
    """

    is_rehearsal: bool
    waived: str
    recorded: Rehearsal | None
    fingerprint: Fingerprint


class SinceSeal(Part):
    """What came after the evidence was frozen: at `evidence_at`, with this SHA-256 of its text. As of `as_of`.

    `late_writes` are by pipeline, None where nobody has looked yet. `way_back` is told of pipelines where it has become
    known since. `actions` are those that came after it.
    """

    evidence_at: Instant
    evidence_sha256: str
    as_of: Instant
    late_writes: dict[str, LateWrites | None]
    way_back: dict[str, WayBack]
    problems: dict[str, list[str]]
    triggers: list[TriggerReport]
    actions: list[OperatorAction]
    actions_left_out: bool


class Evidence(Part):
    """The report as it was when the migration had been sealed: the text of a `Report` as JSON, of which the SHA-256 is.

    It has neither been written since nor will be.
    """

    at: Instant
    sha256: str
    evidence: str


class Report(Part):
    """The whole. `strategy` is planned downtime, minimized downtime, zero downtime or mixed.

    `began_at` is the earliest that is known of any pipeline; `ready` is None while the daemon is starting, and when all
    is sealed. `switch` is None where no step of one was taken. Where there is a `since_seal`, everything else is the
    evidence as it was when the migration had been sealed, and does not change any more.
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
    rehearsed: Rehearsed | None = None
    since_seal: SinceSeal | None = None

"""The status of a migration as its daemon tells it: what `GET /v1/status` answers, and what commands read of it.

The document is flat; its members are grouped here by meaning. Whoever reads it may be older or newer than the daemon:
members it does not know are passed over, so one that is added later needs a default here, which must say "unknown" and
never "good". No member changes its meaning.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

Instant = Annotated[
    AwareDatetime,
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""With its offset from UTC spelled as a number, also where that is 0."""


class Part(BaseModel):
    """Some members of a status. They are never changed but replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Stage(Part):
    """How far the pipeline is in its life.

    `begins_in_s` is how long a repair still waits for the last requests of whoever wrote the target before.
    """

    name: str
    phase: str
    copy_stage: str
    repairing: bool
    begins_in_s: float
    epoch: int
    failure: str
    paused: bool = False


class Progress(Part):
    """What has been done: rows of the copy over all runs, records and changes of this process. None is unknown.

    `relisted` counts the records looked at by the walk over everything that is under way, None where none is.
    `applied_per_s` and `read_per_s` are over the last seconds.
    """

    copied: int
    copy_total: int | None
    copied_per_s: float
    copy_eta_s: float | None
    read: int
    applied: int
    coalesced: int
    rejected: int
    late: int
    applied_per_s: float
    copied_bytes: int | None = None
    copy_total_bytes: int | None = None
    relisted: int | None = None
    read_per_s: float | None = None


class Times(Part):
    """How far behind the target is. All times are the source's. None is unknown, and never to be read as good.

    `replicated_through` and `lag_s` are unknown while copying and are held back by open dead letters; `stream_lag_s` is
    that of the followed partitions alone. `proven_through`: what was committed before it was seen at the target by a
    walk over everything. `retention_headroom_s` is how long until something unread may be trimmed; `kept_for_ever` says
    that nothing ever is. `source_time` is now, at the latest. `settling_s` is how long after its last change the source
    takes to prove that there was no other, 0 where a drain proves it by a comparison alone.
    """

    replicated_through: Instant | None
    lag_s: float | None
    stream_lag_s: float | None
    retention_headroom_s: float | None
    proven_through: Instant | None = None
    source_time: Instant | None = None
    settling_s: float | None = None
    kept_for_ever: bool = False


class QueueDepth(Part):
    """What waits at a source that is a queue, as it was `age_s` ago.

    `held`: it is only watched, and not part of any lag.
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_s: float | None
    held: bool
    age_s: float | None = None

    @property
    def messages(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed


class VerificationStatus(Part):
    """What comparing both sides has found. Instants are by the source's clock.

    `compared` of `total` records of the round that is `running`, or else the latest; `began_at` and `ended_at` are of
    the last complete round that came to its end, None where none has: then nothing is known. `differences`, and the
    `unsettled` records, of which nothing can be said, are what it left, or what a later round has found beyond that.
    `fast_s` is how long the last complete round that went as fast as the source's budget allows took to go through
    everything, and `fast_compared` how many records it compared.
    """

    running: bool
    compared: int
    total: int | None
    eta_s: float | None
    began_at: Instant | None
    ended_at: Instant | None
    differences: int
    unsettled: int
    fast_s: float | None = None
    fast_compared: int | None = None


class ForeignStatus(Part):
    """What of the target is not of our making.

    `scanned_at` is when the last complete scan began, by the source's clock.
    """

    scanned_at: Instant | None
    found: int


class SyncStatus(Part):
    """Of a pipeline in mode sync: `in_sync`, since when, or else `catching_up`, and why."""

    state: Literal["in_sync", "catching_up"]
    since: Instant
    reason: str


class DrainStatus(Part):
    """How a drain stands, from its `fence` on. Drained since `drained_at`, None while `in_the_way` says what is not.

    `late` counts writes after the fence, the last of them at `late_at`. `released`: a queue that is held otherwise is
    taken from, and since `emptied_at` several readings have shown nothing in it that can be received, None where they
    have not. `under_way` is what was begun and may still change the target, in words, None where that is not known.
    """

    fence: Instant
    released: bool
    drained_at: Instant | None
    in_the_way: list[str]
    late: int
    late_at: Instant | None
    emptied_at: Instant | None = None
    under_way: list[str] | None = None


class NamedDrain(DrainStatus):
    """The same for those who may see how records are named: `late_keys` are the first that were written late."""

    late_keys: list[str]


class AzureTriggers(Part):
    """The Azure triggers that read the pipeline's target, by the names of their entry points, as they were `age_s` ago:
    those that are `on`, or may be in a moment, and those of which nothing is known.
    """

    on: list[str]
    unknown: list[str]
    age_s: float | None


class Health(Part):
    """What is under way, and what is wrong.

    `unread` counts the followed partitions that could be read and have not been yet, and `lease_left_s` is how long the
    daemon's lease lasts unless it is renewed; None is unknown.
    `throttled_at` is when the target last refused a request as one too many, by the daemon's clock. `verification`,
    `foreign` and `sync` are None where nothing is known, `azure_triggers` also where there are none, `drain` where
    there is no fence.
    `problems` is why this pipeline needs somebody's attention, in words; empty when it does not. The daemon says it:
    whoever reads the status may not know all that there is to be judged.
    """

    partitions: dict[str, int]
    dead_letters: int
    suspect_keys: int
    concurrency: int
    degraded: dict[str, str]
    problems: list[str]
    queue: QueueDepth | None = None
    verification: VerificationStatus | None = None
    foreign: ForeignStatus | None = None
    sync: SyncStatus | None = None
    drain: DrainStatus | None = None
    throttled_at: Instant | None = None
    unread: int | None = None
    lease_left_s: float | None = None
    azure_triggers: AzureTriggers | None = None


class PipelineStatus(Health, Times, Progress, Stage):
    """One pipeline. The groups' members follow each other from the last base to the first."""

    @classmethod
    def of(cls, stage: Stage, progress: Progress, times: Times, health: Health) -> Self:
        """All groups together."""
        return cls(**dict(stage), **dict(progress), **dict(times), **dict(health))


class ReplicaStatus(Part):
    """One of several daemons. `heard_s` is how long ago it was heard of, in seconds; 0 of the one that leads."""

    name: str
    leads: bool
    partitions: int
    heard_s: float


class MigrationStatus(Part):
    """Every pipeline by its name; none while the daemon is starting. `phase` is the least of theirs. `replicas` are
    those that work together, the one that leads first; none where there can be one only.
    """

    migration: str
    phase: str = ""
    pipelines: dict[str, PipelineStatus]
    replicas: list[ReplicaStatus] = []

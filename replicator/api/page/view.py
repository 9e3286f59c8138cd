"""What the page shows, as it was gathered at one moment."""

from dataclasses import dataclass

from replicator.cutover import Cutover
from replicator.model import Action
from replicator.report.model import Lag
from replicator.status import PipelineStatus


@dataclass(frozen=True, slots=True)
class Refused:
    """Open dead letters of one pipeline and reason, in which no record is named."""

    pipeline: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Protected:
    """What only those may see who may change something. `actions` are the latest, newest first."""

    refused: list[Refused]
    actions: list[Action]


@dataclass(frozen=True, slots=True)
class View:
    """`pipelines` are those of the config, also while nothing is known of them yet. `statuses` are by their names.

    `lags` is None where what was told of them before still stands; `protected` where the caller may not see it, and
    then `locked` says what would be needed: `token`, or being at the daemon's `machine`.
    """

    pipelines: list[str]
    statuses: dict[str, PipelineStatus]
    judged: Cutover
    lags: dict[str, Lag] | None
    protected: Protected | None
    locked: str = ""

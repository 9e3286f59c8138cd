"""What is known of both sides of a pipeline before it runs: the figures that an estimate is made of.

A connector may give them (`SurveyedSource`, `SurveyedTarget`); of one that does not, everything is unknown. None is
unknown everywhere, and never zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from replicator.model import Change, R

UNBOUNDED = float("inf")
"""A rate that this side does not limit."""

CHANGES_UNKNOWN = "how often it changes is unknown"
"""What a note begins with that tells why; of no interest to whoever gives the rate."""

Needs = Mapping[str, float]
"""Amounts by meter: what a service counts and charges for, such as `cosmos.request_unit`."""


class Origin(StrEnum):
    """Where a figure comes from, the most trustworthy first."""

    MEASURED = "measured"
    CONFIGURED = "configured"
    ASSUMED = "assumed"


ORIGINS = tuple(Origin)


@dataclass(frozen=True, slots=True)
class ChangeRate:
    """Changes per second, on average and in the busiest stretch of the time that was looked at."""

    mean_per_s: float
    peak_per_s: float
    origin: Origin = Origin.MEASURED


@dataclass(frozen=True, slots=True)
class Flow:
    """What one side gives or takes in one step: records per second at most, and what each record needs there.

    `slot_per_s` is what a single request under way achieves, where the number of them grows by one a second.
    """

    most_per_s: float | None = None
    origin: Origin = Origin.ASSUMED
    needs: Needs = field(default_factory=dict)
    slot_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """`records` are to be copied, with `record_bytes` on average; `waiting` are to be received already.

    `margin_s` is what a drain waits although nothing is left, since a service proves nothing sooner. `idle_needs_per_s`
    is what following needs even if nothing changes. Where nothing is followed before a drain, `follows` is False; in
    mode copy there is no drain either. `lists` says that a comparison reads listings, not what records hold.
    """

    records: int | None = None
    record_bytes: float | None = None
    waiting: int | None = None
    changes: ChangeRate | None = None
    margin_s: float = 0.0
    copy: Flow = Flow()
    follow: Flow = Flow()
    verify: Flow = Flow()
    idle_needs_per_s: Needs = field(default_factory=dict)
    follows: bool = True
    drains: bool = True
    lists: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetFigures:
    """`record_bytes` is the average size of a record as it is written, None where it is as large as at the source.

    `probe` says in plain words what a probe would write and where; empty where there is no place for one, of which
    `notes` tell the reason.
    """

    record_bytes: float | None = None
    copy: Flow = Flow()
    follow: Flow = Flow()
    verify: Flow = Flow()
    probe: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class SurveyedSource(Protocol[R]):
    """A source that tells figures. Called once it is connected; nothing is changed and nothing is received."""

    async def figures(self, sample: Sequence[Change[R]]) -> SourceFigures:
        """From the service's own descriptions and metrics, sizes from `sample` where there are no others."""


@runtime_checkable
class SurveyedTarget(Protocol[R]):
    """A target that tells figures. Called once it is connected; only `probe` writes."""

    async def figures(self, sample: Sequence[Change[R]], record_bytes: float | None) -> TargetFigures:
        """From settings and constants; `record_bytes` is the average at the source."""

    async def probe(self, sample: Sequence[Change[R]], figures: TargetFigures) -> TargetFigures:
        """The same figures, measured where that is possible: writes what `figures.probe` says, and removes it again.

        Takes some seconds. Where it cannot be done, the figures stay and a note says why.
        """

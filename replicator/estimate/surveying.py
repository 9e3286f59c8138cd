"""Collects the figures of one pipeline from its two sides, which are connected."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic

from replicator.estimate.figures import (
    CHANGES_UNKNOWN,
    ChangeRate,
    Origin,
    SourceFigures,
    SurveyedSource,
    SurveyedTarget,
    TargetFigures,
)
from replicator.model import R
from replicator.ports import Source, Target

SAMPLE = 100
"""Records that are looked at for their sizes on both sides."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator knows better than the services; None for what they do not say either."""

    changes_per_s: float | None = None
    records: int | None = None

    def over(self, found: SourceFigures) -> SourceFigures:
        """The figures with what is given instead of what was found."""
        if self.records is not None:
            found = replace(found, records=self.records)
        if self.changes_per_s is not None:
            rate = ChangeRate(self.changes_per_s, self.changes_per_s, Origin.CONFIGURED)
            notes = tuple(note for note in found.notes if not note.startswith(CHANGES_UNKNOWN))
            found = replace(found, changes=rate, notes=notes)
        return found


class Survey(Generic[R]):
    """Of one pipeline. With `probe` something is written, of which `announce` is told before."""

    def __init__(self, source: Source[R], target: Target[R], announce: Callable[[str], None], *, probe: bool) -> None:
        self._source = source
        self._target = target
        self._announce = announce
        self._probe = probe

    async def run(self, given: Given) -> tuple[SourceFigures, TargetFigures]:
        """Raises ConfigurationError, PositionLostError where the source cannot be looked at."""
        if not isinstance(self._source, SurveyedSource):
            return SourceFigures(notes=("its source tells no figures",)), TargetFigures()
        sample = await self._source.sample(SAMPLE)
        found = given.over(await self._source.figures(sample))
        if not isinstance(self._target, SurveyedTarget):
            return found, TargetFigures(notes=("its target tells no figures",))
        target = await self._target.figures(sample, found.record_bytes)
        if self._probe and target.probe:
            self._announce(f"the probe {target.probe}")
            target = await self._target.probe(sample, target)
        elif target.probe:
            target = replace(
                target, notes=(*target.notes, f"rates are assumed; --probe measures them: it {target.probe}")
            )
        return found, target

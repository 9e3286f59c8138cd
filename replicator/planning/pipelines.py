"""What would be done for one pipeline, by what both of its sides say."""

from collections.abc import Sequence
from typing import Any

from replicator.engine.ownership import Claim
from replicator.engine.pipeline import Pipeline
from replicator.model import EVERYBODYS, Depth, Mode, Size
from replicator.planning.model import UNTOLD, Intended, Planned, PlannedSource, PlannedTarget, When
from replicator.wording import counted

CLAIMS = {
    Claim.FRESH: "the marker is written, which claims the target for this migration",
    Claim.RESUME: "the marker, which is ours, gets a new generation",
    Claim.ADOPT: "the marker gets a new epoch: every record is compared with the source and repaired where it differs",
}


async def plan_pipeline(
    pipeline: Pipeline[Any], mode: Mode, marker_interval_s: float, *, judged: bool
) -> list[Planned]:
    """Of one that is connected. `judged`: whose the target is may be looked at, since no daemon moves its marker.

    Raises ConfigurationError where a run would be refused.
    """
    where = f"pipelines.{pipeline.name}"
    source, target = pipeline.source, pipeline.target
    at_source = await source.planned() if isinstance(source, PlannedSource) else [UNTOLD]
    at_target = await target.planned() if isinstance(target, PlannedTarget) else [UNTOLD]
    at_target += await _ownership(pipeline, marker_interval_s) if judged else []
    at_target += records(await source.size(), await source.depth(), mode)
    return [*_placed(f"{where}.source", at_source), *_placed(f"{where}.target", at_target)]


async def _ownership(pipeline: Pipeline[Any], marker_interval_s: float) -> list[Intended]:
    """Whoever keeps no record has no marker; one that has failed stays so."""
    claim = await pipeline.judge(adopt=False)
    if claim is None:
        return [Intended(When.NEVER, "the pipeline has failed, so nothing is written until run --adopt")]
    if await pipeline.target.read_marker() == EVERYBODYS:
        return []
    again = f"the marker is replaced every {marker_interval_s:g} s, so that a second daemon is noticed"
    return [Intended(When.START, CLAIMS[claim]), Intended(When.RUNNING, again)]


def records(size: Size, depth: Depth | None, mode: Mode) -> list[Intended]:
    """Of the target: what is copied, then followed; what is held waits for the switch. Pure."""
    if depth is not None and depth.held:
        waiting = f"the messages that wait then are sent, {depth.messages:,} as of now"
        return [Intended(When.RUNNING, "nothing is sent"), Intended(When.SWITCH, waiting)]
    records = "all records" if size.records is None else f"about {counted(size.records, 'record')}"
    amount = "" if size.bytes is None else f" of {size.bytes:,} bytes together"
    follows = "" if mode is Mode.COPY else ", and every change, until the migration is sealed"
    return [Intended(When.RUNNING, f"{records}{amount} are written{follows}")]


def _placed(where: str, intended: Sequence[Intended]) -> list[Planned]:
    return [Planned(one.when, where, one.text, one.fix) for one in intended]

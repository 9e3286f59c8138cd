"""The evidence: the report as it was when the migration had been sealed, kept as it is, and what came after it.

It is frozen once, when every pipeline that follows something is sealed and no switch is under way. What is written down
of it elsewhere, in the log and in the audit log, is its SHA-256: whoever kept that can tell that it is still the same.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from pydantic import ValidationError

from replicator.clocks import utc_now
from replicator.ports import StateStore
from replicator.report.gathering import Log, actions_of
from replicator.report.model import Evidence, OperatorAction, PipelineReport, Report, SinceSeal, WayBack
from replicator.report.recording import EVERYWHERE
from replicator.status import Instant, Part

NOTE = "evidence"

PAGE = 1000


class Frozen(Part):
    """As it is stored. `last_action` is the place of the last line of the audit log before it."""

    at: Instant
    last_action: int
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, in UTF-8, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def evidence(self) -> Evidence:
        """As it is told."""
        return Evidence(at=self.at, sha256=self.sha256, evidence=self.text)


async def load_frozen(store: StateStore) -> Frozen | None:
    """None where nothing is frozen yet."""
    text = await store.load_note(EVERYWHERE, NOTE)
    return None if text is None else Frozen.model_validate_json(text)


async def freeze(
    store: StateStore, gathered: Callable[[], Awaitable[Report]], record: Callable[[Frozen], Awaitable[None]]
) -> Frozen:
    """Keeps the report as it is `gathered` now, once it was written down elsewhere by `record`. Raises LeaseLostError.

    What is done meanwhile may be both in it and told after it, but is never left out.
    """
    last_action = await _last_action(store)
    report = await gathered()
    frozen = Frozen(at=utc_now(), last_action=last_action, text=report.model_dump_json())
    await record(frozen)
    await store.save_note(EVERYWHERE, NOTE, frozen.model_dump_json())
    return frozen


async def with_evidence(frozen: Frozen, live: Report, store: StateStore, log: Log | None = None) -> Report:
    """The evidence, and what has come since; the audit log since then is read unless it is given. Where another version
    has written the evidence so that it cannot be read here, the report as it is now stands for it; its text is told all
    the same.
    """
    try:
        evidence = Report.model_validate_json(frozen.text)
    except ValidationError:
        evidence = live
    actions, more = await actions_of(store, frozen.last_action) if log is None else log
    return evidence.model_copy(update={"since_seal": since(frozen, evidence, live, actions, more=more)})


def since(frozen: Frozen, evidence: Report, live: Report, actions: list[OperatorAction], *, more: bool) -> SinceSeal:
    """What differs from the evidence, or was added to it. Pure."""
    return SinceSeal(
        evidence_at=frozen.at,
        evidence_sha256=frozen.sha256,
        as_of=live.written_at,
        late_writes={name: pipeline.late_writes for name, pipeline in live.pipelines.items() if pipeline.drain},
        way_back=_newer_ways(evidence.pipelines, live.pipelines),
        problems=_problems(live.pipelines),
        triggers=live.switch.triggers if live.switch else [],
        actions=actions,
        actions_left_out=more,
    )


def _newer_ways(before: Mapping[str, PipelineReport], now: Mapping[str, PipelineReport]) -> dict[str, WayBack]:
    """Azure may have been activated after the seal."""
    return {
        name: pipeline.way_back
        for name, pipeline in now.items()
        if pipeline.way_back and name in before and pipeline.way_back != before[name].way_back
    }


def _problems(pipelines: Mapping[str, PipelineReport]) -> dict[str, list[str]]:
    return {name: pipeline.problems for name, pipeline in pipelines.items() if pipeline.problems}


async def _last_action(store: StateStore) -> int:
    after = 0
    while page := await store.actions(PAGE, after):
        after = page[-1].place
    return after

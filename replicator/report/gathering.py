"""Makes the report of a migration from what the state store holds, and from what its daemon sees now."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import ValidationError

from replicator.clocks import utc_now
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.config.sides import named
from replicator.cutover import Cutover, PipelineCutover
from replicator.cutover.fingerprint import fingerprint
from replicator.cutover.phases import least_phase
from replicator.cutover.rehearsal import NOTE as REHEARSAL_NOTE
from replicator.cutover.rehearsal import Rehearsal
from replicator.cutover.switched import NOTE as SWITCH_NOTE
from replicator.cutover.switched import Switched
from replicator.engine.rounds import Note, read_note
from replicator.engine.verdict import Verdict
from replicator.engine.verifying import NOTE as VERIFICATION_NOTE
from replicator.errors import ConfigurationError
from replicator.model import Mode, Outcome, Phase, PipelineState
from replicator.ports import StateStore
from replicator.report.history import RECENT_STEP_S, History, Stretch
from replicator.report.model import (
    ESTIMATE_NOTE,
    Changes,
    Comparison,
    Copied,
    DeadLetters,
    Estimates,
    Lag,
    LagPoint,
    LettersOf,
    Moment,
    OperatorAction,
    PipelineReport,
    Reality,
    Rehearsed,
    Report,
    Side,
    Verified,
)
from replicator.report.recording import EVERYWHERE, load_history
from replicator.report.steps import Known, drain_report, late_writes, switch_report, way_back
from replicator.status import NamedDrain, Part, PipelineStatus
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place
from replicator.triggers.note import NOTE as TRIGGERS_NOTE
from replicator.triggers.note import Note as TriggerNote
from replicator.triggers.note import read_note as read_trigger_note

MOST_ACTIONS = 10_000
"""Lines of the audit log that are told, the first ones."""

PAGE = 1000

STRATEGIES = {
    Mode.COPY: "planned downtime",
    Mode.ASYNC: "minimized downtime",
    Mode.SYNC: "zero downtime",
}

N = TypeVar("N", bound=Part)


@dataclass(frozen=True, slots=True)
class Now:
    """What the daemon sees, by pipeline where it is known; all of it is unknown while it is starting."""

    statuses: Mapping[str, PipelineStatus]
    histories: Mapping[str, History]
    cutover: Cutover | None
    drains: Mapping[str, NamedDrain | None] = field(default_factory=dict)
    triggers: Mapping[Place, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of one pipeline, from wherever it is."""

    name: str
    config: PipelineConfig
    state: PipelineState
    status: PipelineStatus | None
    history: History
    verification: Note
    letters: DeadLetters
    judged: PipelineCutover | None
    drain: NamedDrain | None = None


Log = tuple[list[OperatorAction], bool]
"""Of the audit log what is told, and whether there is more."""

UNREAD: Log = ([], True)


async def gather(config: MigrationConfig, store: StateStore, now: Now, log: Log | None = None) -> Report:
    """The report as of this moment. The audit log is read unless it is given."""
    estimates = await _load(store, ESTIMATE_NOTE, Estimates)
    stored = [await _stored(name, pipeline, store, now) for name, pipeline in config.pipelines.items()]
    actions, more = await actions_of(store) if log is None else log
    known = Known(
        switched=await _load(store, SWITCH_NOTE, Switched),
        note=await _triggers(store),
        states={s.name: s.state for s in stored},
        actions=actions,
        triggers=config.triggers,
        seen=now.triggers,
    )
    phase = least_phase(s.state.phase.value for s in stored)
    return Report(
        migration=config.migration,
        migration_id=await store.migration_id(),
        written_at=utc_now(),
        began_at=min((at for s in stored for at in _beginnings(s)), default=None),
        strategy=strategy(Mode(pipeline.mode) for pipeline in config.pipelines.values()),
        phase=phase,
        ready=now.cutover.ready if now.cutover and now.statuses and phase != Phase.SEALED else None,
        keys=config.keys,
        pipelines={s.name: pipeline_report(s, known, estimates) for s in stored},
        actions=actions,
        actions_left_out=more,
        switch=switch_report(known),
        estimated_at=estimates.made_at if estimates else None,
        rehearsed=_rehearsed(config, await _load(store, REHEARSAL_NOTE, Rehearsal)),
    )


def _rehearsed(config: MigrationConfig, recorded: Rehearsal | None) -> Rehearsed:
    demanded = config.cutover.rehearsal
    return Rehearsed(
        is_rehearsal=demanded.is_rehearsal,
        waived=demanded.waived or "",
        recorded=recorded,
        fingerprint=fingerprint(config),
    )


def strategy(modes: Iterable[Mode]) -> str:
    """In the words of the documentation."""
    told = {STRATEGIES[mode] for mode in modes}
    return told.pop() if len(told) == 1 else "mixed"


def pipeline_report(s: Stored, known: Known, estimates: Estimates | None) -> PipelineReport:
    """One pipeline. Readiness means nothing any more when it is sealed."""
    judged, status, history = s.judged if s.state.phase is not Phase.SEALED else None, s.status, s.history
    return PipelineReport(
        source=side(s.config.source),
        target=side(s.config.target),
        mode=s.config.mode,
        phase=s.state.phase.value,
        epoch=s.state.epoch,
        failure=s.state.failure,
        replicated_through=status.replicated_through if status else None,
        lag_s=status.lag_s if status else None,
        ready=judged.ready if judged else None,
        result=_result(s),
        stands_against=_stands_against(judged),
        problems=status.problems if status else None,
        moments=[Moment(**asdict(moment)) for moment in history.moments],
        moments_left_out=history.moments_left_out,
        copied=_copied(s),
        changes=_changes(history) if history.moments else None,
        lag=_lag(history),
        verified=_verified(s.verification, history),
        dead_letters=s.letters,
        estimates=_realities(s, estimates),
        drain=drain_report(s.state, s.drain),
        way_back=way_back(s.config.target.read_back, s.name, s.state, known),
        late_writes=late_writes(s.state, s.drain),
    )


def _result(s: Stored) -> str | None:
    if Mode(s.config.mode) is not Mode.COPY:
        return None
    return Verdict(s.state, s.verification.round, s.letters.open).result.value


def side(config: SourceConfig | TargetConfig) -> Side:
    """A source or a target, by what must be named of it."""
    return Side(type=config.type, names={name: _plain(value) for name, value in named(config).items()})


def _plain(text: str) -> str:
    """Without what an address may hold beside the place: a user, a password, a signature."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def _stored(name: str, config: PipelineConfig, store: StateStore, now: Now) -> Stored:
    counts = await store.count_letters(name)
    letters = [LettersOf(reason=c.reason, outcome=c.outcome.value, count=c.count) for c in counts]
    history = now.histories.get(name)
    return Stored(
        name=name,
        config=config,
        state=await store.load_pipeline(name) or PipelineState(epoch=0),
        status=now.statuses.get(name),
        history=await load_history(store, name) if history is None else history,
        verification=read_note(await store.load_note(name, VERIFICATION_NOTE)),
        letters=DeadLetters(open=sum(c.count for c in counts if c.outcome is Outcome.OPEN), letters=letters),
        judged=now.cutover.pipelines.get(name) if now.cutover else None,
        drain=now.drains.get(name),
    )


async def _load(store: StateStore, name: str, model: type[N]) -> N | None:
    """A note that another part writes; one that cannot be read, as of another release, is not there."""
    text = await store.load_note(EVERYWHERE, name)
    try:
        return None if text is None else model.model_validate_json(text)
    except ValidationError:
        return None


async def _triggers(store: StateStore) -> TriggerNote | None:
    """What is remembered of triggers; None where that cannot be read."""
    try:
        return read_trigger_note(await store.load_note(EVERYWHERE, TRIGGERS_NOTE))
    except ConfigurationError:
        return None


async def actions_of(store: StateStore, after: int = 0) -> Log:
    """The audit log from its beginning, or behind this place in it, and whether there is more."""
    told: list[OperatorAction] = []
    while page := await store.actions(PAGE, after):
        room = MOST_ACTIONS - len(told)
        told += [
            OperatorAction(at=a.at, actor=a.actor, name=a.name, pipeline=a.pipeline, detail=a.detail)
            for a in page[:room]
        ]
        if len(page) > room:
            return told, True
        after = page[-1].place
    return told, False


def _beginnings(s: Stored) -> list[datetime]:
    return [at for at in (s.state.copy_started_at, *(m.at for m in s.history.moments[:1])) if at is not None]


def _stands_against(judged: PipelineCutover | None) -> list[str]:
    checks = judged.checks if judged else []
    return [f"{c.name}: {c.todo or c.outcome.value}" for c in checks if not c.counts_as_passed]


def _copied(s: Stored) -> Copied:
    state, status = s.state, s.status
    seconds = _between(state.copy_started_at, state.copy_finished_at)
    is_over = state.copy_finished_at is not None
    records = state.copied_records if is_over or status is None else status.copied
    bytes_ = (state.copied_bytes if is_over or status is None else status.copied_bytes) or None
    return Copied(
        began_at=state.copy_started_at,
        ended_at=state.copy_finished_at,
        seconds=seconds,
        records=records,
        bytes=bytes_,
        mean_per_s=records / seconds if seconds else None,
        mean_bytes_per_s=bytes_ / seconds if bytes_ and seconds else None,
        best_per_s=s.history.best_copied_per_s,
    )


def _changes(history: History) -> Changes:
    counts = history.counts
    return Changes(
        read=counts.read,
        applied=counts.applied,
        coalesced=counts.coalesced,
        refused=counts.rejected,
        late=counts.late,
        best_per_s=history.best_applied_per_s,
    )


def _lag(history: History) -> Lag:
    lags = history.lags
    return Lag(step_s=lags.step_s, worst_s=lags.worst_s, points=_points(lags.stretches, lags.step_s))


def recent_lag(history: History) -> Lag:
    """That of the last hour before the latest look."""
    points = _points(history.recent.stretches, RECENT_STEP_S)
    worst_s = max((p.worst_s for p in points if p.worst_s is not None), default=None)
    return Lag(step_s=RECENT_STEP_S, worst_s=worst_s, points=points)


def _points(stretches: Iterable[Stretch], step_s: float) -> list[LagPoint]:
    return [
        LagPoint(at=datetime.fromtimestamp(s.index * step_s, UTC), worst_s=s.worst_s, unknown=s.unknown)
        for s in stretches
    ]


def _verified(note: Note, history: History) -> Verified:
    rounds = [Comparison(**asdict(round_)) for round_ in history.rounds]
    return Verified(
        clean_since=note.clean_since, running=note.is_under_way, rounds=rounds, left_out=history.rounds_left_out
    )


def _realities(s: Stored, estimates: Estimates | None) -> list[Reality]:
    """Each step with what is known of it."""
    estimated = estimates.pipelines.get(s.name, {}) if estimates else {}
    actual = {
        "copy": _between(s.state.copy_started_at, s.state.copy_finished_at),
        "catch-up": _catch_up_s(s),
        "verification": _verification_s(s.history),
        "drain": _drain_s(s),
    }
    steps = [*actual, *(step for step in estimated if step not in actual)]
    return [Reality(step=step, estimated_s=estimated.get(step), actual_s=actual.get(step)) for step in steps]


def _catch_up_s(s: Stored) -> float | None:
    """From the end of the copy to the first `following` after it."""
    following = [m.at for m in s.history.moments if m.what == "following"]
    after = [at for at in following if s.state.copy_finished_at and at >= s.state.copy_finished_at]
    return _between(s.state.copy_finished_at, min(after, default=None))


def _verification_s(history: History) -> float | None:
    """The latest round over everything."""
    whole = [round_ for round_ in history.rounds if round_.sample is None]
    return _between(whole[-1].began_at, whole[-1].ended_at) if whole else None


def _drain_s(s: Stored) -> float | None:
    """From the fence until it was proven."""
    drain = drain_report(s.state, s.drain)
    return _between(drain.fence, drain.drained_at) if drain else None


def _between(began_at: datetime | None, ended_at: datetime | None) -> float | None:
    return None if began_at is None or ended_at is None else max(0.0, (ended_at - began_at).total_seconds())

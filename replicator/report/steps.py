"""What is told of the switch, and of the same steps taken by hand: made of what each part remembers itself. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from replicator.config.models import TriggerConfig
from replicator.cutover.pause import Probed
from replicator.cutover.switched import Attempt, Stage, Step, Switched
from replicator.model import Phase, PipelineState
from replicator.report.model import (
    DrainReport,
    EarlierSwitch,
    LateWrites,
    OperatorAction,
    Pause,
    SeenPause,
    SideReport,
    SwitchReport,
    SwitchStep,
    TriggerReport,
    WayBack,
)
from replicator.status import NamedDrain
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place, Side
from replicator.triggers.note import Change, Note
from replicator.triggers.note import Stage as Turned

FORCED = "seal by force"
"""What the audit log calls it; its detail is the reason."""

WHO = {
    Step.CORDON: ("turn a trigger off",),
    Step.DRAIN: ("drain",),
    Step.RELEASE: ("release held queues",),
    Step.ACTIVATE: ("turn a trigger on",),
    Step.TRAFFIC: ("turn a trigger on",),
    Step.SEAL: ("seal", FORCED),
}
"""What the audit log calls a step that is taken by hand."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is remembered. `seen` is what the latest look at each trigger found; `note` None: it cannot be read."""

    switched: Switched | None
    note: Note | None
    states: Mapping[str, PipelineState]
    actions: Sequence[OperatorAction]
    triggers: Mapping[str, TriggerConfig] = field(default_factory=dict)
    seen: Mapping[Place, Seen] = field(default_factory=dict)


def switch_report(known: Known) -> SwitchReport | None:
    """None where nothing of a switch was done yet."""
    told = known.switched
    if told is not None and told.stage is Stage.UNDONE and by_hand(known):
        told = None
    steps = by_hand(known) if told is None else steps_of(told)
    if told is None and not steps and known.switched is None:
        return None
    before = known.switched
    return SwitchReport(
        by_hand=told is None,
        attempt=before.attempt if before else 0,
        stage=told.stage if told else None,
        began_at=told.began_at if told else min(step.began_at for step in steps),
        by=told.by if told else steps[-1].by,
        reason=told.reason if told else "",
        undone_at=told.undone_at if told else None,
        pause=pause_of(told) if told else None,
        steps=steps,
        earlier=[_earlier(each) for each in _before(before, is_past=told is None)],
        triggers=triggers_of(known),
        sealed_at=sealed_at(known.states.values()),
        forced=_forced(known),
    )


def steps_of(told: Attempt) -> list[SwitchStep]:
    """Each with what became of it."""
    leads_back = told.stage in {Stage.UNDOING, Stage.UNDONE}
    ended, open_ = ("undone", "given up") if leads_back else ("done", None)
    return [
        _step(t.step, t.began_at, t.ended_at, told.by, ended if t.ended_at else open_, expected_s=t.expected_s)
        for t in told.steps
    ]


def by_hand(known: Known) -> list[SwitchStep]:
    """Those that are in force, in their order; when they ended is told only where somebody remembers."""
    cordoned, activated, led = (_turned(known.note, side) for side in Side)
    states = known.states.values()
    fences = [state.fence for state in states if state.fence is not None]
    sealed = [state.sealed_at for state in states if state.sealed_at is not None]
    found: dict[Step, tuple[datetime, datetime | None]] = {}
    if cordoned:
        found[Step.CORDON] = min(change.at for change in cordoned), None
    if fences:
        found[Step.DRAIN] = min(fences), None
    if fences and any(state.released for state in states):
        found[Step.RELEASE] = min(fences), None
    if activated and known.note is not None and known.note.activating_at is not None:
        found[Step.ACTIVATE] = known.note.activating_at, None
    if led:
        found[Step.TRAFFIC] = min(change.at for change in led), None
    if sealed:
        found[Step.SEAL] = min(sealed), sealed_at(states)
    return [_by_hand(step, known.actions, *times) for step, times in found.items()]


def pause_of(told: Attempt) -> Pause | None:
    """None where nothing was turned off."""
    if not told.steps:
        return None
    began_at, ended_at = told.steps[0].began_at, told.paused_until
    return Pause(
        began_at=began_at,
        ended_at=ended_at,
        seconds=_between(began_at, ended_at),
        budget_s=told.max_pause_s,
        seen=_seen(told.probe) if told.probe else None,
    )


def _seen(probed: Probed) -> SeenPause:
    longest = probed.longest
    return SeenPause(
        began_at=probed.worked_at if probed.failing else longest.began_at if longest else None,
        ended_at=longest.ended_at if longest and not probed.failing else None,
        longest_s=probed.pause_s,
        attempts=probed.attempts,
        failures=probed.failures,
    )


def triggers_of(known: Known) -> list[TriggerReport]:
    """Those of the config, in its order."""
    note = known.note or Note()
    told = []
    for name, config in known.triggers.items():
        places = [Place(name, side) for side in Side if getattr(config, side) is not None]
        signed = [note.signed[str(place)].who for place in places if str(place) in note.signed]
        told.append(
            TriggerReport(
                name=name,
                pipeline=config.pipeline or "",
                sides={place.side.value: _side(place, note, known) for place in places},
                signed_off_by=", ".join(dict.fromkeys(signed)),
            )
        )
    return told


def drain_report(state: PipelineState, drain: NamedDrain | None) -> DrainReport | None:
    """None where there is no fence. What only a daemon sees is unknown while it is starting."""
    if state.fence is None:
        return None
    is_sealed = state.phase is Phase.SEALED
    return DrainReport(
        fence=state.fence,
        drained_at=state.drained_at if is_sealed or drain is None else drain.drained_at,
        in_the_way=drain.in_the_way if drain else [],
        late=drain.late if drain and not is_sealed else None,
        sealed_at=state.sealed_at,
        forced=state.drained_at is None if is_sealed else None,
    )


def late_writes(state: PipelineState, drain: NamedDrain | None) -> LateWrites | None:
    """None before the seal, and while nobody has looked."""
    if state.phase is not Phase.SEALED or drain is None:
        return None
    return LateWrites(count=drain.late, last_at=drain.late_at, first=drain.late_keys)


def way_back(reads: str, pipeline: str, state: PipelineState, known: Known) -> WayBack | None:
    """None before Azure was activated or the pipeline sealed."""
    activating_at = known.note.activating_at if known.note else None
    if activating_at is None and state.sealed_at is None:
        return None
    on = [
        name
        for name, config in known.triggers.items()
        if config.pipeline in {None, pipeline} and _was_on(known.note, Place(name, Side.AZURE))
    ]
    doubt = f"already on before: {', '.join(on)}" if on else ""
    return WayBack(reads=reads, before_activation=activating_at, at_seal=state.sealed_at, doubt=doubt)


def sealed_at(states: Iterable[PipelineState]) -> datetime | None:
    """When the last of those that follow something was sealed; None while one is not."""
    following = [state for state in states if state.phase is not Phase.COPIED]
    times = [state.sealed_at for state in following if state.phase is Phase.SEALED and state.sealed_at is not None]
    return max(times) if times and len(times) == len(following) else None


def _earlier(told: Attempt) -> EarlierSwitch:
    return EarlierSwitch(
        began_at=told.began_at,
        by=told.by,
        undone_at=told.undone_at,
        reason=told.reason,
        pause=pause_of(told),
        steps=steps_of(told),
    )


def _before(switched: Switched | None, *, is_past: bool) -> list[Attempt]:
    """The latest switch too, where steps were taken by hand since."""
    if switched is None:
        return []
    return [*switched.earlier, *([switched] if is_past else [])]


def _by_hand(
    step: Step, actions: Sequence[OperatorAction], began_at: datetime, ended_at: datetime | None
) -> SwitchStep:
    names = WHO[step]
    by = next((action.actor for action in reversed(actions) if action.name in names), "")
    return _step(step, began_at, ended_at, by, "done" if ended_at else None)


def _step(
    step: Step, began_at: datetime, ended_at: datetime | None, by: str, outcome: str | None, *,
    expected_s: float | None = None,
) -> SwitchStep:  # fmt: skip
    return SwitchStep(
        name=step,
        began_at=began_at,
        ended_at=ended_at,
        elapsed_s=_between(began_at, ended_at),
        expected_s=expected_s,
        outcome=outcome,
        by=by,
    )


def _forced(known: Known) -> str:
    if not any(s.phase is Phase.SEALED and s.drained_at is None for s in known.states.values()):
        return ""
    reasons = [action.detail for action in known.actions if action.name == FORCED]
    return reasons[-1] if reasons else "for a reason that is in the audit log"


def _turned(note: Note | None, side: Side) -> list[Change]:
    return [change for change in note.changes if change.is_ours and change.place.side is side] if note else []


def _was_on(note: Note | None, place: Place) -> bool:
    change = note.change(place) if note else None
    return change is not None and change.before is True


def _side(place: Place, note: Note, known: Known) -> SideReport:
    change = note.change(place)
    before = None if change is None else _word(change.before)
    return SideReport(before=before, after=_after(known.seen.get(place), change))


def _after(seen: Seen | None, change: Change | None) -> str | None:
    """By the latest look, or else as it was left."""
    if seen is not None and seen.state is not None and seen.state.settled:
        return _word(seen.state.enabled)
    return _word(change.to) if change is not None and change.stage in {Turned.DONE, Turned.ALREADY} else None


def _word(enabled: bool | None) -> str | None:
    return None if enabled is None else "on" if enabled else "off"


def _between(began_at: datetime, ended_at: datetime | None) -> float | None:
    return None if ended_at is None else max(0.0, (ended_at - began_at).total_seconds())

"""Promises of what is told of a switch: made of what each part remembers, also where it was done by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from replicator.config.models import TriggerConfig, TriggerSideConfig
from replicator.cutover.switched import Attempt, Stage, Step, Switched, Taken
from replicator.model import Phase, PipelineState
from replicator.report.model import OperatorAction
from replicator.report.steps import Known, drain_report, late_writes, switch_report, triggers_of, way_back
from replicator.status import NamedDrain
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place, Side, TriggerState
from replicator.triggers.note import Change, Note, Signed
from replicator.triggers.note import Stage as Turned

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FOLLOWING = PipelineState(epoch=1, phase=Phase.FOLLOWING)
LATE = NamedDrain(fence=T0, released=False, drained_at=None, in_the_way=[], late=2, late_at=T0, late_keys=["k-1"])
STREAM = TriggerConfig(
    pipeline="orders", aws=TriggerSideConfig(type="manual"), azure=TriggerSideConfig(type="manual")
)  # fmt: skip


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


SEALED = replace(FOLLOWING, phase=Phase.SEALED, fence=at(3), drained_at=at(7), sealed_at=at(9))


def change(side: Side, *, before: bool | None, to: bool, stage: Turned = Turned.DONE) -> Change:
    return Change(Place("stream", side), to, before, "", "", at(1), stage)


def action(name: str, actor: str = "ann", detail: str = "") -> OperatorAction:
    return OperatorAction(at=T0, actor=actor, name=name, pipeline="", detail=detail)


def known(
    switched: Switched | None = None, note: Note | None = None, *actions: OperatorAction, **states: PipelineState
) -> Known:
    return Known(switched, note or Note(), states or {"orders": FOLLOWING}, actions, {"stream": STREAM})


def taken(step: Step, began: float, ended: float | None, expected_s: float | None = None) -> Taken:
    return Taken(step=step, began_at=at(began), ended_at=None if ended is None else at(ended), expected_s=expected_s)


STEPS = [taken(Step.CORDON, 0, 1), taken(Step.DRAIN, 1, 4, 2.5), taken(Step.ACTIVATE, 4, 6), taken(Step.SEAL, 6, 9)]


def test_without_any_step_there_is_none() -> None:
    assert switch_report(known()) is None


def test_a_switch_is_told_with_what_each_step_took_and_was_expected_to() -> None:
    switched = Switched(began_at=T0, by="ann", max_pause_s=10, stage=Stage.DONE, steps=STEPS)
    told = switch_report(known(switched, orders=SEALED))
    assert told is not None
    steps = [(s.name, s.elapsed_s, s.expected_s, s.outcome, s.by) for s in told.steps]
    assert steps[:2] == [("cordon", 1, None, "done", "ann"), ("drain", 3, 2.5, "done", "ann")]
    assert (told.by_hand, told.attempt, told.by, told.stage, told.sealed_at) == (False, 1, "ann", "done", at(9))
    assert told.pause is not None
    assert (told.pause.seconds, told.pause.budget_s, told.pause.seen) == (6, 10, None)
    assert told.forced == ""


def test_a_step_under_way_has_neither_end_nor_outcome() -> None:
    switched = Switched(began_at=T0, by="ann", max_pause_s=10, steps=[taken(Step.CORDON, 0, None)])
    told = switch_report(known(switched))
    assert told is not None
    assert (told.steps[0].ended_at, told.steps[0].elapsed_s, told.steps[0].outcome) == (None, None, None)
    assert told.pause is not None
    assert told.pause.seconds is None


def test_switches_that_were_undone_are_told_with_their_reasons_and_pauses() -> None:
    steps = [taken(Step.CORDON, 0, 1), taken(Step.DRAIN, 1, None)]
    undone = Attempt(
        began_at=T0, by="bob", max_pause_s=4, stage=Stage.UNDONE, steps=steps, reason="over", undone_at=at(5)
    )
    switched = Switched(began_at=at(20), by="ann", max_pause_s=10, attempt=2, earlier=[undone])
    told = switch_report(known(switched))
    assert told is not None
    (before,) = told.earlier
    assert (before.by, before.reason, before.undone_at) == ("bob", "over", at(5))
    assert [s.outcome for s in before.steps] == ["undone", "given up"]
    assert before.pause is not None
    assert before.pause.seconds == 5


def test_the_latest_switch_is_told_as_undone_until_steps_are_taken_by_hand() -> None:
    switched = Switched(
        began_at=T0, by="bob", max_pause_s=4, stage=Stage.UNDONE, steps=STEPS[:1], reason="over", undone_at=at(5)
    )
    told = switch_report(known(switched))
    assert told is not None
    assert (told.by_hand, told.stage, told.reason, told.earlier) == (False, "undone", "over", [])
    draining = replace(FOLLOWING, phase=Phase.DRAINING, fence=at(30))
    by_hand = switch_report(known(switched, None, action("drain", "cid"), orders=draining))
    assert by_hand is not None
    assert (by_hand.by_hand, by_hand.stage, by_hand.began_at) == (True, None, at(30))
    assert [(s.name, s.by) for s in by_hand.steps] == [("drain", "cid")]
    assert [each.reason for each in by_hand.earlier] == ["over"]


def test_steps_by_hand_are_told_as_far_as_anybody_remembers() -> None:
    note = Note(
        [change(Side.AWS, before=True, to=False), change(Side.AZURE, before=False, to=True)], activating_at=at(8)
    )
    actions = [action("turn a trigger off"), action("drain"), action("turn a trigger on"), action("seal", "bob")]
    told = switch_report(known(None, note, *actions, orders=SEALED))
    assert told is not None
    steps = [(s.name, s.began_at, s.ended_at, s.by) for s in told.steps]
    assert steps == [
        ("cordon", at(1), None, "ann"), ("drain", at(3), None, "ann"), ("activate", at(8), None, "ann"),
        ("seal", at(9), at(9), "bob"),
    ]  # fmt: skip
    assert (told.pause, told.attempt, told.forced) == (None, 0, "")


def test_a_seal_by_force_is_told_with_the_reason_of_whoever_did_it() -> None:
    forced = replace(SEALED, drained_at=None)
    told = switch_report(known(None, None, action("seal by force", detail="no time"), orders=forced, jobs=SEALED))
    assert told is not None
    assert told.forced == "no time"
    drain = drain_report(forced, LATE)
    assert drain is not None
    assert (drain.forced, drain.sealed_at, drain.fence, drain.drained_at) == (True, at(9), at(3), None)
    proven = switch_report(known(None, None, action("seal by force", detail="no time"), orders=SEALED))
    assert proven is not None
    assert proven.forced == "", "it was proven all the same"


def test_a_migration_is_sealed_when_all_of_it_is() -> None:
    told = switch_report(known(None, None, orders=SEALED, jobs=replace(FOLLOWING, fence=T0)))
    assert told is not None
    assert told.sealed_at is None


def test_late_writes_are_told_after_the_seal_and_before_as_written_after_the_fence() -> None:
    draining = replace(FOLLOWING, phase=Phase.DRAINING, fence=T0)
    assert late_writes(draining, LATE) is None
    before = drain_report(draining, LATE)
    assert before is not None
    assert (before.late, before.forced) == (2, None)
    after = late_writes(SEALED, LATE)
    assert after is not None
    assert (after.count, after.first, after.last_at) == (2, ["k-1"], T0)
    assert late_writes(SEALED, None) is None, "nobody has looked yet"
    assert drain_report(FOLLOWING, None) is None


def test_a_trigger_is_told_as_it_was_seen_last_or_else_as_it_was_left() -> None:
    note = Note(
        [change(Side.AWS, before=True, to=False), change(Side.AZURE, before=None, to=True, stage=Turned.BEGUN)],
        {"stream.azure": Signed(enabled=True, who="cid", at=T0)},
    )
    (left,) = triggers_of(known(None, note))
    assert {name: (side.before, side.after) for name, side in left.sides.items()} == {
        "aws": ("on", "off"), "azure": (None, None),
    }  # fmt: skip
    assert left.signed_off_by == "cid"
    seen = {Place("stream", Side.AWS): Seen(TriggerState(enabled=True), 0.0)}
    (again,) = triggers_of(replace(known(None, note), seen=seen))
    assert again.sides["aws"].after == "on", "somebody has turned it on again"
    (unread,) = triggers_of(replace(known(), note=None))
    assert (unread.sides["aws"].before, unread.sides["aws"].after) == (None, None)


def test_the_way_back_begins_before_azure_was_activated_and_says_what_makes_that_doubtful() -> None:
    assert way_back("x", "orders", FOLLOWING, known()) is None
    note = Note([change(Side.AZURE, before=False, to=True)], activating_at=at(8))
    told = way_back("the feed", "orders", SEALED, known(None, note))
    assert told is not None
    assert (told.reads, told.before_activation, told.at_seal, told.doubt) == ("the feed", at(8), at(9), "")
    on = Note([change(Side.AZURE, before=True, to=True, stage=Turned.ALREADY)], activating_at=at(8))
    doubted = way_back("", "orders", SEALED, known(None, on))
    assert doubted is not None
    assert doubted.doubt == "already on before: stream"
    other = way_back("", "customers", SEALED, known(None, on))
    assert other is not None
    assert other.doubt == "", "that trigger reads another target"

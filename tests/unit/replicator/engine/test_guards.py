"""Promises of the guards: a change that may be older than what was read is not written, one that may be newer is not
dropped, whatever the clocks say within their bounds."""

from datetime import UTC, datetime, timedelta
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from fakes.records import key_of, upsert
from replicator.engine.guards import MARGIN, NEVER, Decision, Guards, Interval

T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEY = key_of("k")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def rounded(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


seconds = st.floats(0, 10, allow_nan=False).map(lambda s: round(s, 3))
errors = st.floats(0, 3, allow_nan=False).map(lambda s: round(s, 3))
skews = st.floats(-0.999, 0.999, allow_nan=False).map(lambda s: round(s, 3))


@given(read=seconds, early=errors, late=errors, committed=seconds, skew=skews)
def test_never_backwards_and_nothing_lost_whatever_the_clocks_say(
    read: float, early: float, late: float, committed: float, skew: float
) -> None:
    """The source was read at `read`, known within [-early, +late]; a change was committed at `committed`, stamped by a
    clock that is off by `skew` and rounded down."""
    guards = Guards()
    guards.reconciled([KEY], Interval(at(read - early), at(read + late)))
    decision = guards.decide(upsert("k", 1, rounded(at(committed + skew))))
    if committed <= read:
        assert decision is not Decision.WRITE
    if committed >= read:
        assert decision is not Decision.DROP


@given(ended=seconds, late=errors, committed=seconds, skew=skews)
def test_after_a_repair_or_a_restart_every_key_is_guarded_up_to_that_moment(
    ended: float, late: float, committed: float, skew: float
) -> None:
    guards = Guards(all_until=at(ended + late))
    decision = guards.decide(upsert("k", 1, rounded(at(committed + skew))))
    assert decision is not Decision.DROP, "no key's own reading is known"
    if committed <= ended:
        assert decision is Decision.RECONCILE


def test_without_guards_everything_is_written() -> None:
    assert not Guards().any
    assert Guards().decide(upsert("k", 1)) is Decision.WRITE


def test_during_a_repair_a_key_not_looked_at_yet_is_reconciled() -> None:
    guards = Guards(all_until=NEVER)
    assert guards.decide(upsert("k", 1, at(1_000_000))) is Decision.RECONCILE
    guards.passed(at(10_000_000))
    assert guards.any
    guards.end_repair(at(5))
    assert guards.decide(upsert("k", 1, at(6))) is Decision.RECONCILE
    assert guards.decide(upsert("k", 1, at(8))) is Decision.WRITE


def test_clear_cut_changes_are_decided_without_reading_again() -> None:
    guards = Guards()
    guards.reconciled([KEY], Interval(at(10), at(11)))
    assert guards.decide(upsert("k", 1, at(7))) is Decision.DROP
    assert guards.decide(upsert("k", 1, at(8))) is Decision.RECONCILE
    assert guards.decide(upsert("k", 1, at(13))) is Decision.RECONCILE
    assert guards.decide(upsert("k", 1, at(14))) is Decision.WRITE
    assert guards.decide(upsert("k", 1, None)) is Decision.RECONCILE, "without a time nothing is clear"
    assert guards.decide(upsert("other", 1, at(7))) is Decision.WRITE


def test_an_open_key_is_reconciled_whatever_its_time() -> None:
    guards = Guards()
    guards.open([KEY])
    assert guards.any
    assert guards.decide(upsert("k", 1, at(99))) is Decision.RECONCILE


def test_an_open_key_stays_open_until_it_is_closed_by_who_opened_it() -> None:
    """The stream may reconcile the key meanwhile; a plain write would then race with the reconcile still to come."""
    guards = Guards()
    guards.open([KEY])
    guards.open([KEY])
    guards.reconciled([KEY], Interval(at(10), at(11)))
    assert guards.decide(upsert("k", 1, at(99))) is Decision.RECONCILE
    guards.close([KEY])
    assert guards.decide(upsert("k", 1, at(99))) is Decision.RECONCILE
    guards.close([KEY])
    assert guards.decide(upsert("k", 1, at(99))) is Decision.WRITE


def test_guards_end_when_the_watermark_has_passed_them_and_not_before() -> None:
    guards = Guards()
    guards.reconciled([KEY], Interval(at(10), at(11)))
    guards.reconciled([key_of("l")], Interval(at(20), at(21)))
    guards.passed(at(11) + MARGIN)
    assert guards.decide(upsert("k", 1, at(7))) is Decision.DROP
    guards.passed(at(11.001) + MARGIN)
    assert guards.decide(upsert("k", 1, at(13.002))) is Decision.WRITE
    assert guards.decide(upsert("l", 1, at(17))) is Decision.DROP
    guards.passed(at(30))
    assert not guards.any


def test_a_change_that_comes_after_the_guard_it_belongs_to_is_not_simply_written() -> None:
    """The watermark had claimed that there was none: it is an estimate."""
    guards = Guards()
    guards.reconciled([KEY], Interval(at(10), at(11)))
    guards.passed(at(30))
    assert not guards.any
    assert guards.decide(upsert("k", 1, at(9))) is Decision.RECONCILE
    assert guards.decide(upsert("k", 1, at(11) + MARGIN)) is Decision.RECONCILE
    assert guards.decide(upsert("k", 1, at(11.001) + MARGIN)) is Decision.WRITE
    assert guards.decide(upsert("k", 1, None)) is Decision.WRITE
    guards.all_until = at(40)
    guards.passed(at(50))
    assert guards.decide(upsert("k", 1, at(40))) is Decision.RECONCILE


@given(st.lists(st.tuples(st.integers(0, 9), seconds), min_size=1, max_size=40), st.integers(0, 9), seconds)
def test_memory_is_bounded_and_what_is_given_up_is_still_guarded(
    reconciles: list[tuple[int, float]], number: int, committed: float
) -> None:
    guards, last = Guards(most=3), dict[int, float]()
    for key, read in sorted(reconciles, key=lambda r: r[1]):
        guards.reconciled([key_of(str(key))], Interval(at(read), at(read)))
        last[key] = read
    assert len(guards._reconciled) <= 3
    decision = guards.decide(upsert(str(number), 1, rounded(at(committed))))
    if number in last and committed <= last[number]:
        assert decision is not Decision.WRITE
    if number not in last or committed >= last[number]:
        assert decision is not Decision.DROP


def test_a_great_many_guards_end_at_once_without_holding_everything_else_up() -> None:
    """Twenty times as fast as it must be; finding each oldest one anew would take half a minute."""
    guards = Guards(most=300_000)
    guards.reconciled([str(n) for n in range(300_000)], Interval(at(0), at(1)))
    begun = process_time()
    guards.passed(at(60))
    assert not guards.any
    assert process_time() - begun < 5

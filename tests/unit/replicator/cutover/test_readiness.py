"""Promises of the pure rules: ready only if every single condition is known, recent enough and met."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.evidence import CLEAN, DEMANDS, HELD, IN_SYNC, NOW, READY, SOURCE_TIME, demanding, evidence, steady
from fakes.statuses import but
from replicator.cutover.checks import CHECKS, Evidence
from replicator.cutover.phases import least_phase
from replicator.cutover.readiness import judge, judge_pipeline
from replicator.cutover.report import Cutover, Outcome
from replicator.cutover.steady import Steady, watch
from replicator.status import AzureTriggers, ForeignStatus, PipelineStatus, QueueDepth, SyncStatus


def told(e: Evidence) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in judge_pipeline(e, SOURCE_TIME).checks}


def whole(**pipelines: Evidence | None) -> Cutover:
    return judge("shop", pipelines, seen_at=SOURCE_TIME, judged_at=SOURCE_TIME)


def test_what_is_known_recent_and_met_is_ready() -> None:
    answer = whole(orders=evidence())
    assert answer.ready
    assert not answer.reasons
    assert set(told(evidence()).values()) == {Outcome.PASS}
    assert set(told(evidence())) == set(CHECKS) - {"queue", "sync", "azure_triggers_off"}
    assert answer.pipelines["orders"].replicated_through == READY.replicated_through


def test_a_queue_that_is_held_is_ready_to_be_drained_and_in_no_lag() -> None:
    pipeline = judge_pipeline(evidence(HELD), SOURCE_TIME)
    assert (pipeline.ready, pipeline.held) == (True, True)
    assert set(told(evidence(HELD))) == set(CHECKS) - {"lag", "steady", "sync", "azure_triggers_off"}
    assert next(c.measured for c in pipeline.checks if c.name == "queue") == "8 held, 3 s ago"


def test_a_queue_that_is_held_is_not_asked_to_be_in_sync() -> None:
    """Nothing comes to the target before the drain, so it would never be, and no switch could begin."""
    behind = SyncStatus(state="catching_up", since=ago(9), reason="how far the target is behind is not known")
    demands = demanding(sync=True)
    assert judge_pipeline(evidence(but(HELD, sync=behind), demands=demands), SOURCE_TIME).ready
    assert judge_pipeline(evidence(HELD, demands=demands), SOURCE_TIME).ready
    assert not judge_pipeline(evidence(but(READY, sync=behind), demands=demands), SOURCE_TIME).ready


def verified(**changes: object) -> dict[str, object]:
    return {"verification": CLEAN.model_copy(update=changes)}


def scanned(at: datetime | None, found: int) -> dict[str, object]:
    return {"foreign": ForeignStatus(scanned_at=at, found=found)}


def ago(seconds: float) -> datetime:
    return SOURCE_TIME - timedelta(seconds=seconds)


Changes = dict[str, object]

above = st.floats(min_value=0.001, max_value=1e9)
some = st.integers(1, 10**9)

SPOILERS: dict[str, tuple[Outcome, st.SearchStrategy[Changes]]] = {
    "copied": (
        Outcome.FAIL,
        st.one_of(
            st.sampled_from(["copying", "copied", "failed", "sealed", ""]).map(lambda p: {"phase": p}),
            st.sampled_from(["running", "finished", ""]).map(lambda s: {"copy_stage": s}),
            st.just({"repairing": True}),
        ),
    ),
    "partitions": (Outcome.FAIL, some.map(lambda n: {"unread": n})),
    "partitions unknown": (Outcome.UNKNOWN, st.sampled_from([{"unread": None}, {"stream_lag_s": None}])),
    "lease": (Outcome.FAIL, st.floats(max_value=0, allow_nan=False).map(lambda s: {"lease_left_s": s})),
    "lease unknown": (Outcome.UNKNOWN, st.just({"lease_left_s": None})),
    "lag": (Outcome.FAIL, (above.map(lambda s: DEMANDS.max_lag_s + s) | st.just(math.nan)).map(lambda s: {"lag_s": s})),
    "lag unknown": (Outcome.UNKNOWN, st.just({"lag_s": None})),
    "dead_letters": (Outcome.FAIL, some.map(lambda n: {"dead_letters": n})),
    "suspect_keys": (Outcome.FAIL, some.map(lambda n: {"suspect_keys": n})),
    "retention": (Outcome.FAIL, st.floats(max_value=7199).map(lambda s: {"retention_headroom_s": s})),
    "retention unknown": (Outcome.UNKNOWN, st.just({"retention_headroom_s": None})),
    "paused": (Outcome.FAIL, st.just({"paused": True})),
    "health": (
        Outcome.FAIL,
        st.one_of(
            st.lists(st.text(min_size=1), min_size=1).map(lambda words: {"problems": words}),
            st.sampled_from(["source", "target", "another"]).map(lambda side: {"degraded": {side: ""}}),
        ),
    ),
    "verification": (Outcome.FAIL, some.map(lambda n: verified(differences=n))),
    "verification unknown": (
        Outcome.UNKNOWN,
        st.one_of(
            st.just({"verification": None}),
            some.map(lambda n: verified(unsettled=n)),
            st.sampled_from(["began_at", "ended_at"]).map(lambda member: verified(**{member: None})),
            above.map(lambda s: verified(began_at=ago(3600.01 + s))),
            above.map(lambda s: verified(began_at=ago(-s))),
        ),
    ),
    "foreign": (Outcome.FAIL, some.map(lambda n: scanned(ago(300), n)) | some.map(lambda n: scanned(None, n))),
    "foreign unknown": (
        Outcome.UNKNOWN,
        st.one_of(
            st.just({"foreign": None}),
            st.just(scanned(None, 0)),
            above.map(lambda s: scanned(ago(600.01 + s), 0)),
            above.map(lambda s: scanned(ago(-s), 0)),
        ),
    ),
    "sync": (Outcome.FAIL, st.just({"sync": SyncStatus(state="catching_up", since=ago(9), reason="a replay")})),
}  # fmt: skip
"""What spoils one condition each, by its name: bad, or unknown."""


@pytest.mark.parametrize("spoiler", SPOILERS)
@given(data=st.data())
def test_any_single_evidence_that_is_bad_or_unknown_stands_against_it(spoiler: str, data: st.DataObject) -> None:
    """By its name, and with something to do about it."""
    outcome, changes = SPOILERS[spoiler]
    spoilt = evidence(but(READY, **data.draw(changes)))
    name = spoiler.split(maxsplit=1)[0]
    answer = whole(orders=spoilt, customers=evidence())
    assert not answer.ready
    assert told(spoilt)[name] is outcome
    assert any(reason.startswith(f"orders: {name} ") for reason in answer.reasons)
    (check,) = [c for c in answer.pipelines["orders"].checks if c.name == name]
    assert check.todo


@given(st.lists(st.sampled_from([*SPOILERS]), min_size=1, max_size=4, unique=True), st.data())
def test_nothing_bad_makes_up_for_something_else_that_is_bad(spoilers: list[str], data: st.DataObject) -> None:
    status = READY
    for spoiler in spoilers:
        status = but(status, **data.draw(SPOILERS[spoiler][1]))
    assert not judge_pipeline(evidence(status), SOURCE_TIME).ready


def test_every_condition_is_spoilt_by_something() -> None:
    """Those that are not named above have tests of their own."""
    others = {"watched", "steady", "queue", "throttling", "late_records", "azure_triggers_off"}
    assert {name.split()[0] for name in SPOILERS} | others == set(CHECKS)


EVIDENCE = (
    "lag_s", "stream_lag_s", "retention_headroom_s", "verification", "foreign", "unread", "lease_left_s", "source_time"
)  # fmt: skip


@pytest.mark.parametrize("member", EVIDENCE)
def test_none_is_never_good(member: str) -> None:
    assert not judge_pipeline(evidence(but(READY, **{member: None})), SOURCE_TIME).ready


@pytest.mark.parametrize("depth", [{"age_s": None}, {"age_s": 60.1}, {"held": False}])
def test_a_held_queue_that_is_not_looked_at_is_not_ready(depth: Changes) -> None:
    queue = QueueDepth.model_validate({**dict(HELD.queue or ()), **depth})
    assert not judge_pipeline(evidence(but(HELD, queue=queue)), SOURCE_TIME).ready


@pytest.mark.parametrize("status", [READY, HELD])
@given(age_s=st.floats(5.001, 1e9) | st.floats(-1e9, -0.001))
def test_evidence_that_is_too_old_is_no_evidence(status: PipelineStatus, age_s: float) -> None:
    """However good it was; nor is any from the future."""
    assert told(evidence(status, age_s=age_s))["watched"] is Outcome.UNKNOWN
    assert not judge_pipeline(evidence(status, age_s=age_s), SOURCE_TIME).ready


@given(st.floats(0, 5), st.floats(0, 40))
def test_the_lag_grows_until_it_is_asked_for(age_s: float, lag_s: float) -> None:
    """It is told, and judged, as it is at the time of the answer, at most."""
    pipeline = judge_pipeline(evidence(but(READY, lag_s=lag_s), age_s=age_s), SOURCE_TIME)
    assert pipeline.lag_s == pytest.approx(lag_s + age_s, abs=1e-6)
    assert pipeline.lag_s is not None
    assert pipeline.ready == (pipeline.lag_s <= DEMANDS.max_lag_s)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"lease_left_s": 3.0}, "lease"),
        ({"retention_headroom_s": 7203.0}, "retention"),
        (verified(began_at=ago(3597)), "verification"),
        (scanned(ago(597), 0), "foreign"),
    ],
)
def test_whatever_gets_worse_with_time_does_so_until_it_is_asked_for(changes: Changes, name: str) -> None:
    assert told(evidence(but(READY, **changes), age_s=2))[name] is Outcome.PASS
    assert told(evidence(but(READY, **changes), age_s=4))[name] is not Outcome.PASS


def test_a_pipeline_that_nothing_is_known_of_stands_against_it() -> None:
    assert not whole(orders=evidence(), customers=None).ready
    assert whole(orders=None).reasons == ["orders: starting, nothing is known yet"]
    assert not whole().ready


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_waived_does_not_count_and_says_so_and_nothing_else_is(name: str) -> None:
    bad = but(READY, verification=None, foreign=None, dead_letters=1)
    demands = demanding(waived={name: "no way to compare"})
    pipeline = judge_pipeline(evidence(bad, demands=demands), SOURCE_TIME)
    against = {check.name for check in pipeline.checks if not check.counts_as_passed}
    assert against == {"verification", "foreign", "dead_letters"} - {name}
    assert {check.waived for check in pipeline.checks if check.name == name} <= {"no way to compare"}
    assert not pipeline.ready
    outcomes = {check.name: check.outcome for check in pipeline.checks}
    assert outcomes["verification"] is Outcome.UNKNOWN, "the truth is told all the same"


def test_what_the_source_keeps_for_ever_needs_no_headroom() -> None:
    assert judge_pipeline(evidence(but(READY, kept_for_ever=True, retention_headroom_s=None)), SOURCE_TIME).ready


def test_one_that_is_sealed_is_not_waited_for() -> None:
    checks = judge_pipeline(evidence(but(READY, phase="sealed")), SOURCE_TIME).checks
    copied = next(check for check in checks if check.name == "copied")
    assert (copied.outcome, copied.todo) == (Outcome.FAIL, "it is sealed: its replication has ended for good")


def test_a_pipeline_in_mode_sync_must_be_known_to_be_in_sync() -> None:
    demands = demanding(sync=True)
    assert told(evidence(demands=demands))["sync"] is Outcome.UNKNOWN
    assert told(evidence(but(READY, sync=IN_SYNC), demands=demands))["sync"] is Outcome.PASS


def test_the_steady_period_is_what_was_seen_and_not_what_is_claimed() -> None:
    short = Evidence(READY, steady(READY, for_s=59), NOW, DEMANDS)
    assert told(short)["steady"] is Outcome.FAIL
    assert told(short)["throttling"] is told(short)["late_records"] is Outcome.FAIL
    assert told(replace(short, now=NOW + 1))["steady"] is Outcome.PASS


@pytest.mark.parametrize(("check", "changed", "mended"), [
    ("throttling", {"throttled_at": SOURCE_TIME}, "more capacity"), ("late_records", {"late": 1}, "idle_margin_s"),
])  # fmt: skip
def test_a_daemon_that_has_only_begun_blames_nobody(check: str, changed: Changes, mended: str) -> None:
    """For each check that demands a quiet period: what helps is said where something has happened, and only there."""

    def todo(seen: Steady) -> str:
        checks = judge_pipeline(Evidence(READY, seen, NOW, DEMANDS), SOURCE_TIME).checks
        return next(found.todo for found in checks if found.name == check)

    begun = steady(READY, for_s=9)
    assert mended not in todo(begun)
    assert "wait" in todo(begun)
    assert mended in todo(watch(replace(begun, seen_at=NOW - 2), but(READY, **changed), NOW - 1, DEMANDS))


@given(st.lists(st.sampled_from(["failed", "copying", "following", "draining", "sealed", "copied"]), min_size=1))
def test_the_phase_of_a_migration_is_the_least_of_its_pipelines(phases: list[str]) -> None:
    order = ["failed", "copying", "following", "draining", "sealed", "copied"]
    assert least_phase(phases) == order[min(map(order.index, phases))]
    assert least_phase([*phases, "unheard of"]) == "unheard of"
    assert least_phase([]) == ""


@pytest.mark.parametrize(
    ("found", "age_s", "outcome"),
    [
        (AzureTriggers(on=[], unknown=[], age_s=30.0), 0, Outcome.PASS),
        (AzureTriggers(on=[], unknown=[], age_s=118.0), 3, Outcome.UNKNOWN),
        (AzureTriggers(on=[], unknown=["b"], age_s=1.0), 0, Outcome.UNKNOWN),
        (AzureTriggers(on=["a"], unknown=["b"], age_s=500.0), 0, Outcome.FAIL),
        (AzureTriggers(on=[], unknown=[], age_s=None), 0, Outcome.UNKNOWN),
        (None, 0, Outcome.UNKNOWN),
    ],
)
def test_an_azure_trigger_on_the_target_must_be_known_to_be_off(
    found: AzureTriggers | None, age_s: float, outcome: Outcome
) -> None:
    """What is replicated must fire nothing."""
    status = but(READY, azure_triggers=found)
    assert told(evidence(status, age_s=age_s, demands=demanding(azure_triggers=True)))["azure_triggers_off"] is outcome

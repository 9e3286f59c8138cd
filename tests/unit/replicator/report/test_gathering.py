"""Promises of the report: it tells what is stored and seen, an unknown as unknown, and neither secrets nor keys."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from unit.docs.pages import text

from connectors import registry
from fakes.daemons import Place
from fakes.statuses import FINE, but
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.config.loading import parse_config
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.engine.rounds import Note, Round, write_note
from replicator.model import Action, CopyStage, Mode, Phase, PipelineState, Rejection
from replicator.report import Report
from replicator.report.gathering import MOST_ACTIONS, Now, gather, side, strategy
from replicator.report.history import Counts, History, Seen, write_history
from replicator.report.model import ESTIMATE_NOTE, Estimates
from replicator.report.page import page
from replicator.report.recording import EVERYWHERE, SAVE_INTERVAL_S, Recorder, load_history, note_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE = PipelineConfig(source=SourceConfig(type="scripted"), target=TargetConfig(type="memory"))
CONFIG = MigrationConfig(migration="shop", pipelines={"orders": PIPELINE})
NOTHING_YET = Now({}, {}, None)
COPIED = PipelineState(
    epoch=1, phase=Phase.FOLLOWING, copy_stage=CopyStage.SWEPT, copy_started_at=T0,
    copy_finished_at=T0 + timedelta(seconds=50), copied_records=1000, copied_bytes=5000,
)  # fmt: skip


@pytest.fixture
async def store() -> AsyncIterator[InlineStore]:
    async with InlineStore() as opened:
        yield opened


async def test_of_a_migration_that_never_began_everything_is_unknown(store: InlineStore) -> None:
    report = await gather(CONFIG, store, NOTHING_YET)
    orders = report.pipelines["orders"]
    assert (report.ready, report.began_at, report.switch, report.estimated_at) == (None, None, None, None)
    assert (orders.ready, orders.problems, orders.changes, orders.lag_s) == (None, None, None, None)
    assert (orders.copied.seconds, orders.copied.mean_per_s, orders.copied.bytes) == (None, None, None)
    assert (orders.way_back, orders.late_writes, orders.verified.clean_since) == (None, None, None)
    assert (orders.lag.points, orders.lag.worst_s) == ([], None)


async def test_a_copy_is_told_with_its_times_and_its_rates(store: InlineStore) -> None:
    await store.save_pipeline("orders", COPIED)
    copied = (await gather(CONFIG, store, NOTHING_YET)).pipelines["orders"].copied
    assert (copied.began_at, copied.seconds, copied.records, copied.bytes) == (T0, 50, 1000, 5000)
    assert (copied.mean_per_s, copied.mean_bytes_per_s) == (20, 100)


async def test_a_copy_that_is_under_way_has_no_mean_and_is_counted_by_the_daemon(store: InlineStore) -> None:
    await store.save_pipeline("orders", replace(COPIED, copy_finished_at=None, copied_records=0, copied_bytes=0))
    now = Now({"orders": but(FINE, copied=7, copied_bytes=70)}, {}, None)
    copied = (await gather(CONFIG, store, now)).pipelines["orders"].copied
    assert (copied.records, copied.bytes, copied.seconds, copied.mean_per_s) == (7, 70, None, None)


async def test_every_action_is_told_in_order(store: InlineStore) -> None:
    for n in range(1005):
        await store.add_action(Action(T0, "eve", f"pause {n}", "orders", "why"))
    report = await gather(CONFIG, store, NOTHING_YET)
    assert [a.name for a in report.actions] == [f"pause {n}" for n in range(1005)]
    assert not report.actions_left_out
    assert MOST_ACTIONS >= 1005


async def test_the_rounds_are_evidence_and_the_one_under_way_is_told(store: InlineStore) -> None:
    await store.save_note("orders", "verification", write_note(Note(round=Round(T0), clean_since=T0)))
    verified = (await gather(CONFIG, store, NOTHING_YET)).pipelines["orders"].verified
    assert (verified.clean_since, verified.running, verified.rounds) == (T0, True, [])


async def test_dead_letters_are_told_by_reason_and_never_by_key(store: InlineStore) -> None:
    await store.add_dead_letters("orders", "p", [Rejection("eve@example.com", "eve@example.com is too large")])
    await store.resolve_dead_letters(await store.dead_letters("orders"))
    await store.add_dead_letters("orders", "p", [Rejection("bob@example.com", "bob@example.com is too large")])
    report = await gather(CONFIG, store, NOTHING_YET)
    letters = report.pipelines["orders"].dead_letters
    assert letters.open == 1
    assert {(x.reason, x.outcome, x.count) for x in letters.letters} == {
        ("(key) is too large", "open", 1),
        ("(key) is too large", "resolved", 1),
    }
    assert "example.com" not in report.model_dump_json()


async def test_catching_up_is_counted_from_the_end_of_the_copy(store: InlineStore) -> None:
    await store.save_pipeline("orders", COPIED)
    seen = [Seen(T0 + timedelta(seconds=s), "following") for s in (10, 62, 90)]
    await store.save_note(EVERYWHERE, ESTIMATE_NOTE, estimated(copy=40.0, drain=3.0))
    report = await gather(CONFIG, store, Now({}, {"orders": History(moments=seen)}, None))
    steps = {r.step: (r.estimated_s, r.actual_s) for r in report.pipelines["orders"].estimates}
    assert steps == {"copy": (40, 50), "catch-up": (None, 12), "verification": (None, None), "drain": (3, None)}
    sealed = replace(COPIED, phase=Phase.SEALED, fence=T0, drained_at=T0 + timedelta(seconds=4))
    await store.save_pipeline("orders", sealed)
    estimates = (await gather(CONFIG, store, NOTHING_YET)).pipelines["orders"].estimates
    assert [(r.estimated_s, r.actual_s) for r in estimates if r.step == "drain"] == [(3, 4)]
    assert report.estimated_at == T0


def estimated(**seconds: float) -> str:
    return Estimates(made_at=T0, pipelines={"orders": seconds}).model_dump_json()


async def test_counts_of_changes_come_from_the_history_also_without_a_daemon(store: InlineStore) -> None:

    kept = History(moments=[Seen(T0, "copying")], counts=Counts(read=9, applied=7))
    await store.save_note(EVERYWHERE, note_of("orders"), write_history(kept))
    report = await gather(CONFIG, store, NOTHING_YET)
    changes = report.pipelines["orders"].changes
    assert changes is not None
    assert (changes.read, changes.applied) == (9, 7)
    assert report.began_at == T0


async def test_a_new_epoch_ends_no_history(store: InlineStore) -> None:
    """An adoption forgets what is known of the partitions, not what happened."""
    recorder = Recorder(store)
    await recorder.begin(CONFIG.pipelines)
    await recorder.save()
    await store.begin_epoch("orders", PipelineState(epoch=2))
    again = Recorder(store)
    await again.begin(CONFIG.pipelines)
    assert [m.what for m in again.histories["orders"].moments] == ["daemon started"] * 2


@in_virtual_time
async def test_what_happens_is_saved_at_once_and_the_rest_now_and_then() -> None:
    async with InlineStore() as store, anyio.create_task_group() as tasks:
        recorder = Recorder(store)
        await recorder.begin(CONFIG.pipelines)
        tasks.start_soon(recorder.keep)
        await anyio.sleep(1)
        recorder.see({"orders": but(FINE, applied=3)}, {"orders": None})
        await anyio.sleep(0.1)
        assert (await load_history(store, "orders")).phase == "following"
        recorder.see({"orders": but(FINE, applied=8)}, {"orders": None})
        await anyio.sleep(0.1)
        assert (await load_history(store, "orders")).counts.applied == 3
        await anyio.sleep(SAVE_INTERVAL_S)
        assert (await load_history(store, "orders")).counts.applied == 8
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        ([Mode.COPY], "planned downtime"),
        ([Mode.ASYNC, Mode.ASYNC], "minimized downtime"),
        ([Mode.SYNC], "zero downtime"),
        ([Mode.SYNC, Mode.COPY], "mixed"),
    ],
)
def test_the_strategy_is_named_as_the_documentation_does(modes: list[Mode], told: str) -> None:
    assert strategy(modes) == told


def test_sides_are_told_by_what_the_config_names_without_its_secrets() -> None:
    secrets = {"COSMOS_KEY": "c2VjcmV0", "REPLICATOR_TOKEN": "sixteen characters"}
    config = parse_config(text("docs/config.example.yaml"), registry(), secrets)
    sides = [each for p in config.pipelines.values() for each in (side(p.source), side(p.target))]
    assert all(each.names for each in sides)
    assert "c2VjcmV0" not in str(sides)
    named = {(each.type, name) for each in sides for name in each.names}
    assert {("dynamodb", "table"), ("cosmos", "container"), ("s3", "bucket"), ("sqs", "queue")} <= named


def test_an_address_is_told_without_user_and_signature() -> None:
    class Target(TargetConfig):
        endpoint: str

    told = side(Target(type="x", endpoint="https://eve:secret@shop.example:8443/a?sig=secret"))
    assert told.names == {"endpoint": "https://shop.example:8443/a"}


@in_virtual_time
async def test_a_daemon_tells_what_it_does_and_the_next_one_goes_on(store: InlineStore) -> None:
    """Phases, counts and the audit log are of all runs."""
    place = Place("orders")
    place.tables["orders"].put("before", 1)
    async with place.store:
        first = await _run(place)
        place.tables["orders"].put("later", 2)
        second = await _run(place)
    orders = second.pipelines["orders"]
    assert [m.what for m in orders.moments] == ["daemon started", "copying", "following", "daemon started"]
    before, after = first.pipelines["orders"].changes, orders.changes
    assert before is not None
    assert after is not None
    assert after.applied > before.applied > 0
    assert [a.actor for a in second.actions] == ["eve", "eve"]
    assert orders.mode == "async"
    assert Report.model_validate_json(second.model_dump_json()) == second


async def _run(place: Place) -> Report:

    daemon = place.daemon()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.run)
        await daemon.started.wait()
        await anyio.sleep(120)
        await daemon.record("eve", "look")
        report = await daemon.report()
        daemon.stop()
    return report


@pytest.mark.parametrize(
    ("phase", "differences", "result", "shown"),
    [
        (Phase.COPIED, 0, "equal", "equal"),
        (Phase.COPIED, 2, "different", "not equal"),
        (Phase.COPYING, 0, "unfinished", "not finished"),
        (Phase.FAILED, 0, "failed", "failed"),
    ],
)
async def test_what_came_of_mode_copy_is_told_instead_of_readiness(
    store: InlineStore, phase: Phase, differences: int, result: str, shown: str
) -> None:
    config = MigrationConfig(migration="shop", pipelines={"orders": PIPELINE.model_copy(update={"mode": "copy"})})
    await store.save_pipeline("orders", replace(COPIED, phase=phase, mode=Mode.COPY))
    note = Note(round=Round(T0, ended_at=T0, differences=differences))
    await store.save_note("orders", "verification", write_note(note))
    report = await gather(config, store, NOTHING_YET)
    assert report.pipelines["orders"].result == result
    markup = page(report)
    assert f">{shown}</span>" in markup
    assert "readiness unknown" not in markup
    assert "No lag has been seen" not in markup

"""Promises of the evidence: frozen once when all is sealed, the same for ever, and what comes later beside it."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import anyio
import pytest

from fakes.daemons import Place
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.clocks import utc_now
from replicator.cutover import Outcome
from replicator.cutover.fingerprint import fingerprint
from replicator.cutover.rehearsal import Claim, End
from replicator.cutover.switched import Stage, Switched
from replicator.engine.daemon import Daemon
from replicator.errors import ConfigurationError
from replicator.model import Action
from replicator.report import Report
from replicator.report.freezing import NOTE, Frozen, load_frozen, with_evidence
from replicator.report.gathering import Log
from replicator.report.model import Estimates
from replicator.report.recording import EVERYWHERE

T0 = datetime(2026, 1, 1, tzinfo=UTC)


async def running(daemon: Daemon, tasks: anyio.abc.TaskGroup) -> Daemon:
    tasks.start_soon(daemon.run)
    await daemon.started.wait()
    await anyio.sleep(120)
    return daemon


async def seal(daemon: Daemon, *names: str, force: bool = False) -> None:
    await daemon.drain(names)
    if not force:
        with anyio.fail_after(600):
            while any(drain is None or drain.drained_at is None for drain in daemon.drains().values()):  # noqa: ASYNC110 — time is virtual
                await anyio.sleep(1)
    await daemon.record("ann", "seal")
    await daemon.seal(names, force=force)
    await daemon.quiet(names)
    await anyio.sleep(2)


@in_virtual_time
async def test_the_evidence_is_frozen_at_the_seal_and_stays_whatever_comes_later() -> None:
    place = Place("orders")
    place.tables["orders"].put("before", 1)
    async with place.store:
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            with pytest.raises(ConfigurationError, match="not sealed"):
                daemon.evidence()
            assert (await daemon.report()).since_seal is None
            await seal(daemon, "orders")
            evidence = daemon.evidence()
            with pytest.raises(ConfigurationError, match="is sealed"):
                await daemon.beforehand.estimated(Estimates(made_at=T0, pipelines={}), "ann")
            daemon.stop()
        place.tables["orders"].put("late", 2)
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            await daemon.record("bob", "look")
            assert daemon.evidence() == evidence
            report = await daemon.report()
            daemon.stop()
    frozen = Report.model_validate_json(evidence.evidence)
    assert evidence.sha256 == hashlib.sha256(evidence.evidence.encode()).hexdigest()
    assert report.model_copy(update={"since_seal": None}) == frozen
    orders, came = frozen.pipelines["orders"], report.since_seal
    assert (frozen.phase, frozen.ready, orders.stands_against) == ("sealed", None, [])
    assert [m.what for m in orders.moments][-2:] == ["draining", "sealed"]
    assert orders.late_writes is not None
    assert orders.late_writes.count == 0
    assert orders.drain is not None
    assert orders.drain.forced is False
    assert [a.name for a in frozen.actions] == ["seal"]
    assert came is not None
    late = came.late_writes["orders"]
    assert late is not None
    assert (late.count, late.first) == (1, ['{"id":"late"}'])
    assert [(a.actor, a.name) for a in came.actions] == [("replicator", "freeze the evidence"), ("bob", "look")]
    assert evidence.sha256 in came.actions[0].detail
    assert came.problems["orders"]


@in_virtual_time
async def test_nothing_is_frozen_while_a_pipeline_is_not_sealed() -> None:
    place = Place("customers", "orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = await running(place.daemon(), tasks)
        await seal(daemon, "orders", force=True)
        with pytest.raises(ConfigurationError, match="not sealed"):
            daemon.evidence()
        await seal(daemon, "customers", force=True)
        assert daemon.evidence().evidence
        daemon.stop()


@in_virtual_time
async def test_a_crash_between_the_seal_and_the_evidence_is_made_up_for() -> None:
    place = Place("orders")
    async with place.store:
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            await daemon.drain(["orders"])
            await daemon.seal(["orders"], force=True)
            tasks.cancel_scope.cancel()
        assert await load_frozen(place.store) is None
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            assert Report.model_validate_json(daemon.evidence().evidence).phase == "sealed"
            daemon.stop()


@in_virtual_time
async def test_the_hash_is_in_the_audit_log_before_the_evidence_is_kept_so_that_no_crash_leaves_it_out() -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = await running(place.daemon(), tasks)
        save, told = daemon._store.save_note, list[bool]()

        async def save_and_look(pipeline: str, name: str, text: str) -> None:
            if name == NOTE:
                sha256 = Frozen.model_validate_json(text).sha256
                told.append(any(sha256 in action.detail for action in await place.store.actions(100, 0)))
            await save(pipeline, name, text)

        daemon._store.save_note = save_and_look  # type: ignore[method-assign]
        await seal(daemon, "orders", force=True)
        daemon.stop()
    assert told == [True]


@in_virtual_time
async def test_what_is_done_while_the_evidence_is_gathered_is_in_it_or_told_after_it() -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = await running(place.daemon(), tasks)
        gathered = daemon._report_now

        async def gather_and_act(log: Log | None = None) -> Report:
            report = await gathered(log)
            daemon._report_now = gathered  # type: ignore[method-assign]
            await daemon.record("bob", "look")
            return report

        daemon._report_now = gather_and_act  # type: ignore[method-assign]
        await seal(daemon, "orders", force=True)
        report = await daemon.report()
        assert report.since_seal is not None
        assert ("bob", "look") in {(a.actor, a.name) for a in [*report.actions, *report.since_seal.actions]}
        daemon.stop()


@in_virtual_time
async def test_the_evidence_holds_the_whole_switch_so_it_waits_for_its_end() -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = await running(place.daemon(), tasks)
        switched = Switched(began_at=T0, by="ann", max_pause_s=10)
        daemon.switching.told = switched
        await seal(daemon, "orders", force=True)
        with pytest.raises(ConfigurationError, match="not sealed"):
            daemon.evidence()
        daemon.switching.told = switched.model_copy(update={"stage": Stage.DONE})
        await anyio.sleep(2)
        assert daemon.evidence().evidence
        daemon.stop()


@in_virtual_time
async def test_hooks_are_told_the_report_without_reading_the_audit_log_which_may_be_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = await running(place.daemon(), tasks)
        read: list[int] = []

        async def actions(limit: int, _after: int) -> list[Action]:
            read.append(limit)
            return []

        for is_frozen in (False, True):
            if is_frozen:
                await seal(daemon, "orders")
                assert daemon.evidence().evidence
            with monkeypatch.context() as patched:
                patched.setattr(daemon._store, "actions", actions)
                report = cast(dict[str, Any], (await daemon.told())["report"])
                assert read == []
            assert "actions" not in report
            assert report["pipelines"].keys() == {"orders"}
            assert (report["since_seal"] is not None) is is_frozen
            assert [action.name for action in (await daemon.report()).actions][:1] == (["seal"] if is_frozen else [])
        daemon.stop()


@in_virtual_time
async def test_a_rehearsal_that_was_recorded_counts_after_a_restart_too() -> None:
    place = Place("orders")
    async with place.store:
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            assert [(c.name, c.outcome) for c in daemon.cutover().checks] == [("rehearsed", Outcome.FAIL)]
            now = utc_now()
            claim = Claim(
                migration="rehearsal", migration_id="r1", fingerprint=fingerprint(daemon.config), stage="done",
                by="ann", began_at=now, sealed_at=now, pause_s=1.0,
                pipelines={"orders": End(sealed_at=now, drained_at=now, late=0, records=1)},
            )  # fmt: skip
            await daemon.beforehand.rehearsed(claim, "bob")
            assert daemon.cutover().checks[0].outcome is Outcome.PASS
            daemon.stop()
        async with anyio.create_task_group() as tasks:
            daemon = await running(place.daemon(), tasks)
            assert daemon.cutover().checks[0].outcome is Outcome.PASS
            recorded = (await daemon.report()).rehearsed
            assert recorded is not None
            assert recorded.recorded is not None
            assert (recorded.recorded.by, recorded.recorded.recorded_by) == ("ann", "bob")
            daemon.stop()


@pytest.fixture
async def store() -> AsyncIterator[InlineStore]:
    async with InlineStore() as opened:
        yield opened


async def test_evidence_that_cannot_be_read_any_more_is_kept_and_its_hash_told(store: InlineStore) -> None:
    frozen = Frozen.model_validate({"at": "2026-01-01T00:00:00Z", "last_action": 0, "text": '{"newer": 1}'})
    await store.save_note(EVERYWHERE, NOTE, frozen.model_dump_json())
    assert await load_frozen(store) == frozen
    place = Place("orders")
    async with place.store:
        live = await place.daemon().report()
    told = await with_evidence(frozen, live, store)
    assert told.pipelines == live.pipelines
    assert told.since_seal is not None
    assert told.since_seal.evidence_sha256 == frozen.sha256

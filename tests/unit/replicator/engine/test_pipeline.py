"""Promises of a whole pipeline over the fakes, each tried to be broken by one scenario."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from fakes.memory import FINE, Entry, Fate, lost, refused
from fakes.records import document, key_of
from fakes.rig import LIFETIME_S, NAME, Rig, load
from fakes.virtual import in_virtual_time
from replicator.engine.ownership import Claim
from replicator.engine.pipeline import SKIP_MARGIN
from replicator.errors import ConfigurationError, ForeignOwnerError, ThrottledError
from replicator.model import CopyStage, Phase

KEY = key_of("n0")


@in_virtual_time
async def test_an_empty_source_is_soon_followed() -> None:
    rig = Rig()
    async with rig.store, rig.running():
        await rig.converged()
        rig.table.put("n0")
        await rig.converged()


@in_virtual_time
async def test_the_watermark_moves_on_while_nothing_happens() -> None:
    rig = Rig(shards=3, ahead_s=12_345.6)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        before = pipeline.lineage.replicated_through()
        await anyio.sleep(60)
        after = pipeline.lineage.replicated_through()
        assert before is not None
        assert after is not None
        assert after - before > timedelta(seconds=50)
        assert rig.table.now() - after.timestamp() < 5


@in_virtual_time
async def test_a_drained_pipeline_has_saved_everything_it_did() -> None:
    """The next run writes nothing again."""
    rig = Rig(shards=2)
    load(rig)
    async with rig.store:
        async with rig.running():
            await rig.converged()
        writes: list[str] = []

        def fate(kind: str, key: str) -> Fate:
            writes.extend([key] if kind == "write" else [])
            return FINE

        rig.service.fate = fate
        async with rig.running() as pipeline:
            await rig.converged()
            assert pipeline.copying.records == len(rig.table.rows)
        assert writes == []
        checkpoints = await rig.store.load_checkpoints(NAME)
        assert all(c.intent is None for c in checkpoints)


@in_virtual_time
async def test_a_drain_in_the_middle_of_the_copy_goes_on_from_there() -> None:
    rig = Rig(slow_rows_s=2.0)
    for number in range(60):
        rig.table.put(f"r{number}")
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.until(lambda: pipeline.copying.records > 10)
        copied = sum(c.records for c in await rig.store.load_checkpoints(NAME) if c.partition.bounded)
        assert 10 < copied < 60
        async with rig.running() as pipeline:
            await rig.converged()
            assert pipeline.copying.records == 60


@in_virtual_time
async def test_a_delete_during_the_copy_is_not_undone_by_a_row_read_before() -> None:
    rig = Rig(slow_rows_s=8.0, segments=1)
    rig.rng.uniform = max  # type: ignore[assignment,method-assign]  # rows are handed out as late as may be
    rig.table.put("n0", logged=False)
    async with rig.store, rig.running() as pipeline:
        await anyio.sleep(2)
        rig.table.delete("n0")
        await rig.until(lambda: KEY in rig.service.entries)
        assert rig.service.entries[KEY].record is None, "a tombstone"
        await rig.converged()
        assert pipeline.copying.records == 1, "the row did come, late"
    await rig.assert_swept()


@in_virtual_time
async def test_a_lost_delete_that_lands_late_leaves_no_tombstone_behind() -> None:
    """Sent at the last moment at which deletes still leave one."""
    rig = Rig()
    load(rig)
    fates: list[Fate] = []
    rig.service.fate = lambda kind, key: fates.pop() if fates and (kind, key) == ("write", KEY) else FINE
    async with rig.store, rig.running() as pipeline:
        await rig.until(lambda: pipeline.state is not None and pipeline.state.copy_stage is CopyStage.FINISHED)
        await anyio.sleep(LIFETIME_S - 1.4)
        fates.append(lost(LIFETIME_S - 0.1))
        rig.table.delete("n0")
        await rig.until(rig.is_following)
        assert not fates
        await rig.assert_swept()


@in_virtual_time
async def test_expiry_is_held_off_until_the_copy_is_done() -> None:
    """Or an expired copy would be missing when a late row, or an older change, comes and is taken for the only one."""
    rig = Rig(slow_rows_s=4.0)
    load(rig)
    rig.excused = {key_of("n1")}
    once_it_is_there_s = 4
    rig.table.expiries["n1"] = datetime.fromtimestamp(rig.table.now() + once_it_is_there_s, UTC)
    async with rig.store, rig.running() as pipeline:
        await rig.until(lambda: key_of("n1") in rig.service.entries)
        assert not rig.service.entries[key_of("n1")].armed
        await rig.until(lambda: pipeline.state is not None and pipeline.state.copy_stage is CopyStage.SWEPT)
        assert rig.service.visible(key_of("n1")) is None
    await rig.assert_swept()


@in_virtual_time
async def test_a_stage_is_not_called_following_before_the_stream_has_caught_up_with_the_copy() -> None:
    rig = Rig(slow_rows_s=3.0)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.until(lambda: pipeline.state is not None and pipeline.state.phase is Phase.FOLLOWING)
        assert pipeline.state is not None
        watermark = pipeline.lineage.replicated_through()
        assert watermark is not None
        assert pipeline.state.copy_finished_at is not None
        assert watermark > pipeline.state.copy_finished_at
        await rig.converged()


@in_virtual_time
async def test_changes_long_before_the_copy_are_skipped() -> None:
    rig = Rig()
    rig.table.put("n0")
    await anyio.sleep(SKIP_MARGIN.total_seconds() + 10)
    rig.table.put("n1")
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        assert pipeline.telemetry.totals.applied == 3, "two rows and one change"


@in_virtual_time
async def test_a_lost_position_fails_the_pipeline_says_why_and_is_repaired_by_adopting() -> None:
    rig = Rig()
    load(rig)
    async with rig.store:
        async with rig.running():
            await rig.converged()
        for number in range(30):
            rig.table.put(f"n{number % 5}")
        rig.table.trim("s0", count=20)
        await rig.start()
        await rig.pipeline.run()
        assert rig.pipeline.state is not None
        assert rig.pipeline.state.phase is Phase.FAILED
        assert "trimmed up to 20" in rig.pipeline.state.failure
        assert await rig.pipeline.judge(adopt=False) is None
        async with rig.running(adopt=True):
            await rig.converged()
    rig.assert_never_backwards()


def test_a_failed_pipeline_writes_nothing_to_a_target_that_may_have_another_owner_now() -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig()
        load(rig)
        async with rig.store:
            async with rig.running():
                await rig.converged()
            rig.table.put("n0")
            rig.table.trim("s0")
            await rig.start()
            await rig.pipeline.run()
            other = Rig()
            other.service = rig.service
            async with other.store:
                await other.start(adopt=True)
            assert await rig.pipeline.judge(adopt=False) is None
            await rig.pipeline.recall()
            rig.table.put("n0")
            with pytest.raises(ConfigurationError, match="has failed"):
                await rig.pipeline.retry([KEY])
            assert rig.service.visible(KEY) != document("n0", rig.table.rows["n0"])

    run()


@in_virtual_time
async def test_another_log_of_the_source_fails_the_pipeline() -> None:
    rig = Rig()
    load(rig)
    async with rig.store:
        async with rig.running():
            await rig.converged()
        rig.table.log = "another"
        rig.table.shards["s0"].id = "z0"
        rig.table.shards = {"z0": rig.table.shards["s0"]}
        await rig.start()
        await rig.pipeline.run()
        assert rig.pipeline.state is not None
        assert "another" in rig.pipeline.state.failure


@in_virtual_time
async def test_a_second_daemon_ends_the_first() -> None:
    rig = Rig()
    load(rig)

    async def overtaken() -> None:
        async with rig.running():
            await rig.converged()
            other = Rig()
            other.service, other.table = rig.service, rig.table
            async with other.store:
                await other.start(adopt=True)
                await anyio.sleep(10)

    async with rig.store:
        with pytest.raises(BaseExceptionGroup) as raised:
            await overtaken()
        assert raised.group_contains(ForeignOwnerError)
        with pytest.raises(ConfigurationError):
            await rig.start()


@in_virtual_time
async def test_a_target_that_is_not_empty_is_refused_and_then_repaired() -> None:
    rig = Rig()
    load(rig)
    rig.service.put(key_of("n0"), document("n0", 99))
    rig.service.put(key_of("extra"), document("extra", 98))
    async with rig.store:
        with pytest.raises(ConfigurationError, match="not empty"):
            await rig.start()
        assert await rig.pipeline.judge(adopt=True) is Claim.ADOPT
        async with rig.running(adopt=True):
            await rig.converged()


@pytest.mark.parametrize("remove", [False, True])
def test_foreign_records_are_removed_only_if_that_was_asked_for(remove: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig()
        load(rig)
        rig.remove_foreign = remove
        rig.service.entries["?"] = Entry("e?", document("?", 0), foreign=True)
        rig.excused = {"?"}
        async with rig.store, rig.running(adopt=True):
            await rig.converged()
        assert ("?" in rig.service.entries) is not remove

    run()


@in_virtual_time
async def test_what_another_config_left_in_other_places_is_removed_by_a_repair_unasked() -> None:
    """Foreign or not it would be there for ever: no change of its record reaches it."""
    rig = Rig()
    load(rig)
    rig.service.entries["once n0"] = Entry("e1", document("n0", 0), leftover=True)
    rig.service.entries["?"] = Entry("e2", document("?", 0), foreign=True)
    rig.excused = {"?", "once n0"}
    async with rig.store, rig.running(adopt=True):
        await rig.converged()
    assert set(rig.service.entries) == {"?", *rig.table.expected()}


@in_virtual_time
async def test_while_repairing_nothing_is_written_unconditionally() -> None:
    """A plain write on its way would undo what a row's reconcile writes, and the change that is thereby lost be
    dropped as known."""
    rig = Rig(slow_rows_s=12.0)
    rig.rng.uniform = max  # type: ignore[assignment,method-assign]  # rows are handed out as late as may be
    load(rig)
    plain: list[str] = []

    def fate(kind: str, key: str) -> Fate:
        state = rig.pipeline.state
        plain.extend([key] if kind == "write" and (state is None or state.repairing) else [])
        return FINE

    rig.service.fate = fate
    rig.service.put(KEY, document("n0", 0))
    async with rig.store, rig.running(adopt=True) as pipeline:
        while pipeline.state is None or pipeline.state.repairing:
            rig.table.put("n0")
            await anyio.sleep(4.5)
        await rig.converged()
        await rig.until(lambda: pipeline.state is not None and not pipeline.state.guarding)
    assert plain == []


@in_virtual_time
async def test_a_failing_target_is_only_slow() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.fate = lambda *_: refused(ThrottledError("busy", retry_after_s=0.5))
        rig.table.put("n0")
        await anyio.sleep(60)
        assert pipeline.telemetry.sides["target"].degraded
        watermark = pipeline.lineage.replicated_through()
        assert watermark is not None
        assert watermark.timestamp() < rig.table.history["n0"][-1][0]
        rig.service.fate = lambda *_: FINE
        await rig.converged()
        assert not pipeline.telemetry.sides["target"].degraded

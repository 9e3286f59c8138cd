"""Sources whose events and listings say only that a record may have changed, in a whole pipeline."""

from collections.abc import Sequence
from datetime import datetime

import anyio
import pytest

from fakes.bucket import BucketRig, LookingSource, events_are_over
from fakes.memory import FINE, Fate
from fakes.records import document, key_of
from fakes.rig import LIFETIME_S, NAME, Crash, faulty, load, work
from fakes.virtual import in_virtual_time
from replicator.engine.walking import TARGET_SCAN
from replicator.model import CopyStage, Mode, Phase, Rejection

SEEDS = range(12)
KEY = key_of("n0")


@in_virtual_time
async def test_what_is_there_is_copied_and_what_changes_is_followed() -> None:
    rig = BucketRig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.bucket.put("n0")
        rig.bucket.delete("n1")
        await rig.converged()
        assert pipeline.copying.records == pipeline.copying.bytes == 8
    rig.assert_never_backwards()


@in_virtual_time
async def test_what_a_walk_finds_equal_counts_as_looked_at_and_not_as_applied() -> None:
    rig = BucketRig(relist_s=20.0)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await events_are_over(rig)
        before, proven = pipeline.telemetry.totals.applied, pipeline.state.proven_through
        await rig.until(lambda: pipeline.state.proven_through not in {None, proven})
        assert pipeline.telemetry.totals.applied == before


@in_virtual_time
async def test_an_event_is_settled_only_once_its_record_is_durable() -> None:
    """Whatever the event says: the record is what the source holds when it is written."""
    rig = BucketRig()
    async with rig.store, rig.running():
        await rig.converged()
        rig.service.fate = lambda kind, _: Fate(0.4, 0.4) if kind == "guarded" else FINE
        rig.bucket.put("n0")
        await rig.until(lambda: any(m.received for m in rig.bucket.queue.values()))
        while rig.number("n0") is None:
            assert rig.bucket.queue, "settled before it was durable"
            await anyio.sleep(0.01)
        await events_are_over(rig)
        assert rig.number("n0") == rig.bucket.rows["n0"]


@pytest.mark.parametrize("seed", SEEDS)
def test_events_that_come_twice_late_and_in_any_order_converge(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = BucketRig(seed, twice=0.4)
        rig.service.fate = faulty(rig.rng)
        load(rig)
        async with rig.store, rig.running():
            for _ in range(3):
                await work(rig, 25, splits=False)
                await rig.converged(300)
        rig.assert_never_backwards()

    run()


async def crashing(rig: BucketRig, times: int, steps: range) -> None:
    """Processes that are killed under load, each at one of these steps, and one that is not."""
    for _ in range(times):
        rig.crash = crash = Crash(rig.rng.choice(steps))
        with crash.scope:
            async with rig.running():
                await work(rig, 15, splits=False)
                await rig.converged(300)
        rig.crash = Crash()
        await anyio.sleep(LIFETIME_S)
    async with rig.running():
        await rig.converged(300)


@pytest.mark.parametrize("seed", SEEDS)
def test_with_crashes_anywhere_no_event_is_settled_too_early(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = BucketRig(seed, twice=0.2)
        rig.service.fate = faulty(rig.rng, share=0.15)
        load(rig)
        async with rig.store:
            await crashing(rig, 6, range(5, 400))
        rig.assert_never_backwards()

    run()


@pytest.mark.parametrize("seed", SEEDS)
def test_events_that_are_lost_are_made_up_for_by_the_next_walk(seed: int) -> None:
    """A walk that was cut off by a crash goes on; what was proven by it is held against the truth all the while."""

    @in_virtual_time
    async def run() -> None:
        rig = BucketRig(seed, lost=0.5, relist_s=20.0)
        rig.service.fate = faulty(rig.rng, share=0.1)
        load(rig)
        async with rig.store:
            await crashing(rig, 3, range(100, 600))
        rig.assert_never_backwards()

    run()


def _proven(rig: BucketRig) -> float:
    proven = rig.pipeline.state.proven_through
    return float("-inf") if proven is None else proven.timestamp()


@in_virtual_time
async def test_without_events_a_walk_alone_proves_time() -> None:
    rig = BucketRig(lost=1.0, relist_s=10.0)
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.until(rig.is_following)
        rig.bucket.put("n0")
        rig.bucket.delete("n1")
        changed = rig.bucket.now()
        await rig.until(rig.service_equals_table)
        await rig.until(lambda: _proven(rig) > changed)
        assert pipeline.replicated_through is not None
        assert pipeline.replicated_through.timestamp() >= _proven(rig)


async def _crashed_in_the_first_comparison(rig: BucketRig, at: int) -> bool:
    """At this step from the end of the copy on; False when the comparison was over before."""
    with rig.crash.scope:
        async with rig.running() as pipeline:
            await rig.until(lambda: pipeline.state.copy_stage is CopyStage.SWEPT)
            assert pipeline.state.phase is Phase.COPYING
            crash = rig.crash
            crash.at = crash.steps + at
            rig.bucket.segments = 1  # the ranges of a bucket are others in each walk
            rig.bucket.put("n0")
            await rig.until(lambda: pipeline.state.phase is Phase.FOLLOWING)
    rig.crash = Crash()
    return crash.scope.cancelled_caught


def test_with_a_crash_anywhere_in_a_comparison_nothing_is_claimed_that_was_not_compared() -> None:
    """Where nothing is followed, the comparison after the copy begins `following`, whole and nothing else."""
    reached = [True]

    async def run(at: int) -> None:
        rig = BucketRig(lost=1.0, relist_s=5.0, receivers=0)
        load(rig)
        async with rig.store:
            reached[0] = await _crashed_in_the_first_comparison(rig, at)
            async with rig.running() as pipeline:
                await rig.until(rig.is_following)
                state = pipeline.state
                assert state.proven_through is not None
                assert state.copy_finished_at is not None
                assert state.proven_through > state.copy_finished_at, at
                assert rig.service_equals_table(), at
                assert {c.partition.id for c in await rig.store.load_checkpoints(NAME)} == {"scan-0", TARGET_SCAN.id}

    at = 0
    while reached[0]:
        at += 1
        in_virtual_time(run)(at)
    assert at > 20


@in_virtual_time
async def test_what_was_deleted_before_a_walk_and_made_again_behind_its_back_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its listing shows it, nor is it gone when the target's keys are held against the source: without a look
    the walk would prove a time at which it was deleted, while the target still holds what was there before.
    """
    rig = BucketRig(lost=1.0, relist_s=10.0)
    load(rig)
    async with rig.store, rig.running():
        await rig.converged()
        missing = rig.source.missing

        async def made_again(keys: Sequence[str], since: datetime | None = None) -> set[str]:
            if KEY in keys and "n0" not in rig.bucket.rows:
                rig.bucket.put("n0")
            return await missing(keys, since)

        monkeypatch.setattr(rig.source, "missing", made_again)
        rig.bucket.delete("n0")
        deleted = rig.bucket.now()
        await rig.until(lambda: _proven(rig) > deleted)
        assert rig.number("n0") == rig.bucket.rows["n0"]


@in_virtual_time
async def test_what_was_deleted_before_a_repair_and_made_again_behind_its_back_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It claims the time at which it began, as a walk does: what was deleted before is gone from the target then."""
    rig = BucketRig(lost=1.0, relist_s=1000.0)
    load(rig)
    async with rig.store, rig.running():
        await rig.converged()
    rig.bucket.delete("n0")
    deleted = rig.bucket.now()
    missing = LookingSource.missing

    async def made_again(source: LookingSource, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        if KEY in keys and "n0" not in rig.bucket.rows:
            rig.bucket.put("n0")
        return await missing(source, keys, since)

    monkeypatch.setattr(LookingSource, "missing", made_again)
    other = BucketRig(lost=1.0, relist_s=1000.0)
    other.table = other.bucket = rig.bucket
    other.service = rig.service
    await anyio.sleep(10)
    async with other.store, other.running(adopt=True) as pipeline:
        await other.until(lambda: pipeline.state.copy_stage is CopyStage.SWEPT)
        assert _proven(other) > deleted
        assert other.number("n0") == rig.bucket.rows["n0"]


@in_virtual_time
async def test_a_walk_looks_only_at_what_its_listing_shows_to_differ() -> None:
    rig = BucketRig(lost=1.0, relist_s=10.0)
    load(rig)
    async with rig.store, rig.running():
        await rig.until(rig.is_following)
        rig.source.looked_up.clear()
        rig.bucket.put("n3")
        rig.bucket.delete("n5")
        await rig.until(rig.service_equals_table)
        assert set(rig.source.looked_up) == {key_of("n3"), key_of("n5")}


@in_virtual_time
async def test_a_record_deleted_again_while_a_slow_request_still_writes_it_stays_deleted() -> None:
    rig = BucketRig()
    async with rig.store, rig.running():
        await rig.converged()
        slow = [Fate(1.5, 1.5)]
        rig.service.fate = lambda kind, _: slow.pop() if slow and kind == "guarded" else FINE
        rig.bucket.put("n0")
        await rig.until(lambda: not slow)
        rig.bucket.delete("n0")
        await events_are_over(rig)
        await anyio.sleep(2 * LIFETIME_S)
        assert rig.held() == {}


@in_virtual_time
async def test_what_was_refused_is_no_dead_letter_any_more_once_a_later_event_is_taken() -> None:
    rig = BucketRig()
    async with rig.store, rig.running():
        await rig.converged()
        rig.service.refuses = lambda change: "poison" if change.key == KEY else None
        rig.bucket.put("n0")
        await events_are_over(rig)
        assert [letter.reason for letter in await rig.store.dead_letters(NAME)] == ["poison"]
        rig.service.refuses = lambda _: None
        rig.bucket.put("n0")
        await events_are_over(rig)
        assert await rig.store.dead_letters(NAME) == []
        assert rig.held() == {KEY: document("n0", rig.bucket.rows["n0"])}


@in_virtual_time
async def test_a_walk_looks_at_what_was_refused_whatever_its_listing_shows() -> None:
    """Such as tags that could not be read: the version that the listing shows is at the target already."""
    rig = BucketRig(relist_s=10.0)
    async with rig.store, rig.running() as pipeline:
        rig.bucket.put("n0")
        await rig.converged()
        await events_are_over(rig)
        await rig.store.add_dead_letters(NAME, "receiver-0", [Rejection(KEY, "its tags may not be read")])
        pipeline._applier.has_dead_letters = True
        rig.source.looked_up.clear()
        begun = rig.bucket.now()
        await rig.until(lambda: _proven(rig) > begun)
        assert KEY in rig.source.looked_up, "nothing is made up for by not looking"
        assert await rig.store.dead_letters(NAME) == []


@in_virtual_time
async def test_a_target_that_was_not_empty_is_made_equal() -> None:
    rig = BucketRig()
    load(rig)
    for name in ("n0", "gone"):
        rig.service.put(key_of(name), document(name, 0))
    async with rig.store, rig.running(adopt=True):
        await rig.converged()
    assert key_of("gone") not in rig.held()


@in_virtual_time
async def test_mode_copy_copies_once_and_ends() -> None:
    rig = BucketRig()
    rig.mode = Mode.COPY
    load(rig)
    async with rig.store:
        await rig.start()
        await rig.pipeline.run()
        assert rig.pipeline.state.phase is Phase.COPIED
        assert rig.service_equals_table()
        rig.bucket.put("n9")
        await rig.start()
        await rig.pipeline.run()
        assert not rig.service_equals_table(), "it has been copied, and is not copied again"

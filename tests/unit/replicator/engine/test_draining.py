"""Promises of draining: it is said to be through only when everything written before the fence is at the target, a
clean comparison has shown that, and nothing was written since; and whatever is missing for that is said.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.bucket import BucketRig
from fakes.memory import FINE, Entry, Fate, lost
from fakes.queue import QueueRig
from fakes.records import document, key_of
from fakes.rig import Crash, Rig, faulty, load, work
from fakes.scripted import IDLE_MARGIN_S
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.emptiness import LEAST_READINGS
from replicator.engine.barrier import MOST_AT_WORK
from replicator.engine.drained import Evidence, in_the_way
from replicator.engine.late import Late, read_note
from replicator.engine.status import Measured, Observer
from replicator.errors import ConfigurationError
from replicator.model import DeadLetterSummary, Depth, Mode, Phase
from replicator.telemetry import TARGET, Metrics

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOTICED_WITHIN_S = 5.0
MARGIN_S = 300.0

LATER = T0 + timedelta(seconds=1)
DRAINED = Evidence(mark=T0, through=LATER, idle_proves=True, oldest=T0, proven_at=LATER, proof_mark=T0)


def is_drained(rig: Rig) -> bool:
    return rig.pipeline.draining.is_drained


def missing(rig: Rig) -> list[str]:
    """Records whose last write was made a while ago, and is not at the target."""
    told = elapsed_s() - NOTICED_WITHIN_S
    last = {name: history[-1] for name, history in rig.table.history.items() if history[-1][0] < told}
    return [
        f"{name}: {rig.number(name)} is not {number}"
        for name, (_, number) in last.items()
        if rig.number(name) != number
    ]


def late(rig: Rig) -> int:
    status = rig.pipeline.draining.status
    assert status is not None
    return status.late


@pytest.mark.parametrize("make", [Rig, BucketRig])
def test_a_quiet_source_is_drained_and_both_sides_are_equal(make: Callable[[], Rig]) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = make()
        load(rig, 20)
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            await pipeline.draining.begin()
            assert pipeline.state.phase is Phase.DRAINING
            assert not is_drained(rig)
            await rig.until(lambda: is_drained(rig))
            assert rig.service_equals_table()
            assert late(rig) == 0
            proof = pipeline.verifying.note.clean_since
            assert proof is not None
            assert pipeline.state.fence is not None
            assert proof > pipeline.state.fence

    run()


@pytest.mark.parametrize("seed", range(12))
def test_it_is_never_said_to_be_drained_while_a_change_is_missing(seed: int) -> None:
    """Writers that stop only after the fence, or write while the daemon is down; faults, crashes. Nobody can know at
    once of a write that comes later.
    """

    @in_virtual_time
    async def run() -> None:
        rig = Rig(seed, shards=2)
        load(rig)
        rig.service.fate = faulty(rig.rng)
        wrong: list[str] = []

        def slowly(kind: str, _key: str) -> Fate:
            return Fate(rig.rng.uniform(0, 0.9), 0.0) if kind.startswith("write") else FINE

        async def watch() -> None:
            while True:
                if is_drained(rig):
                    wrong.extend(missing(rig))
                await anyio.sleep(0.1)

        async def script() -> None:
            async with rig.running() as pipeline:
                await rig.until(lambda: pipeline.state.phase.follows)
                if pipeline.state.fence is None:
                    rig.service.fate = slowly
                    await work(rig, 20, pause_s=0.1, splits=False)
                    await pipeline.draining.begin()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(watch)
                    await work(rig, rig.rng.randint(0, 6), splits=False)
                    await rig.until(lambda: is_drained(rig), 300)
                    await anyio.sleep(30)
                    tasks.cancel_scope.cancel()

        async with rig.store:
            rig.crash = Crash(rig.rng.randint(50, 1500))
            with rig.crash.scope:
                await script()
            await work(rig, rig.rng.randint(0, 3), splits=False)
            await anyio.sleep(rig.rng.uniform(20, 60))
            rig.crash = Crash()
            rig.service.fate = slowly
            await script()
        assert wrong == []

    run()


@in_virtual_time
async def test_a_write_after_the_fence_takes_it_back_and_is_named_and_is_applied() -> None:
    rig = Rig()
    load(rig)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            await pipeline.draining.begin()
            await rig.until(lambda: is_drained(rig))
            rig.table.put("late")
            await rig.until(lambda: not is_drained(rig))
            status = pipeline.draining.named
            assert status is not None
            assert (status.late, status.late_keys) == (1, [key_of("late")])
            await rig.until(lambda: is_drained(rig))
            assert rig.number("late") is not None
        async with rig.running():
            assert late(rig) == 1, "after a restart too"
            await rig.until(lambda: is_drained(rig))


@in_virtual_time
async def test_what_the_service_expires_by_itself_is_no_late_write() -> None:
    rig = Rig()
    load(rig)
    rig.table.put("short")
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.draining.begin()
        await rig.until(lambda: is_drained(rig))
        rig.table.expire("short")
        await rig.until(lambda: key_of("short") not in rig.held())
        await anyio.sleep(5)
        assert is_drained(rig)
        assert late(rig) == 0


@in_virtual_time
async def test_what_stands_in_the_way_is_said() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.service.refuses = lambda change: "too large" if change.key == key_of("poison") else None
        rig.table.put("poison")
        await pipeline.draining.begin()
        await anyio.sleep(30)
        said = pipeline.draining.status
        assert said is not None
        assert "1 dead letter is open" in said.in_the_way
        rig.service.refuses = lambda _: None
        await pipeline.retry([key_of("poison")])
        await rig.until(lambda: is_drained(rig))


@in_virtual_time
async def test_an_upload_that_is_open_stands_in_the_way() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        pipeline.source.open_uploads = ["1 upload in parts not completed yet"]  # type: ignore[attr-defined]
        await pipeline.draining.begin()
        await anyio.sleep(60)
        assert not is_drained(rig)
        pipeline.source.open_uploads = []  # type: ignore[attr-defined]
        await rig.until(lambda: is_drained(rig))


@in_virtual_time
async def test_a_difference_stands_in_the_way_until_it_is_repaired() -> None:
    """It was not caused by any change, so waiting does not help: nothing is compared over and over."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.excused.add(key_of("n0"))
        rig.service.entries[key_of("n0")] = Entry("planted", document("n0", 9999))
        await pipeline.draining.begin()
        await anyio.sleep(120)
        status = pipeline.draining.status
        assert status is not None
        assert status.in_the_way == ["1 record differs by the last comparison: repair it"]
        round_ = pipeline.verifying.note.round
        await anyio.sleep(120)
        assert pipeline.verifying.note.round is round_


@in_virtual_time
async def test_giving_it_up_leads_back_to_following() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.draining.begin()
        await rig.until(lambda: is_drained(rig))
        await pipeline.draining.cancel()
        assert pipeline.state.phase is Phase.FOLLOWING
        assert pipeline.draining.status is None
        rig.table.put("n1")
        await rig.converged()


def test_giving_it_up_at_the_moment_at_which_it_is_judged_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state store answers late, as it does on a busy disk."""

    @in_virtual_time
    async def run() -> None:
        rig = Rig()
        summary = rig.store.dead_letter_summary

        async def slowly(pipeline: str) -> DeadLetterSummary:
            await anyio.sleep(0.3)
            return await summary(pipeline)

        monkeypatch.setattr(rig.store, "dead_letter_summary", slowly)
        load(rig)
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            for tenths in range(1, 10):
                await pipeline.draining.begin()
                await anyio.sleep(tenths / 10)
                await pipeline.draining.cancel()
                await anyio.sleep(0.5)
            assert pipeline.state.phase is Phase.FOLLOWING

    run()


@in_virtual_time
async def test_only_what_is_followed_can_be_drained() -> None:
    rig = Rig(slow_rows_s=5)
    load(rig, 30)
    async with rig.store, rig.running() as pipeline:
        with pytest.raises(ConfigurationError, match="is copying"):
            await pipeline.draining.begin()
        with pytest.raises(ConfigurationError, match="is not draining"):
            await pipeline.draining.release()


@in_virtual_time
async def test_a_held_queue_is_forwarded_when_it_is_released_and_drained_when_it_is_empty() -> None:
    rig = QueueRig(held=True, mode=Mode.ASYNC)
    sent = [rig.queue.send(group=f"g{n % 3}") for n in range(20)]
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(5)
            await pipeline.draining.begin()
            await anyio.sleep(20)
            status = pipeline.draining.status
            assert status is not None
            assert status.in_the_way[0] == "20 messages are held: release the queue"
            assert rig.sink.passed == []
            await pipeline.draining.release()
            with anyio.fail_after(120):
                while rig.queue.waiting:  # noqa: ASYNC110 — time is virtual
                    await anyio.sleep(0.5)
            assert {message.id for message in rig.sink.passed} == set(sent)
            await pipeline.draining.cancel()
            rig.queue.send()
            await anyio.sleep(20)
            assert len(rig.queue.waiting) == 1, "held again"
            pipeline.drain()


def test_whoever_still_writes_is_the_first_thing_that_is_said_where_something_is_in_the_way() -> None:
    late = replace(DRAINED, late=2)
    assert in_the_way(late) == []
    assert in_the_way(replace(late, through=T0))[0] == "2 changes were written after the fence: stop whoever writes"


def test_nothing_but_all_of_it_is_drained() -> None:
    """Each single thing that is not as it must be stands in the way."""
    assert in_the_way(DRAINED) == []
    for wrong in (
        {"through": None}, {"through": T0}, {"oldest": LATER + timedelta(seconds=1)},
        {"proven_at": None}, {"proven_at": T0}, {"differences": 1},
        {"dead_letters": 1}, {"suspects": 1}, {"halted": 1}, {"paused": True}, {"swept": False},
        {"unfinished": ["x"]}, {"depth": Depth(0, 0, 0, held=True)},
    ):  # fmt: skip
        members = {name: getattr(DRAINED, name) for name in Evidence.__dataclass_fields__} | wrong
        assert len(in_the_way(Evidence(**members))) == 1, wrong


@given(st.builds(Late, st.integers(0), st.datetimes(timezones=st.just(UTC)) | st.none(), st.tuples(st.text())))
def test_what_is_kept_of_late_writes_comes_back(late: Late) -> None:
    assert read_note(late.note()) == late


@pytest.mark.parametrize(("make", "expected_s"), [(Rig, IDLE_MARGIN_S), (BucketRig, 0.0)])
def test_a_drain_is_expected_to_wait_for_the_margins_only_where_they_prove_something(
    make: Callable[[], Rig], expected_s: float
) -> None:
    """A bucket's are minutes, for late notifications, which a drain replaces by a comparison."""

    @in_virtual_time
    async def run() -> None:
        rig = make()
        load(rig, 20)
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            if isinstance(rig, BucketRig):
                rig.source.settling = timedelta(minutes=7)
            status = Observer(pipeline, Metrics()).observe(None, DeadLetterSummary(), Measured(), 1.0)
            assert status.settling_s == expected_s
            begun_s = elapsed_s()
            await pipeline.draining.begin()
            await rig.until(lambda: is_drained(rig))
            assert elapsed_s() - begun_s < 60

    run()


@in_virtual_time
async def test_a_bucket_is_drained_when_its_last_notifications_have_come_and_not_when_none_can_come_any_more() -> None:
    """They are on their way whenever writers stop just before the fence; the margin is for what is minutes late."""
    rig = BucketRig()
    rig.bucket.late_s = MARGIN_S
    load(rig, 20)
    async with rig.store, rig.running() as pipeline:
        await rig.until(lambda: pipeline.state.phase is Phase.FOLLOWING, 3 * MARGIN_S)
        for number in range(5):
            rig.table.put(f"n{number}", logged=False)
            rig.bucket.send(f"n{number}", late_s=20)
        await anyio.sleep(1)
        begun_s = elapsed_s()
        await pipeline.draining.begin()
        await rig.until(lambda: is_drained(rig), 3 * MARGIN_S)
        assert not missing(rig)
        assert late(rig) == 0
        assert 15 < elapsed_s() - begun_s < MARGIN_S / 4


async def sealed(rig: Rig) -> None:
    await rig.converged()
    await rig.pipeline.draining.begin()
    await rig.until(lambda: is_drained(rig))
    await rig.pipeline.seal(force=False)


@pytest.mark.parametrize("make", [Rig, BucketRig])
def test_what_is_written_after_the_seal_is_counted_named_and_never_applied(make: Callable[[], Rig]) -> None:
    """After a restart too, and while nobody looked."""

    @in_virtual_time
    async def run() -> None:
        rig = make()
        load(rig)
        async with rig.store:
            async with rig.running() as pipeline:
                await sealed(rig)
                held = rig.held()
                rig.table.put("n0")
                await rig.until(lambda: late(rig) == 1)
                with pytest.raises(ConfigurationError, match="is sealed"):
                    await pipeline.retry([key_of("n0")])
            rig.table.put("n1")
            async with rig.running() as pipeline:
                assert pipeline.state.phase is Phase.SEALED
                await rig.until(lambda: late(rig) == 2)
                status = pipeline.draining.status
                assert status is not None
                assert (status.drained_at is not None, status.in_the_way) == (True, [])
                await anyio.sleep(600)
                named = pipeline.draining.named
                assert named is not None
                assert named.late_keys == [key_of("n0"), key_of("n1")]
            assert rig.held() == held

    run()


@in_virtual_time
async def test_only_what_is_drained_is_sealed_unless_forced() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        with pytest.raises(ConfigurationError, match="is following"):
            await pipeline.seal(force=True)
        rig.service.refuses = lambda change: "too large" if change.key == key_of("poison") else None
        rig.table.put("poison")
        await pipeline.draining.begin()
        await anyio.sleep(20)
        with pytest.raises(ConfigurationError, match=r"not drained: .*1 dead letter"):
            await pipeline.seal(force=False)
        await pipeline.seal(force=True)
        assert pipeline.state.phase is Phase.SEALED
        await pipeline.seal(force=False)


@pytest.mark.parametrize("seed", range(8))
def test_of_writes_around_the_seal_none_is_neither_applied_nor_counted(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(seed, shards=2)
        load(rig)
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            await pipeline.draining.begin()
            await rig.until(lambda: is_drained(rig))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work, rig, 10, 10, 0.2, False)
                while pipeline.state.phase is not Phase.SEALED:
                    await anyio.sleep(rig.rng.uniform(0, 2))
                    try:
                        await pipeline.seal(force=False)
                    except ConfigurationError:
                        continue
            await anyio.sleep(60)
            lost = {name for name, history in rig.table.history.items() if rig.number(name) != history[-1][1]}
            named = pipeline.draining.named
            assert named is not None
            assert {key_of(name) for name in lost} <= set(named.late_keys), (lost, named)

    run()


@in_virtual_time
async def test_what_is_in_hand_at_the_seal_is_never_written_over_what_the_application_writes() -> None:
    """An event of before the fence, which comes minutes late, after a comparison has shown that all is there."""
    rig = BucketRig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.bucket.send("n0", late_s=60)
        await pipeline.draining.begin()
        await rig.until(lambda: is_drained(rig))
        in_hand = anyio.Event()

        def slow(kind: str, _key: str) -> Fate:
            if kind != "observe":
                return FINE
            in_hand.set()
            return Fate(0.4, 0.4)

        await anyio.sleep(20)
        rig.service.fate = slow
        await in_hand.wait()
        assert is_drained(rig)
        await pipeline.seal(force=False)
        await pipeline.quiet()
        rig.service.put(key_of("n0"), document("n0", 999))
        await anyio.sleep(60)
        assert rig.number("n0") == 999
        assert late(rig) == 0


@in_virtual_time
async def test_a_request_of_unknown_outcome_is_over_before_the_seal_is() -> None:
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.draining.begin()
        fates = [lost(lands_s=1.8)]
        rig.service.fate = lambda kind, _: fates.pop() if fates and kind.startswith("write") else FINE
        rig.table.put("n0")
        await rig.until(lambda: not fates)
        await pipeline.seal(force=True)
        await pipeline.quiet()
        rig.service.put(key_of("n0"), document("n0", 999))
        await anyio.sleep(60)
        assert rig.number("n0") == 999


@in_virtual_time
async def test_what_was_begun_before_the_seal_is_told_until_it_is_over() -> None:
    """A target that is down holds the end of the seal up, with nobody knowing why otherwise."""
    rig = Rig()
    load(rig)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        assert under_way(rig) is None, "there is no fence"
        await pipeline.draining.begin()
        await rig.until(lambda: is_drained(rig))
        assert under_way(rig) == []
        rig.service.fate = lambda kind, _: lost(float("inf")) if kind.startswith("write") else FINE
        rig.table.put("n0")
        await rig.until(lambda: pipeline.telemetry.sides[TARGET].degraded)
        await pipeline.seal(force=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.quiet)
            await anyio.sleep(600)
            await rig.until(lambda: len(under_way(rig) or ()) == 2)  # between two attempts no request is in doubt
            told = under_way(rig)
            assert told is not None
            assert told[0].startswith("changes are being written, and the target is failing: AmbiguousError")
            assert "a request of unknown outcome" in told[1]
            rig.service.fate = lambda *_: FINE
        assert under_way(rig) == [], "as soon as all is quiet, and not before"


def under_way(rig: Rig) -> list[str] | None:
    status = rig.pipeline.draining.status
    return None if status is None else status.under_way


@in_virtual_time
async def test_a_barrier_whose_turn_comes_after_the_seal_writes_nothing() -> None:
    rig = Rig()
    names = [f"n{number}" for number in range(3 * MOST_AT_WORK)]
    for name in names:
        rig.table.put(name)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.draining.begin()
        rig.service.fate = lambda kind, _: Fate(0.4, 0.4) if kind == "observe" else FINE
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(pipeline.barrier.wait, [key_of(name)], 60)
            await anyio.sleep(0.1)
            await pipeline.seal(force=True)
            await pipeline.quiet()
            for name in names:
                rig.service.put(key_of(name), document(name, 999))
        await anyio.sleep(10)
        assert {rig.number(name) for name in names} == {999}


@in_virtual_time
async def test_that_nothing_is_left_in_a_released_queue_is_shown_by_several_readings_begun_after_it() -> None:
    """The service's counts are approximate: a reading without any message may be followed by one that has some."""
    rig = QueueRig(mode=Mode.ASYNC, held=True)
    counts, read = [5], [0]

    async def depth() -> Depth:
        read[0] += 1
        return Depth(counts[0], 0, 0, held=not pipeline.state.released)

    def emptied_at() -> datetime | None:
        status = pipeline.draining.status
        assert status is not None
        return status.emptied_at

    async def readings(number: int) -> None:
        until = read[0] + number
        with anyio.fail_after(60):
            while read[0] < until:  # noqa: ASYNC110 — the fakes tell nobody
                await anyio.sleep(0.1)

    async with rig.store:
        pipeline = await rig.start()
        pipeline.source.depth = depth  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            counts[0] = 0
            await anyio.sleep(5)
            await pipeline.draining.begin()
            await readings(LEAST_READINGS + 1)
            assert emptied_at() is None, "it is held"
            await pipeline.draining.release()
            await readings(LEAST_READINGS - 1)
            assert emptied_at() is None
            counts[0] = 1
            await readings(1)
            counts[0] = 0
            await readings(LEAST_READINGS - 1)
            assert emptied_at() is None, "they were not in a row"
            await readings(2)
            assert emptied_at() is not None
            counts[0] = 1
            await readings(2)
            assert emptied_at() is None, "it is taken back"
            counts[0] = 0
            await readings(LEAST_READINGS + 1)
            assert emptied_at() is not None
            await pipeline.draining.begin()
            assert emptied_at() is None, "of another fence nothing is known"
            pipeline.drain()


@in_virtual_time
async def test_messages_that_come_after_the_seal_stay_in_their_queue_and_are_counted() -> None:
    rig = QueueRig(mode=Mode.ASYNC)
    rig.queue.send()
    async with rig.store:
        pipeline = await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(5)
            await pipeline.draining.begin()
            await anyio.sleep(20)
            await pipeline.seal(force=True)
            rig.queue.send()
            await anyio.sleep(60)
            assert len(rig.queue.waiting) == 1
            status = pipeline.draining.status
            assert status is not None
            assert status.late == 1
            pipeline.drain()

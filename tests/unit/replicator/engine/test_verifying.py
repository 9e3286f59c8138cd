"""Promises of verification: it finds exactly what differs, never reports mere lag, is never clean while something
differs that did when it began, and survives whatever happens to its process.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from fakes.bucket import BucketRig
from fakes.memory import FINE, Entry, Fate, refused
from fakes.records import document, key_of
from fakes.rig import NAME, Crash, Rig, faulty, load, work
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.engine import doubting, rounds, surveying
from replicator.engine.rounds import Ask, Difference, Note, Round, read_note, write_note
from replicator.engine.verifying import NOTE, VerificationOptions
from replicator.errors import ConfigurationError, ThrottledError
from replicator.model import Change, Rejection

PLANTED = {"p0": "different", "p1": "missing", "p2": "different", "x": "extra"}
"""What `plant` makes of the records of these names."""


def stocked(rig: Rig, others: int = 8) -> Rig:
    """Records that writers change (`n…`), and some that they leave alone (`p…`)."""
    load(rig, others)
    for number in range(4):
        rig.table.put(f"p{number}", logged=number % 2 == 0)
    return rig


def plant(rig: Rig) -> None:
    """Behind the back of everybody, the log of what a reader sees included. A tombstone is a difference as well."""
    rig.excused |= {key_of(name) for name in PLANTED}
    rig.service.entries[key_of("p0")] = Entry("planted-0", document("p0", 9999))
    rig.service.entries.pop(key_of("p1"))
    rig.service.entries[key_of("p2")] = Entry("planted-2", None)
    rig.service.entries[key_of("x")] = Entry("planted-x", document("x", 1))


async def ended(rig: Rig, within_s: float = 300.0) -> Round:
    """The round when it has ended."""
    note = rig.pipeline.verifying.note
    await rig.until(lambda: note.round is not None and note.round.ended_at is not None, within_s)
    assert note.round is not None
    return note.round


async def verify(rig: Rig, ask: Ask | None = None) -> Round:
    await rig.pipeline.verify(ask or Ask())
    return await ended(rig)


def kinds(round_: Round) -> dict[str, str]:
    return {key: found.kind for key, found in round_.findings.items()}


def planted(names: Collection[str] = tuple(PLANTED)) -> dict[str, str]:
    return {key_of(name): PLANTED[name] for name in names}


@pytest.mark.parametrize("make", [Rig, BucketRig])
def test_equal_sides_are_clean_as_of_when_the_round_began(make: Callable[[], Rig]) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = stocked(make())
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            before = pipeline.source.clock.earliest()
            found = await verify(rig)
            assert found.is_clean
            assert (found.compared, found.scanned, found.foreign) == (12, 12, 0)
            assert before <= found.began_at <= pipeline.source.clock.latest()
            assert pipeline.verifying.note.clean_since == found.began_at

    run()


@pytest.mark.parametrize("make", [Rig, BucketRig])
def test_every_difference_is_found_and_named_with_both_versions(make: Callable[[], Rig]) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = stocked(make())
        async with rig.store, rig.running() as pipeline:
            await rig.converged()
            plant(rig)
            found = await verify(rig)
            assert kinds(found) == planted()
            assert (found.differences, found.unsettled) == (4, 0)
            assert pipeline.verifying.note.clean_since is None
            by = found.findings
            assert by[key_of("p0")].target.startswith("9999 ")
            assert by[key_of("p1")].target == by[key_of("x")].source == "absent"
            assert by[key_of("p2")].target == "not as replicator wrote it"
            assert all(difference.source for difference in by.values())

    run()


@in_virtual_time
async def test_what_was_written_in_other_places_differs_and_what_is_not_ours_is_counted_apart() -> None:
    rig = stocked(Rig())
    async with rig.store, rig.running():
        await rig.converged()
        rig.service.entries["elsewhere"] = Entry("e", document("n3", 1), leftover=True)
        rig.service.entries["foreign"] = Entry("e", document("y", 0), foreign=True)
        found = await verify(rig)
        assert kinds(found) == {"elsewhere e": "misplaced", "foreign e": "foreign"}
        assert (found.differences, found.foreign, found.is_clean) == (1, 1, False)
        found = await verify(rig, Ask(repair=True))
        assert (found.differences, found.repaired, found.foreign) == (0, 1, 1)
        assert {"elsewhere", "foreign"} & rig.service.entries.keys() == {"foreign"}
        rig.pipeline.verifying._options = replace(rig.verification, remove_foreign=True)
        found = await verify(rig, Ask(repair=True))
        assert (found.foreign, found.repaired, found.is_clean) == (0, 1, True)
        assert "foreign" not in rig.service.entries


@pytest.mark.parametrize("seed", range(8))
def test_beside_writers_exactly_what_was_planted_is_found(seed: int) -> None:
    """Clocks that disagree, a late log, requests that fail, splits, and pages small or large; then it is repaired."""

    @in_virtual_time
    async def run() -> None:
        rng = random.Random(seed)
        rig = stocked(Rig(seed, shards=rng.choice([1, 3]), ahead_s=rng.choice([-500.3, 0, 77.7]), segments=3, page=4))
        rig.verification = VerificationOptions(records_per_s=rng.choice([2, 10, 1000]))
        async with rig.store, rig.running(), anyio.create_task_group() as tasks:
            await rig.converged()
            rig.service.fate = faulty(rig.rng)
            plant(rig)
            tasks.start_soon(work, rig, 150)
            found = await verify(rig)
            assert {k: v for k, v in kinds(found).items() if v != "unsettled"} == planted()
            assert found.differences == len(PLANTED)
            found = await verify(rig, Ask(repair=True))
            assert {key for key, f in found.findings.items() if f.repaired} == set(planted())
            assert (found.differences, found.repaired) == (0, len(PLANTED))
            rig.excused.clear()
            await anyio.sleep(60)
            await rig.converged()
            assert (await verify(rig)).is_clean
        rig.assert_never_backwards()

    run()


@pytest.mark.parametrize("seed", range(4))
def test_of_a_bucket_beside_writers_exactly_what_was_planted_is_found(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bucket = BucketRig(seed, twice=0.2)
        rig = stocked(bucket)
        async with rig.store, rig.running(), anyio.create_task_group() as tasks:
            await rig.converged()
            rig.service.fate = faulty(rig.rng)
            plant(rig)
            tasks.start_soon(work, rig, 60, 10, 0.4, False)
            bucket.source.looked_up.clear()
            found = await verify(rig)
            looked_up = set(bucket.source.looked_up)
            assert {key_of(f"p{number}") for number in range(4)} <= looked_up, "a listing shows no record"
            assert {k: v for k, v in kinds(found).items() if v != "unsettled"} == planted()
            found = await verify(rig, Ask(repair=True))
            assert (found.differences, found.repaired) == (0, len(PLANTED))

    run()


@in_virtual_time
async def test_a_lost_event_is_found_before_the_listings_are_compared() -> None:
    rig = stocked(BucketRig(relist_s=None))
    async with rig.store, rig.running():
        await rig.converged()
        rig.excused.add(key_of("p0"))
        rig.table.put("p0", logged=False)
        await anyio.sleep(30)
        assert kinds(await verify(rig)) == {key_of("p0"): "different"}


@pytest.mark.parametrize("seed", range(2))
def test_crashed_at_any_step_it_goes_on_and_finds_the_same(seed: int) -> None:
    """Nothing is counted twice, and nothing is passed over."""

    @in_virtual_time
    async def run() -> None:
        steps = await _crashed(seed, None)
        for at in range(3 + seed, steps, max(3, steps // 8)):
            await _crashed(seed, at)

    run()


async def _crashed(seed: int, at: int | None) -> int:
    """Verifies with a crash at this step of the round; returns how many steps it took."""
    rig = stocked(Rig(seed))
    rig.verification = VerificationOptions(records_per_s=1)
    async with rig.store:
        async with rig.running():
            await rig.converged()
        plant(rig)
        rig.crash = crash = Crash(at)
        began = None
        with crash.scope:
            async with rig.running() as pipeline:
                began = (await pipeline.verify(Ask())).began_at
                await ended(rig)
        steps, rig.crash = crash.steps, Crash()
        async with rig.running() as pipeline:
            if began is None or pipeline.verifying.note.round is None:
                began = (await pipeline.verify(Ask())).began_at
            found = await ended(rig)
            assert found.began_at == began
            assert kinds(found) == planted()
            assert (found.differences, found.unsettled, found.compared, found.scanned) == (4, 0, 12, 12)
    return steps


@in_virtual_time
async def test_a_restart_goes_on_behind_what_was_compared() -> None:
    rig = stocked(Rig())
    rig.verification = VerificationOptions(records_per_s=0.5)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            first = await pipeline.verify(Ask())
            await rig.until(lambda: first.compared >= 9)
            await anyio.sleep(10)
        async with rig.running() as pipeline:
            again = pipeline.verifying.note.round
            assert again is not None
            assert again.began_at == first.began_at
            assert again.compared > 0
            assert (await ended(rig)).is_clean


@in_virtual_time
async def test_a_change_that_is_only_late_is_never_a_difference() -> None:
    """The target takes nothing for half a minute; each record differs for as long."""
    rig = stocked(Rig())
    async with rig.store, rig.running():
        await rig.converged()
        until = anyio.current_time() + 30

        def fate(kind: str, _key: str) -> Fate:
            return refused(ThrottledError("busy")) if kind == "write" and anyio.current_time() < until else FINE

        rig.service.fate = fate
        for number in range(8):
            rig.table.put(f"n{number}") if number % 2 else rig.table.delete(f"n{number}")
        found = await verify(rig)
        assert found.is_clean
        assert found.ended_at is not None
        assert found.ended_at - found.began_at > timedelta(seconds=25)


@in_virtual_time
async def test_a_dead_letter_is_a_difference_with_its_reason() -> None:
    rig = stocked(Rig())

    def refuses(change: Change[Document]) -> str | None:
        return "too large" if change.key == key_of("p0") else None

    rig.service.refuses = refuses
    rig.excused.add(key_of("p0"))
    async with rig.store, rig.running():
        await rig.converged()
        found = await verify(rig, Ask(repair=True))
        assert (found.differences, found.repaired) == (1, 0)
        assert found.findings[key_of("p0")].reason == "dead letter: too large"


@in_virtual_time
async def test_a_repair_resolves_the_dead_letter_of_its_key() -> None:
    rig = stocked(Rig())
    async with rig.store, rig.running():
        await rig.converged()
        plant(rig)
        await rig.store.add_dead_letters(NAME, "test", [Rejection(key_of("p1"), "whatever")])
        assert (await verify(rig, Ask(repair=True))).repaired == 4
        assert (await rig.store.dead_letter_summary(NAME)).count == 0


@in_virtual_time
async def test_what_has_expired_is_no_difference() -> None:
    """It still stands at the source."""
    rig = stocked(Rig())
    async with rig.store, rig.running():
        await rig.converged()
        rig.table.expiries["p0"] = rig.service.now()
        rig.excused.add(key_of("p0"))
        rig.service.entries.pop(key_of("p0"))
        assert (await verify(rig)).is_clean


@in_virtual_time
async def test_contents_are_compared_only_when_that_is_asked_for() -> None:
    rig = stocked(Rig())
    rig.table.contents.update(dict.fromkeys(rig.table.expected(), "abc"))
    rig.service.contents = dict(rig.table.contents)
    async with rig.store, rig.running():
        await rig.converged()
        assert (await verify(rig, Ask(contents=True))).is_clean
        rig.service.contents[key_of("p0")] = "abd"
        assert (await verify(rig)).is_clean
        found = await verify(rig, Ask(contents=True))
        assert kinds(found) == {key_of("p0"): "different"}
        assert found.findings[key_of("p0")].target.endswith(" abd")
        rig.table.contents[key_of("p0")] = ""
        found = await verify(rig, Ask(contents=True))
        assert (found.differences, found.unsettled) == (0, 1), "what cannot be read is unknown"


@in_virtual_time
async def test_a_sample_is_no_proof_but_what_it_finds_counts() -> None:
    rig = stocked(Rig())
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        found = await verify(rig, Ask(sample=4))
        assert found.is_clean
        assert found.compared == 4
        assert pipeline.verifying.note.proof is None
        await verify(rig)
        rig.excused |= rig.table.expected().keys()
        for key in rig.table.expected():
            rig.service.entries.pop(key)
        await verify(rig, Ask(sample=4))
        assert pipeline.verifying.note.proof is not None
        assert pipeline.verifying.note.proof.differences == 4


@in_virtual_time
async def test_a_request_joins_a_round_that_does_as_much_and_replaces_one_that_does_less() -> None:
    rig = stocked(Rig())
    rig.verification = VerificationOptions(records_per_s=2)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        plain = await pipeline.verify(Ask())
        assert await pipeline.verify(Ask(sample=3)) is plain
        repairing = await pipeline.verify(Ask(repair=True))
        assert repairing is not plain
        assert await pipeline.verify(Ask()) is repairing
        assert await ended(rig) is repairing
        assert plain.ended_at is None


@in_virtual_time
async def test_rounds_follow_each_other_at_intervals_over_restarts() -> None:
    rig = stocked(Rig())
    rig.verification = VerificationOptions(continuous=True, interval_s=120, records_per_s=1000)
    begun = []
    async with rig.store:
        for _ in range(2):
            async with rig.running():
                begun.append((await ended(rig)).began_at)
                await anyio.sleep(40)
        async with rig.running():
            await anyio.sleep(80)
            begun.append((await ended(rig)).began_at)
    assert begun[0] == begun[1]
    assert timedelta(seconds=118) < begun[2] - begun[1] < timedelta(seconds=125)


@in_virtual_time
async def test_before_the_copy_is_through_nothing_can_be_compared() -> None:
    rig = stocked(Rig())
    async with rig.store:
        await rig.start()
        with pytest.raises(ConfigurationError, match="is still being copied"):
            await rig.pipeline.verify(Ask())


@in_virtual_time
async def test_memory_and_note_are_bounded_however_much_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "AT_ONCE", 1)
    monkeypatch.setattr(doubting, "MOST_DOUBTS", 210)
    monkeypatch.setattr(rounds, "MOST_NAMED", 20)
    rig = stocked(Rig(page=150), 300)
    most, longest = 0, 0
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        rig.excused |= rig.service.entries.keys()
        rig.service.entries.clear()
        note = await pipeline.verify(Ask())
        while note.ended_at is None:
            await anyio.sleep(0.05)
            most = max(most, len(note.doubts))
        longest = len(await rig.store.load_note(NAME, NOTE) or "")
    assert note.differences == 304
    assert len(note.findings) == 20
    assert 100 <= most <= 210
    assert longest < 10_000


@in_virtual_time
async def test_a_stop_ends_a_round_at_once() -> None:
    rig = stocked(Rig())
    rig.verification = VerificationOptions(records_per_s=0.01)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        await pipeline.verify(Ask())
        await anyio.sleep(30)
        begun = anyio.current_time()
        pipeline.drain()
        await rig.until(lambda: rig.pipeline._reading.cancelled_caught)
        assert anyio.current_time() - begun < 2


@in_virtual_time
async def test_what_a_round_has_found_is_known_when_another_one_takes_its_place() -> None:
    """Or readiness would rest on the older, clean one until the other has come as far."""
    rig = stocked(Rig(), 60)
    rig.verification = VerificationOptions(records_per_s=10)
    async with rig.store, rig.running() as pipeline:
        await rig.converged()
        assert (await verify(rig)).is_clean
        plant(rig)
        first = await pipeline.verify(Ask())
        await rig.until(lambda: first.differences > 0)
        assert first.ended_at is None
        await pipeline.verify(Ask(repair=True))
        assert pipeline.verifying.note.proof is not None
        assert pipeline.verifying.note.proof.differences == first.differences
        await ended(rig)
        assert pipeline.verifying.note.proof.differences == 0, "repaired"


def over(ask: Ask, *, differences: int = 0, note: Note | None = None, number: int = 0) -> Note:
    """What is known after one more round."""
    note = note or Note()
    moment = datetime(2026, 1, 1, number, tzinfo=UTC)
    note.begin(Round(moment, ask, differences=differences, ended_at=moment + timedelta(minutes=1)))
    note.ended()
    return note


@pytest.mark.parametrize("first", [Ask(contents=True), Ask(contents=True, sample=5)])
def test_what_was_found_in_contents_stands_until_contents_are_looked_at_again(first: Ask) -> None:
    note = over(first, differences=1, note=over(Ask()), number=1)
    for number in (2, 3):
        over(Ask(), note=note, number=number)
        assert note.proof is not None
        assert note.proof.differences == 1
        assert note.clean_since is not None
        assert note.clean_since.hour == 0
        note = read_note(write_note(note))
    over(Ask(contents=True), note=note, number=4)
    assert note.proof is not None
    assert note.proof.differences == 0


def test_what_differs_again_after_its_repair_is_a_difference_again() -> None:
    round_, found = Round(datetime(2026, 1, 1, tzinfo=UTC)), Difference("k", "missing", "1", "absent")
    assert round_.differs(found)
    assert not round_.differs(found)
    round_.is_repaired("k")
    assert round_.differs(found)
    assert (round_.differences, round_.repaired, round_.findings["k"].repaired) == (1, 1, False)


@in_virtual_time
async def test_only_a_whole_round_at_full_speed_in_one_go_tells_how_long_one_takes() -> None:
    rig = stocked(Rig(), 40)
    rig.verification = VerificationOptions(records_per_s=20)
    async with rig.store:
        async with rig.running() as pipeline:
            await rig.converged()
            slow = await verify(rig)
            assert pipeline.verifying.note.fast_s is None
            fast = await verify(rig, Ask(fast=True))
            assert fast.through_at is not None
            assert slow.through_at is not None
            took = (fast.through_at - fast.began_at).total_seconds()
            assert pipeline.verifying.note.fast_s == took
            assert pipeline.verifying.note.fast_compared == fast.compared
            assert took < (slow.through_at - slow.began_at).total_seconds()
            await verify(rig, Ask(sample=5, fast=True))
            assert pipeline.verifying.note.fast_s == took, "one over a part tells nothing"
            again = await verify(rig)
            assert not again.fast, "the next one is as slow as it is configured"
            await rig.pipeline.verify(Ask(fast=True))
        async with rig.running() as pipeline:
            cut = await ended(rig)
            assert not cut.fast, "nobody worked in between"
            assert pipeline.verifying.note.fast_s == took

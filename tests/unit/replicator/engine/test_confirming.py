"""Promises of mode copy: what was copied is compared, whatever becomes of the process meanwhile; what differs is told,
and repaired only where that is wanted; what was found equal is left alone.
"""

from collections.abc import Callable

import anyio
import pytest

from fakes.bucket import BucketRig
from fakes.memory import Entry
from fakes.queue import QueueRig
from fakes.records import document, key_of
from fakes.rig import NAME, Rig, load
from fakes.virtual import in_virtual_time
from replicator.engine.confirming import MOST_ROUNDS, Meeting
from replicator.engine.rounds import Ask, Round
from replicator.engine.verdict import Result, Verdict, load_verdict
from replicator.engine.verifying import VerificationOptions
from replicator.messages import Message
from replicator.model import Mode, Phase

MAKES = [Rig, BucketRig]

LONGEST_S = 300


def once(rig: Rig, *, repair: bool = False) -> Rig:
    rig.mode, rig.repair = Mode.COPY, repair
    rig.verification = VerificationOptions(records_per_s=1)  # far too slow, unless it hurries
    load(rig, 40)
    return rig


async def run(rig: Rig | QueueRig) -> Verdict:
    """One process from its beginning to its end, and what is remembered of it."""
    with anyio.fail_after(LONGEST_S):
        await rig.start()
        await (rig.pipeline if isinstance(rig, Rig) else rig.latest).run()
    return await load_verdict(rig.store, NAME)


def damage(rig: Rig, name: str = "n0") -> None:
    """Behind everybody's back."""
    rig.service.entries[key_of(name)] = Entry("planted", document(name, 9999))


@pytest.mark.parametrize("make", MAKES)
def test_what_was_copied_is_compared_as_fast_as_the_source_allows(make: Callable[[], Rig]) -> None:
    @in_virtual_time
    async def test() -> None:
        rig = once(make())
        async with rig.store:
            began = anyio.current_time()
            verdict = await run(rig)
            assert verdict.result is Result.EQUAL
            assert verdict.found is not None
            assert (verdict.found.compared, verdict.found.scanned) == (40, 40)
            assert anyio.current_time() - began < 30

    test()


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("repair", [False, True])
def test_what_somebody_has_written_meanwhile_is_found_and_repaired_only_where_that_is_wanted(
    make: Callable[[], Rig], *, repair: bool
) -> None:
    @in_virtual_time
    async def test() -> None:
        rig = once(make(), repair=repair)

        async def meanwhile() -> None:
            rig.table.put("n1")
            rig.table.delete("n2")
            rig.table.put("new")

        rig.met = meanwhile
        async with rig.store:
            verdict = await run(rig)
            assert verdict.found is not None
            if repair:
                assert verdict.result is Result.EQUAL
                assert verdict.found.repaired == 0, "the last comparison has found nothing more"
                assert rig.service_equals_table()
            else:
                assert verdict.result is Result.DIFFERENT
                kinds = {key: found.kind for key, found in verdict.found.findings.items()}
                assert kinds == {key_of("n1"): "different", key_of("n2"): "extra", key_of("new"): "missing"}
                assert not rig.service_equals_table()

    test()


@in_virtual_time
async def test_a_writer_that_goes_on_is_not_repaired_for_ever() -> None:
    rig = once(Rig(), repair=True)
    rounds = []
    async with rig.store:
        await rig.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rig.pipeline.run)
            with anyio.fail_after(LONGEST_S):
                while not rig.pipeline._reading.cancelled_caught:
                    found = rig.pipeline.verifying.note.round
                    if found is not None and found not in rounds:
                        rounds.append(found)
                        damage(rig)
                    await anyio.sleep(0.01)
        assert len(rounds) == MOST_ROUNDS
        assert (await load_verdict(rig.store, NAME)).result is Result.DIFFERENT, "repaired, and never found equal"


@in_virtual_time
async def test_what_was_found_equal_is_left_alone_for_good() -> None:
    """By the next start the application writes there."""
    rig = once(Rig(), repair=True)
    async with rig.store:
        assert (await run(rig)).result is Result.EQUAL
        damage(rig)
        assert (await run(rig)).result is Result.EQUAL
        assert rig.number("n0") == 9999


@in_virtual_time
async def test_what_was_found_different_is_compared_again_by_the_next_start() -> None:
    rig = once(Rig())

    async def meanwhile() -> None:
        damage(rig)

    rig.met = meanwhile
    async with rig.store:
        first = await run(rig)
        assert first.result is Result.DIFFERENT
        rig.met, rig.repair = anyio.lowlevel.checkpoint, True
        again = await run(rig)
        assert again.result is Result.EQUAL
        assert rig.service_equals_table()


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("repair", [False, True])
def test_wherever_a_process_ends_the_next_one_goes_on_to_the_same_verdict(
    make: Callable[..., Rig], *, repair: bool
) -> None:
    """Every step of the state store and of the target, some of them; what was planted is never passed over."""

    @in_virtual_time
    async def test() -> None:
        async def crashed(at: int | None) -> bool:
            rig = once(make(0), repair=repair)

            async def planting() -> None:
                damage(rig)

            rig.met = planting
            async with rig.store:
                rig.crash.at = at
                with rig.crash.scope:
                    await run(rig)
                was_cut_off = rig.crash.scope.cancelled_caught
                rig.crash.at = None
                for _ in range(2):
                    verdict = await run(rig)
                assert verdict.state.phase is Phase.COPIED
                assert verdict.result is (Result.EQUAL if repair else Result.DIFFERENT), rig.crash.where
            return was_cut_off

        steps = [at for at in range(1, 1000, 23) if await crashed(at)]
        assert len(steps) > 5

    test()


@in_virtual_time
async def test_nobody_compares_before_all_are_copied_and_nobody_waits_for_who_has_ended() -> None:
    meeting, there = Meeting({"a", "b", "c"}), []

    async def meet(name: str) -> None:
        await meeting.meet(name)
        there.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(meet, "a")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(meet, "b")
        await anyio.wait_all_tasks_blocked()
        assert not there
        meeting.leave("c")
    assert sorted(there) == ["a", "b"]


def queued(*, repair: bool = False, count: int = 10) -> QueueRig:
    rig = QueueRig(mode=Mode.COPY)
    rig.repair = repair
    for number in range(count):
        rig.queue.send(f"g{number % 3}")
    return rig


@in_virtual_time
async def test_what_comes_while_the_others_are_still_copied_is_passed_on() -> None:
    rig = queued()

    async def meanwhile() -> None:
        rig.queue.send("g0")

    rig.met = meanwhile
    async with rig.store:
        verdict = await run(rig)
    assert verdict.result is Result.EQUAL
    assert verdict.state.copied_records >= 11
    rig.assert_delivered()


@pytest.mark.parametrize("repair", [False, True])
def test_what_comes_later_is_counted_and_taken_where_that_is_wanted_or_by_the_next_start(*, repair: bool) -> None:
    @in_virtual_time
    async def test() -> None:
        rig = queued(repair=repair)
        async with rig.store:
            await rig.start()
            latest = rig.latest
            start = latest.verifying.start

            async def starting(ask: Ask) -> Round:
                if len(rig.queue.sent) == 10:
                    rig.queue.send("g0")
                    rig.queue.send("g1")
                return await start(ask)

            latest.verifying.start = starting  # type: ignore[method-assign, assignment]
            with anyio.fail_after(LONGEST_S):
                await latest.run()
            verdict = await load_verdict(rig.store, NAME)
            assert verdict.found is not None
            if not repair:
                assert (verdict.result, verdict.found.waiting, verdict.found.differences) == (Result.DIFFERENT, 2, 2)
                assert not any(w.received for w in rig.queue.waiting.values()), "to look at them is to take them"
                verdict = await run(rig)
            assert verdict.result is Result.EQUAL
            rig.assert_delivered()

    test()


@in_virtual_time
async def test_what_was_refused_ends_no_copy_and_comes_again_with_the_next_start() -> None:
    """With what waits behind it in its group, which nobody can receive before."""
    rig = queued(count=30)
    refused = rig.queue.sent[4].id

    def refuses(message: Message) -> str | None:
        return "too large" if message.id == refused else None

    rig.sink.refuses = refuses
    async with rig.store:
        verdict = await run(rig)
        assert verdict.result is Result.DIFFERENT
        assert verdict.dead_letters >= 1
        assert verdict.found is not None
        behind = len(rig.queue.waiting) - verdict.dead_letters
        assert (verdict.found.waiting, behind > 0) == (behind, True)
        for waiting in rig.queue.waiting.values():
            waiting.visible_at = 0.0  # as a source gives back at its end
        rig.sink.refuses = lambda _: None
        assert (await run(rig)).result is Result.EQUAL
    rig.assert_delivered()


@in_virtual_time
async def test_a_dead_letter_alone_is_no_good_verdict() -> None:
    rig = queued(count=1)
    rig.sink.refuses = lambda _: "too large"
    async with rig.store:
        verdict = await run(rig)
    assert (verdict.result, verdict.dead_letters) == (Result.DIFFERENT, 1)
    assert verdict.found is not None
    assert verdict.found.is_clean

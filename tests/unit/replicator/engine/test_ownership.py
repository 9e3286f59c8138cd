"""Promises of the claim: a crash leaves no doubt, and a store that is not the latest one never writes."""

from dataclasses import replace
from itertools import product

import pytest

from fakes.memory import MemoryService
from fakes.records import document, key_of
from fakes.rig import NAME, Crash, Rig
from fakes.stores import InlineStore
from fakes.virtual import in_virtual_time
from replicator.engine.ownership import Claim, Ownership, judge
from replicator.errors import ConfigurationError, ForeignOwnerError
from replicator.model import Marker, Phase, PipelineState

OURS = "migration"
CONFIRMED = PipelineState(epoch=3, generation="g1", pending_generation="g1")
ANNOUNCED = replace(CONFIRMED, pending_generation="g2")
FIRST = PipelineState(epoch=1, pending_generation="g1")


def marker(generation: str = "g1", epoch: int = 3, migration: str = OURS) -> Marker:
    return Marker(migration, epoch, generation)


@pytest.mark.parametrize(
    ("state", "found", "empty", "expected"),
    [
        (None, None, True, Claim.FRESH),
        (None, None, False, "not empty"),
        (None, marker(), True, "does not know"),
        (None, marker(), False, "does not know"),
        (FIRST, None, True, Claim.FRESH),
        (FIRST, None, False, "not empty"),
        (FIRST, marker("g1", 1), True, Claim.RESUME),
        (FIRST, marker("g1", 1), False, Claim.RESUME),
        (FIRST, marker("gX", 1), False, "does not know"),
        (replace(FIRST, repairing=True), None, False, Claim.ADOPT),
        (replace(FIRST, repairing=True), marker("gX", 7, "other"), False, Claim.ADOPT),
        (CONFIRMED, marker(), False, Claim.RESUME),
        (CONFIRMED, marker(), True, Claim.RESUME),
        (CONFIRMED, None, True, "gone"),
        (CONFIRMED, None, False, "gone"),
        (CONFIRMED, marker(migration="other"), False, "another migration"),
        (CONFIRMED, marker(epoch=4), False, "epoch 4"),
        (CONFIRMED, marker(epoch=2), False, "epoch 2"),
        (CONFIRMED, marker("gX"), False, "older than the target"),
        (ANNOUNCED, marker("g1"), False, Claim.RESUME),
        (ANNOUNCED, marker("g2"), False, Claim.RESUME),
        (ANNOUNCED, marker("g3"), False, "older than the target"),
        (replace(CONFIRMED, phase=Phase.FAILED, failure="log gone"), marker(), False, "log gone"),
        (CONFIRMED, replace(marker(), obstacle="written otherwise"), False, "written otherwise"),
        (CONFIRMED, replace(marker("gX"), obstacle="written otherwise"), False, "older than the target"),
        (FIRST, replace(marker("g1", 1), obstacle="written otherwise"), False, Claim.RESUME),
    ],
)
def test_every_combination_of_store_and_target(
    state: PipelineState | None, found: Marker | None, empty: bool, expected: Claim | str
) -> None:
    verdict = judge(state, found, OURS, empty=empty)
    if isinstance(expected, Claim):
        assert verdict is expected
    else:
        assert isinstance(verdict, str)
        assert expected in verdict


class Place:
    """One target, one store; processes come and go."""

    def __init__(self) -> None:
        self.rig = Rig()

    async def begin(self, *, adopt: bool = False, store: InlineStore | None = None) -> tuple[Ownership, PipelineState]:
        ownership = Ownership(NAME, self.rig.pipeline.target, store or self.rig.store)
        claim = await ownership.judge(adopt=adopt)
        assert claim is not None
        return ownership, await ownership.take(claim)


async def beat(ownership: Ownership, state: PipelineState) -> PipelineState:
    """Moves the generation on."""
    announced = await ownership.announce(state)
    await ownership.show(announced)
    return await ownership.confirm(announced)


@in_virtual_time
async def test_every_start_and_every_beat_moves_the_generation_on() -> None:
    place = Place()
    async with place.rig.store:
        ownership, first = await place.begin()
        assert (first.epoch, first.repairing, first.guarding) == (1, False, False)
        seen = {first.generation}
        state = await beat(ownership, first)
        seen.add(state.generation)
        _, state = await place.begin()
        seen.add(state.generation)
        assert len(seen) == 3
        assert state.epoch == 1
        assert place.rig.service.marker == Marker(await place.rig.store.migration_id(), 1, state.generation)
        assert await place.rig.store.load_pipeline(NAME) == state


@pytest.mark.parametrize("adopt", [False, True])
def test_any_number_of_crashes_anywhere_leaves_no_doubt_whose_the_target_is(adopt: bool) -> None:
    """Two processes in a row may crash at any step, in every combination; the third one resumes or begins afresh."""
    for first, second in product(range(1, 30), range(1, 30)):
        if not _survives(first, second, adopt=adopt):
            break
    else:
        raise AssertionError("the last step was never reached")


def _survives(first: int, second: int, *, adopt: bool) -> bool:
    """False when the first process has no such step any more."""
    reached = False

    @in_virtual_time
    async def run() -> None:
        nonlocal reached
        place = Place()
        if adopt:
            place.rig.service.put(key_of("k"), document("k", 1))
        async with place.rig.store:
            for at in (first, second):
                place.rig.crash = crash = Crash(at)
                with crash.scope:
                    ownership, state = await place.begin(adopt=adopt and place.rig.service.marker is None)
                    await beat(ownership, state)
                place.rig.crash = Crash()
                reached = reached or (at == first and crash.scope.cancelled_caught)
            unclaimed = place.rig.service.marker is None
            ownership, state = await place.begin(adopt=adopt and unclaimed)
            assert state.repairing is adopt
            await beat(ownership, state)

    run()
    return reached


@in_virtual_time
async def test_a_restored_store_is_refused() -> None:
    place = Place()
    async with place.rig.store as store:
        _, old = await place.begin()
        ownership, state = await place.begin()
        await beat(ownership, state)
        await store.save_pipeline(NAME, old)
        with pytest.raises(ConfigurationError, match="older than the target"):
            await place.begin()
        _, adopted = await place.begin(adopt=True)
        assert (adopted.epoch, adopted.repairing, adopted.guarding) == (2, True, True)


@in_virtual_time
async def test_a_deleted_store_is_refused_and_adopting_goes_beyond_the_targets_epoch() -> None:
    place = Place()
    async with place.rig.store:
        await place.begin()
        async with InlineStore() as fresh:
            with pytest.raises(ConfigurationError, match="does not know"):
                await place.begin(store=fresh)
            _, state = await place.begin(adopt=True, store=fresh)
            assert (state.epoch, state.repairing) == (2, True)


@in_virtual_time
async def test_a_second_daemon_is_noticed_at_the_next_beat() -> None:
    place = Place()
    async with place.rig.store:
        ownership, state = await place.begin()
        async with InlineStore() as other:
            await place.begin(adopt=True, store=other)
        with pytest.raises(ForeignOwnerError):
            await beat(ownership, state)
        with pytest.raises(ConfigurationError):
            await place.begin()


@in_virtual_time
async def test_two_daemons_on_one_store_do_not_both_go_on() -> None:
    place = Place()
    async with place.rig.store:
        one, state = await place.begin()
        await place.begin()
        with pytest.raises(ForeignOwnerError):
            await beat(one, state)


@in_virtual_time
async def test_a_failed_pipeline_stays_failed_until_it_is_adopted() -> None:
    place = Place()
    async with place.rig.store as store:
        _, state = await place.begin()
        await store.save_pipeline(NAME, replace(state, phase=Phase.FAILED, failure="log gone"))
        ownership = Ownership(NAME, place.rig.pipeline.target, store)
        assert await ownership.judge(adopt=False) is None
        _, adopted = await place.begin(adopt=True)
        assert (adopted.phase, adopted.failure, adopted.epoch) == (Phase.COPYING, "", 2)


def test_the_service_starts_without_a_marker() -> None:
    assert MemoryService().marker is None

"""Promises of the suspects: whoever waits for a key waits long enough, and memory is bounded."""

from time import process_time

import anyio
from hypothesis import given
from hypothesis import strategies as st

from fakes.virtual import in_virtual_time
from replicator.delivery import Suspects

additions = st.lists(st.tuples(st.integers(0, 9), st.floats(0, 5), st.floats(0.01, 9)), max_size=30)


@given(additions, st.lists(st.integers(0, 9), min_size=1, max_size=3))
def test_nobody_is_let_through_too_early_even_when_there_are_too_many(
    added: list[tuple[int, float, float]], wanted: list[int]
) -> None:
    @in_virtual_time
    async def run() -> None:
        suspects, until = Suspects(most=3), dict[int, float]()
        for key, pause_s, lives_s in added:
            await anyio.sleep(pause_s)
            ends = anyio.current_time() + lives_s
            suspects.add([str(key)], ends)
            until[key] = max(ends, until.get(key, ends))
            assert len(suspects) <= 3
        await suspects.clear([str(key) for key in wanted])
        assert anyio.current_time() >= max(until.get(key, 0.0) for key in wanted)
        last = max(until.values(), default=0.0)
        assert max(suspects.latest, anyio.current_time()) >= last

    run()


@in_virtual_time
async def test_a_key_that_was_never_in_doubt_does_not_wait() -> None:
    suspects, begun = Suspects(), anyio.current_time()
    suspects.add(["k"], begun + 5)
    await suspects.clear(["l"])
    await suspects.clear([])
    assert anyio.current_time() == begun


@in_virtual_time
async def test_doubt_renewed_while_somebody_waits_is_waited_for() -> None:
    suspects, begun = Suspects(), anyio.current_time()
    suspects.add(["k"], begun + 2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(suspects.clear, ["k"])
        await anyio.sleep(1)
        suspects.add(["k"], begun + 7)
    assert anyio.current_time() >= begun + 7


@in_virtual_time
async def test_an_earlier_end_never_shortens_a_later_one() -> None:
    suspects, begun = Suspects(), anyio.current_time()
    suspects.add(["k"], begun + 7)
    suspects.add(["k"], begun + 2)
    assert suspects.latest == begun + 7
    await suspects.clear(["k"])
    assert anyio.current_time() >= begun + 7
    assert len(suspects) == 0


@in_virtual_time
async def test_too_many_keys_make_every_key_suspect_until_the_last_of_them_is_over() -> None:
    suspects, begun = Suspects(most=2), anyio.current_time()
    suspects.add(["a", "b", "c"], begun + 5)
    suspects.add(["d"], begun + 1)
    await suspects.clear(["d"])
    assert anyio.current_time() >= begun + 5


class Counted(float):
    """An instant that knows how often any of its kind was looked at."""

    looks = 0

    def __le__(self, other: float) -> bool:
        Counted.looks += 1
        return super().__le__(other)

    def __gt__(self, other: float) -> bool:
        Counted.looks += 1
        return super().__gt__(other)


def test_counting_the_keys_does_not_look_at_each_of_them() -> None:
    """The status is taken every second, and there may be a hundred thousand."""
    suspects = Suspects(clock=lambda: 0.0)
    suspects.add([str(n) for n in range(1000)], Counted(5))
    Counted.looks = 0
    assert [len(suspects) for _ in range(3)] == [1000] * 3
    assert Counted.looks <= 3


def test_a_great_many_keys_are_over_at_once_without_holding_everything_else_up() -> None:
    """Twenty times as fast as it must be; forgetting each key in turn by searching for it would take half a minute."""
    now = 0.0
    suspects = Suspects(most=300_000, clock=lambda: now)
    suspects.add([str(n) for n in range(300_000)], 1.0)
    now, begun = 1.0, process_time()
    assert len(suspects) == 0
    assert process_time() - begun < 5


@in_virtual_time
async def test_a_key_in_doubt_for_longer_hides_no_other_for_ever() -> None:
    """Ends that are out of order, as they never are in practice, make keys count too long, but not for longer."""
    suspects, begun = Suspects(), anyio.current_time()
    suspects.add(["long"], begun + 9)
    suspects.add(["short"], begun + 1)
    await anyio.sleep(2)
    assert len(suspects) == 2
    await suspects.clear(["short"])
    assert anyio.current_time() == begun + 2
    await anyio.sleep(8)
    assert len(suspects) == 0


@in_virtual_time
async def test_a_request_without_keys_is_in_doubt_too_and_holds_no_key_back() -> None:
    suspects, begun = Suspects(), anyio.current_time()
    assert suspects.latest == float("-inf")
    suspects.add([], begun + 5)
    assert suspects.latest == begun + 5
    await suspects.clear(["k"])
    assert anyio.current_time() == begun

"""Promises of the suspects: whoever waits for a key waits long enough, and memory is bounded."""

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

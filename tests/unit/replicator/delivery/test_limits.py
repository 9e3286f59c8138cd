"""Promises of budget, limiter, fence and back-off: bounded in rate, in number and in time."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.virtual import in_virtual_time
from replicator.delivery import AdaptiveLimiter, Backoff, Fence, RateBudget, retrying
from replicator.delivery.concurrency import GROWTH_INTERVAL_S, LARGEST_STEP_DOWN, STEP_DOWN_INTERVAL_S
from replicator.errors import AmbiguousError, PositionLostError, ThrottledError, TransientError


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=30), st.floats(1, 100))
def test_on_average_no_more_is_charged_than_the_budget_allows(costs: list[float], per_s: float) -> None:
    @in_virtual_time
    async def run() -> None:
        budget, begun, charged = RateBudget(per_s), anyio.current_time(), 0.0
        for cost in costs:
            async with budget.held():
                assert charged <= per_s * (anyio.current_time() - begun + 1) + 0.001, "one second's worth is saved up"
                budget.charge(cost)
                charged += cost

    run()


@in_virtual_time
async def test_an_unused_budget_saves_up_one_second_and_no_more() -> None:
    budget = RateBudget(10)
    await anyio.sleep(1000)
    budget.charge(15)
    assert budget.owed_s() == pytest.approx(0.5)


@in_virtual_time
async def test_a_budget_may_be_lifted_and_set_while_running() -> None:
    budget = RateBudget(10)
    budget.per_s = None
    budget.charge(1_000_000)
    assert budget.owed_s() == 0
    budget.per_s = 10
    assert budget.owed_s() == 0, "what was free is not paid for later"


@in_virtual_time
async def test_no_budget_never_waits() -> None:
    budget, begun = RateBudget(None), anyio.current_time()
    for _ in range(10):
        async with budget.held():
            budget.charge(10**9)
    assert anyio.current_time() == begun


@in_virtual_time
async def test_calls_that_start_together_do_not_overdraw_together() -> None:
    """Once it is known what calls cost, those under way are expected to cost as much."""
    budget, charged, begun = RateBudget(10), 0, anyio.current_time()

    async def call() -> None:
        nonlocal charged
        async with budget.held():
            await anyio.sleep(1)
            budget.charge(5)
            charged += 5

    for _ in range(30):
        await call()
    begun, charged = anyio.current_time(), 0
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(call)
        await anyio.sleep(3)
        assert charged <= 10 * (anyio.current_time() - begun + 1) + 5
    assert anyio.current_time() - begun >= 40 * 5 / 10 - 2


@in_virtual_time
async def test_a_call_that_is_cancelled_costs_nothing() -> None:
    budget = RateBudget(10)
    for _ in range(20):
        async with budget.held():
            budget.charge(5)
    await anyio.sleep(100)
    for _ in range(50):
        with anyio.move_on_after(0):
            async with budget.held():
                await anyio.sleep(1)
    assert budget.owed_s() == 0


async def _busy(limiter: AdaptiveLimiter, seconds: float, takes_s: float = 0.05) -> int:
    """Uses every slot for a while; returns how many were in use at once, at most."""
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        while True:
            async with limiter.slot():
                running += 1
                most = max(most, running)
                await anyio.sleep(takes_s)
                running -= 1

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(work)
    return most


@in_virtual_time
async def test_concurrency_starts_at_one_and_grows_by_one_a_second_up_to_the_most() -> None:
    limiter = AdaptiveLimiter(5)
    assert await _busy(limiter, GROWTH_INTERVAL_S * 0.9) == 1
    assert await _busy(limiter, GROWTH_INTERVAL_S * 2) <= 3
    assert await _busy(limiter, GROWTH_INTERVAL_S * 20) == 5
    assert limiter.size == 5


@in_virtual_time
async def test_slots_that_are_not_used_do_not_grow() -> None:
    limiter = AdaptiveLimiter(50)
    await _busy(limiter, 3)
    size = limiter.size
    for _ in range(20):
        async with limiter.slot():
            await anyio.sleep(GROWTH_INTERVAL_S)
    assert limiter.size == size


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (3, 2), (8, 4), (10, 5), (40, 40 - LARGEST_STEP_DOWN)])
def test_a_throttle_takes_at_most_five_and_never_more_than_half(before: int, after: int) -> None:
    @in_virtual_time
    async def run() -> None:
        limiter = AdaptiveLimiter(64)
        limiter._slots.total_tokens = before
        for _ in range(10):
            limiter.throttled()
        assert limiter.size == after, "refusals that come together count once"
        await anyio.sleep(STEP_DOWN_INTERVAL_S * 1.01)
        limiter.throttled()
        assert limiter.size == max(1, after - min(LARGEST_STEP_DOWN, after // 2))

    run()


@in_virtual_time
async def test_growth_waits_a_second_after_a_throttle() -> None:
    limiter = AdaptiveLimiter(64)
    await _busy(limiter, 5)
    limiter.throttled()
    size = limiter.size
    await _busy(limiter, GROWTH_INTERVAL_S * 0.8)
    assert limiter.size == size


@in_virtual_time
async def test_a_cancelled_request_gives_its_slot_back() -> None:
    limiter = AdaptiveLimiter(1)
    with anyio.move_on_after(0.1):
        async with limiter.slot():
            await anyio.sleep_forever()
    with anyio.fail_after(1):
        async with limiter.slot():
            pass


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0, 200))
def test_the_fence_is_open_only_while_a_request_fits_into_the_lease(
    lifetime_s: float, lease_s: float, at: float
) -> None:
    @in_virtual_time
    async def run() -> None:
        fence = Fence(lifetime_s, clock=lambda: at)
        assert not fence.is_open, "no lease yet"
        fence.extend(lease_s)
        if at + lifetime_s > lease_s + 1e-9:
            assert not fence.is_open
        elif at + lifetime_s < lease_s - 1e-9:
            assert fence.is_open
            await fence.passed()

    run()


@in_virtual_time
async def test_a_closed_fence_holds_back_until_the_lease_is_renewed_for_long_enough() -> None:
    fence, begun = Fence(10), anyio.current_time()
    fence.extend(begun + 5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fence.passed)
        tasks.start_soon(fence.passed)
        await anyio.sleep(1)
        fence.extend(begun + 9)
        await anyio.sleep(1)
        assert len(tasks._tasks) == 2  # type: ignore[attr-defined]  # both still wait
        fence.extend(begun + 15)
    assert anyio.current_time() == begun + 2


@given(st.integers(1, 200), st.floats(0.001, 10), st.floats(0.001, 100), st.none() | st.floats(0, 1000))
def test_back_off_honours_what_the_service_asks_for_and_is_bounded(
    attempt: int, first_s: float, most_s: float, retry_after_s: float | None
) -> None:
    pause_s = Backoff(first_s, most_s).pause_s(attempt, TransientError("busy", retry_after_s=retry_after_s))
    asked_s = retry_after_s or 0.0
    assert asked_s <= pause_s <= asked_s + most_s


@in_virtual_time
async def test_calls_are_repeated_for_ever_and_each_failure_is_told() -> None:
    told: list[TransientError] = []

    async def call() -> int:
        if len(told) < 50:
            raise (TransientError, ThrottledError, AmbiguousError)[len(told) % 3]("again")
        return len(told)

    assert await retrying(call, told.append) == 50


@in_virtual_time
async def test_only_transient_errors_are_repeated() -> None:
    async def call() -> None:
        raise PositionLostError("trimmed")

    with pytest.raises(PositionLostError):
        await retrying(call, lambda _: None)

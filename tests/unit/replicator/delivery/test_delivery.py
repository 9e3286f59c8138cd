"""Promises of the delivery: requests are fenced, bounded and repeated, and doubt about one holds later ones back."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from fakes.virtual import in_virtual_time
from replicator.delivery import AdaptiveLimiter, Backoff, Delivery, Fence, RateBudget
from replicator.errors import AmbiguousError, ThrottledError, TransientError
from replicator.telemetry import TARGET, Metrics, PipelineTelemetry

LIFETIME_S = 10.0
TIMEOUT_S = 1.0
QUICK = Backoff(first_s=0.001, most_s=0.01)


class Bench:
    """A delivery and what reached the service."""

    def __init__(self, most: int = 8, per_s: float | None = None) -> None:
        self.fence = Fence(LIFETIME_S)
        self.fence.extend(float("inf"))
        self.budget = RateBudget(per_s)
        self.limiter = AdaptiveLimiter(most)
        self.telemetry = PipelineTelemetry(Metrics(), "orders")
        self.sent: list[tuple[str, float]] = []
        self.delivery = Delivery(
            limiter=self.limiter,
            budget=self.budget,
            fence=self.fence,
            timeout_s=TIMEOUT_S,
            telemetry=self.telemetry,
            backoff=QUICK,
        )

    def request(self, name: str, *outcomes: Exception | None, takes_s: float = 0.0) -> Callable[[], Awaitable[str]]:
        """Fails in these ways, then succeeds."""
        left = list(outcomes)

        async def send() -> str:
            self.sent.append((name, anyio.current_time()))
            await anyio.sleep(takes_s)
            error = left.pop(0) if left else None
            if error is not None:
                raise error
            return name

        return send

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.sent]


@in_virtual_time
async def test_a_write_is_repeated_until_its_outcome_is_known() -> None:
    bench = Bench()
    failures = [TransientError("503"), ThrottledError("429"), AmbiguousError("cut")]
    assert await bench.delivery.write(["k"], bench.request("w", *failures)) == "w"
    assert bench.names == ["w"] * 4


@in_virtual_time
async def test_an_ambiguous_write_is_repeated_at_once_and_a_later_one_of_the_key_waits() -> None:
    bench = Bench()
    begun = anyio.current_time()
    await bench.delivery.write(["k"], bench.request("one", AmbiguousError("cut")))
    assert anyio.current_time() - begun < 0.1
    await bench.delivery.write(["other"], bench.request("unrelated"))
    assert anyio.current_time() - begun < 0.1
    await bench.delivery.write(["k", "l"], bench.request("two"))
    assert anyio.current_time() - begun >= LIFETIME_S
    assert bench.names == ["one", "one", "unrelated", "two"]


@in_virtual_time
async def test_no_answer_in_time_is_doubt() -> None:
    bench = Bench()
    begun = anyio.current_time()
    with pytest.raises(AmbiguousError, match="no answer within 1 s"):
        await bench.delivery.write_once(["k"], bench.request("slow", takes_s=TIMEOUT_S * 2))
    assert anyio.current_time() - begun >= TIMEOUT_S + LIFETIME_S


@in_virtual_time
async def test_a_conditional_write_is_repeated_only_after_failures_without_effect() -> None:
    bench = Bench()
    begun = anyio.current_time()
    with pytest.raises(AmbiguousError):
        await bench.delivery.write_once(["k"], bench.request("c", ThrottledError("429"), AmbiguousError("cut")))
    assert bench.names == ["c", "c"]
    assert anyio.current_time() - begun >= LIFETIME_S, "reported only when it can no longer take effect"
    assert len(bench.delivery.suspects) == 0


@in_virtual_time
async def test_a_conditional_write_waits_for_doubt_about_its_key() -> None:
    bench = Bench()
    begun = anyio.current_time()
    await bench.delivery.write(["k"], bench.request("w", AmbiguousError("cut")))
    assert await bench.delivery.write_once(["k"], bench.request("c")) == "c"
    assert bench.sent[-1][1] - begun >= LIFETIME_S


@pytest.mark.parametrize("method", ["write", "write_once"])
def test_a_cancelled_write_may_land_late_like_any_other(method: str) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = Bench()
        begun = anyio.current_time()
        with anyio.move_on_after(0.1):
            await getattr(bench.delivery, method)(["k"], bench.request("cancelled", takes_s=0.5))
        assert bench.delivery.suspects.latest >= begun + LIFETIME_S
        await bench.delivery.write(["k"], bench.request("later"))
        assert bench.sent[-1][1] - begun >= LIFETIME_S

    run()


@in_virtual_time
async def test_a_write_cancelled_before_it_was_sent_leaves_no_doubt() -> None:
    bench = Bench(most=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.delivery.write, ["k"], bench.request("first", takes_s=0.5))
        await anyio.sleep(0.1)
        with anyio.move_on_after(0.1):
            await bench.delivery.write(["l"], bench.request("waiting"))
        assert bench.names == ["first"]
        assert bench.delivery.suspects.latest == float("-inf")


@in_virtual_time
async def test_reads_leave_no_doubt() -> None:
    bench = Bench()
    assert await bench.delivery.read(bench.request("r", AmbiguousError("cut"), TransientError("503"))) == "r"
    assert bench.delivery.suspects.latest == float("-inf")


@in_virtual_time
async def test_no_request_is_started_that_could_outlive_the_lease() -> None:
    bench = Bench()
    bench.fence.extend(anyio.current_time() + LIFETIME_S + 1)
    await bench.delivery.write(["k"], bench.request("in time"))
    await anyio.sleep(1.1)
    for attempt in (bench.delivery.write, bench.delivery.write_once):
        with anyio.move_on_after(60):
            await attempt(["k"], bench.request("too late"))
    assert bench.names == ["in time"]
    assert bench.delivery.suspects.latest == float("-inf"), "nothing was sent"


@in_virtual_time
async def test_the_lease_is_looked_at_again_before_each_repetition_and_after_each_wait() -> None:
    bench = Bench(per_s=1.0)
    ends_at = anyio.current_time() + LIFETIME_S + 1
    bench.fence.extend(ends_at)
    bench.delivery.charge(10)
    with anyio.move_on_after(60):
        await bench.delivery.write(["k"], bench.request("held up by the budget"))
    assert bench.names == []
    bench.fence.extend(anyio.current_time() + LIFETIME_S + 1)
    with anyio.move_on_after(60):
        await bench.delivery.write(["k"], bench.request("w", *[TransientError("503", retry_after_s=0.8)] * 9))
    assert bench.names == ["w", "w"]


@in_virtual_time
async def test_a_throttle_takes_slots_away_and_counts() -> None:
    bench = Bench()
    bench.limiter._slots.total_tokens = 8
    await bench.delivery.write(["k"], bench.request("w", ThrottledError("429")))
    assert bench.delivery.concurrency == 4


@in_virtual_time
async def test_a_target_is_called_degraded_after_some_failures_and_well_after_a_success() -> None:
    bench = Bench()
    side = bench.telemetry.sides
    seen: list[bool] = []

    async def send() -> None:
        seen.append(side[TARGET].degraded)
        if len(seen) < 5:
            raise TransientError("503")

    await bench.delivery.write(["k"], send)
    assert seen == [False, False, False, True, True]
    assert not side[TARGET].degraded


@in_virtual_time
async def test_what_is_no_transient_error_passes_through_at_once() -> None:
    bench = Bench()
    with pytest.raises(ZeroDivisionError):
        await bench.delivery.write(["k"], bench.request("w", ZeroDivisionError()))
    assert bench.names == ["w"]


@in_virtual_time
async def test_what_a_write_needs_is_made_before_each_attempt_and_bounded_without_doubt() -> None:
    bench = Bench()
    made: list[float] = []

    async def ready() -> None:
        made.append(anyio.current_time())
        await anyio.sleep(2 * TIMEOUT_S if len(made) == 1 else TIMEOUT_S * 0.9)

    request = bench.request("w", TransientError("503"), takes_s=TIMEOUT_S * 0.9)
    assert await bench.delivery.write(["k"], request, ready) == "w"
    assert (len(made), bench.names) == (3, ["w", "w"])
    assert len(bench.delivery.suspects) == 0


@in_virtual_time
async def test_the_fence_is_passed_after_what_a_write_needs_was_made() -> None:
    bench = Bench()

    async def ready() -> None:
        bench.fence.extend(float("-inf"))

    with anyio.move_on_after(5):
        await bench.delivery.write(["k"], bench.request("w"), ready)
    assert bench.names == []


@in_virtual_time
async def test_what_is_staged_has_a_deadline_of_its_own_and_leaves_nothing_suspect() -> None:
    bench = Bench()
    begun = anyio.current_time()
    slow = bench.request("block", AmbiguousError("cut"), takes_s=TIMEOUT_S * 20)
    assert await bench.delivery.stage(slow, TIMEOUT_S * 30) == "block"
    assert bench.names == ["block"] * 2
    assert bench.delivery.suspects.latest == float("-inf")
    assert anyio.current_time() - begun < TIMEOUT_S * 41


@in_virtual_time
async def test_what_is_staged_is_given_up_at_its_deadline_and_repeated() -> None:
    bench = Bench()
    with anyio.move_on_after(TIMEOUT_S * 10):
        await bench.delivery.stage(bench.request("block", takes_s=TIMEOUT_S * 3), TIMEOUT_S * 2)
    assert len(bench.names) >= 4

"""One request after another to a target: slots, budget, deadline, fence, repetition and suspicion in one place."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from replicator.clocks import elapsed_s
from replicator.delivery.budget import RateBudget
from replicator.delivery.concurrency import AdaptiveLimiter
from replicator.delivery.fence import Fence
from replicator.delivery.retry import DEFAULT_BACKOFF, Backoff, retrying
from replicator.delivery.suspects import Suspects
from replicator.errors import AmbiguousError, ThrottledError, TransientError
from replicator.telemetry import PipelineTelemetry

T = TypeVar("T")

Ready = Callable[[], Awaitable[None]]


class Delivery:
    """Carries the requests of one target.

    `timeout_s` bounds a single request; `fence.lifetime_s`, at least as long, bounds how late it may take effect.
    """

    def __init__(
        self,
        *,
        limiter: AdaptiveLimiter,
        budget: RateBudget,
        fence: Fence,
        timeout_s: float,
        telemetry: PipelineTelemetry,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        self.suspects = Suspects()
        self._limiter = limiter
        self._budget = budget
        self._fence = fence
        self.timeout_s = timeout_s
        self._telemetry = telemetry
        self._backoff = backoff

    async def write(self, keys: Sequence[str], send: Callable[[], Awaitable[T]], ready: Ready | None = None) -> T:
        """Sends an unconditional write until its outcome is known.

        Waits first until nothing earlier can still change these keys. After an unknown outcome the same write is
        repeated at once, and the keys stay suspect for as long as the earlier request may live. `ready` makes before
        each attempt what it needs, such as a connection: without effect, so when it takes too long there is no doubt.
        """
        await self.suspects.clear(keys)
        return await retrying(lambda: self._attempt(send, keys, ready), self._failed, self._backoff)

    async def write_once(self, keys: Sequence[str], send: Callable[[], Awaitable[T]]) -> T:
        """Sends a conditional write, repeated only after failures that surely had no effect.

        Raises AmbiguousError when the outcome is unknown, but not before it can no longer change.
        """
        await self.suspects.clear(keys)

        async def attempt() -> T | AmbiguousError:
            try:
                return await self._attempt(send, keys)
            except AmbiguousError as error:
                return error

        result = await retrying(attempt, self._failed, self._backoff)
        if isinstance(result, AmbiguousError):
            self._failed(result)
            await self.suspects.clear(keys)
            raise result
        return result

    async def read(self, send: Callable[[], Awaitable[T]]) -> T:
        """Sends a request without effect until it succeeds."""
        return await retrying(lambda: self._attempt(send), self._failed, self._backoff)

    async def stage(self, send: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Sends a request until it succeeds whose effect counts for nothing before a later write takes it up.

        So no key is suspect on its account, and it may have a deadline of its own, beyond a request's lifetime.
        """
        return await retrying(lambda: self._attempt(send, timeout_s=timeout_s), self._failed, self._backoff)

    async def lease_held(self) -> None:
        """Returns at a moment when a request could be started: nobody else has written since the lease was taken."""
        await self._fence.passed()

    @property
    def concurrency(self) -> int:
        """How many requests may be under way now."""
        return self._limiter.size

    def begin_with(self, concurrency: int) -> None:
        """Lets so many requests go out at once, until the target throttles: only for a short probe."""
        self._limiter.begin_with(concurrency)

    @property
    def most(self) -> int:
        """How many requests may be under way at any time."""
        return self._limiter.most

    @property
    def units_per_s(self) -> float | None:
        """What requests may be charged in all; None is no limit."""
        return self._budget.per_s

    def limit(self, *, units_per_s: float | None, most: int) -> None:
        """Other limits from now on."""
        if units_per_s != self._budget.per_s:
            self._budget.set_rate(units_per_s)
        self._limiter.limit(most)

    def charge(self, units: float) -> None:
        """Books what a request has cost against the budget."""
        self._budget.charge(units)

    async def _attempt(
        self,
        send: Callable[[], Awaitable[T]],
        keys: Sequence[str] | None = None,
        ready: Ready | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """One request; where nobody knows what becomes of it, be it only cancelled, its keys are suspect.

        `keys` is None for a request without effect; a write may concern no key at all.
        """
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        async with self._limiter.slot(), self._budget.held():
            if ready is not None:
                await self._made(ready)
            await self._fence.passed()
            started = elapsed_s()
            try:
                with self._fence.ahead(), anyio.fail_after(limit_s):
                    result = await send()
            except TimeoutError as error:
                self._suspect(keys)
                raise AmbiguousError(f"no answer within {limit_s:g} s") from error
            except (AmbiguousError, anyio.get_cancelled_exc_class()):
                self._suspect(keys)
                raise
            self._telemetry.request_done(elapsed_s() - started, self._limiter.size)
            return result

    async def _made(self, ready: Ready) -> None:
        try:
            with anyio.fail_after(self.timeout_s):
                await ready()
        except TimeoutError as error:
            raise TransientError(f"no connection within {self.timeout_s:g} s") from error

    def _suspect(self, keys: Sequence[str] | None) -> None:
        if keys is not None:
            self.suspects.add(keys, elapsed_s() + self._fence.lifetime_s)

    def _failed(self, error: TransientError) -> None:
        if isinstance(error, ThrottledError):
            self._limiter.throttled()
        self._telemetry.target_failed(error)

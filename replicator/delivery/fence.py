"""The line in time after which this process must not start another request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

from replicator.clocks import elapsed_s

_AHEAD: ContextVar["Fence | None"] = ContextVar("fence", default=None)


def may_start() -> bool:
    """Whether the request that is being made here may still be started: asked right before its first byte.

    An SDK takes a moment from the call to that, and longer for a new connection: a process that is stopped there, and
    goes on after the end of its lease, must not send what it has prepared. What no delivery sends has no fence.
    """
    fence = _AHEAD.get()
    return fence is None or fence.is_open


class Fence:
    """Open while the lease lasts longer than a request can.

    Whoever takes the lease over waits for its end, so every request of ours has taken effect, or never will, before
    the successor's first one. `lifetime_s` is the longest a request may take effect after it was started.
    """

    def __init__(self, lifetime_s: float, clock: Callable[[], float] = elapsed_s) -> None:
        self.lifetime_s = lifetime_s
        self._clock = clock
        self._ends_at = float("-inf")
        self._extended = anyio.Event()

    def extend(self, ends_at: float) -> None:
        """The lease is now known to last until `ends_at`, by the fence's clock."""
        self._ends_at = ends_at
        self._extended.set()
        self._extended = anyio.Event()

    @property
    def left_s(self) -> float:
        """How long the lease lasts yet, as far as is known; negative when it is over."""
        return self._ends_at - self._clock()

    @property
    def is_open(self) -> bool:
        """Whether a request started now would surely be over before the lease is."""
        return self._clock() <= self._ends_at - self.lifetime_s

    async def passed(self) -> None:
        """Returns at a moment when it is open: the request must be started before anything else is awaited.

        Waits while the lease is being renewed; when it is lost, whoever keeps it ends the waiting.
        """
        while not self.is_open:
            await self._extended.wait()

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """For a request that is made within: `may_start` speaks of this fence."""
        token = _AHEAD.set(self)
        try:
            yield
        finally:
            _AHEAD.reset(token)

"""The line in time after which this process must not start another request."""

from collections.abc import Callable

from replicator.clocks import elapsed_s
from replicator.errors import LeaseLostError


class Fence:
    """Open while the lease lasts longer than a request can.

    Whoever takes the lease over waits for its end, so every request of ours has taken effect, or never will, before
    the successor's first one. `lifetime_s` is the longest a request may take effect after it was started.
    """

    def __init__(self, lifetime_s: float, clock: Callable[[], float] = elapsed_s) -> None:
        self.lifetime_s = lifetime_s
        self._clock = clock
        self._ends_at = float("-inf")

    def extend(self, ends_at: float) -> None:
        """The lease is now known to last until `ends_at`, by the fence's clock."""
        self._ends_at = ends_at

    def check(self) -> None:
        """Called at the last moment before a request. Raises LeaseLostError when it might outlive the lease."""
        if self._clock() > self._ends_at - self.lifetime_s:
            raise LeaseLostError("the lease ends before another request surely would; the partition is given up")

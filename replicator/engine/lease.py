"""The lease of a daemon on its state store: taken before anything is written, renewed, given back at the end."""

import os
import socket
import uuid
from collections.abc import Awaitable, Callable

import anyio
import structlog

from replicator.clocks import elapsed_s
from replicator.delivery import Fence
from replicator.errors import ConfigurationError
from replicator.ports import StateStore

RENEWALS = 6
"""So many renewals fit into a lease."""

RENEWED_TOLERANCE_S = 0.5
"""A lease that has more left than it should has been renewed: its holder is alive."""


StandBy = Callable[[float], Awaitable[bool]]
"""What is done while another daemon holds the lease, for so many seconds yet: returns when to ask again, or False when
that is not to be.
"""


class DaemonLease:
    """Keeps the fence open while it is held. Without `stand_by` another daemon that is alive is a mistake."""

    def __init__(self, store: StateStore, duration_s: float, fence: Fence) -> None:
        self._store = store
        self.stand_by: StandBy | None = None
        self._duration_s = duration_s
        self._fence = fence
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    async def acquire(self) -> bool:
        """Waits out the lease of a daemon that has died, so that none of its requests can land after ours. False when
        standing by has ended without it.

        Raises ConfigurationError when the other one turns out to be alive, and nobody is to stand by.
        """
        left_s = await self._renew()
        if self.stand_by is not None:
            while left_s > 0:
                if not await self.stand_by(left_s):
                    return False
                left_s = await self._renew()
            return True
        if left_s > 0:
            structlog.get_logger().info("waiting for the lease of the last run to end", seconds=round(left_s, 1))
        while left_s > 0:
            pause_s = min(left_s, self._duration_s / RENEWALS)
            await anyio.sleep(pause_s)
            expected_s = left_s - pause_s
            left_s = await self._renew()
            if left_s > max(expected_s, 0) + RENEWED_TOLERANCE_S:
                owner = await self._store.lease_owner()
                raise ConfigurationError(
                    "state",
                    f"another daemon ({owner}) is running on this state store",
                    "Stop it first, give this one a state store and targets of its own, or let them share the work: "
                    "docs/replicas.md",
                )
        return True

    async def keep(self) -> None:
        """Renews for ever. Raises LeaseLostError when somebody else has taken it over."""
        while True:
            await anyio.sleep(self._duration_s / RENEWALS)
            await self._renew()

    async def release(self, linger_s: float) -> None:
        """Gives the lease back, for when no request of ours can take effect any more."""
        self._fence.extend(float("-inf"))
        await self._store.release_lease(self.owner, linger_s)

    async def _renew(self) -> float:
        asked_at = elapsed_s()
        left_s = await self._store.acquire_lease(self.owner, self._duration_s)
        if left_s <= 0:
            self._fence.extend(asked_at + self._duration_s)
        return left_s

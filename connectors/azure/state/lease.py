"""Who may change the state: a document that is replaced on the condition of its ETag.

Not a lease of the blob service: such a one guards a single blob, lasts 15 to 60 s or for ever, does not say who holds
it, and cannot be told from one that was lost and taken again by another. This one lasts as long as it is configured,
names its holder, and counts its holders (`term`), which is what guards all other blobs; see
`connectors.azure.state.cells`.

Replicas have no clock in common. Whoever wants the lease watches, on its own clock, for as long as it lasts, that
nobody renews it. That is later than its end by the holder's clock, which counts from before the request that renewed.
"""

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace

import anyio

from connectors.azure.state.cells import LEASE, Cell, Cells, told
from replicator.clocks import elapsed_s
from replicator.delivery import retrying


@dataclass(frozen=True, slots=True)
class Tenure:
    """Held by `owner` for `duration_s` from when this was written; each writing has a `serial` of its own."""

    owner: str
    term: int
    serial: int
    duration_s: float


class Lease:
    """As one process sees it. `seal` makes every cell one of `cells.term`."""

    def __init__(
        self, cells: Cells, seal: Callable[[], Awaitable[None]], clock: Callable[[], float] = elapsed_s
    ) -> None:
        self._cells = cells
        self._seal = seal
        self._clock = clock
        self._lock = anyio.Lock()
        self._owner: str | None = None
        self._watched: tuple[Tenure, float] | None = None
        self._known: tuple[Tenure, str] | None = None

    async def acquire(self, owner: str, duration_s: float) -> float:
        """Takes or renews; returns 0, or for how many seconds nobody may have renewed it yet.

        One request to renew. Raises LeaseLostError when `owner` held it and somebody else has taken it since.
        """
        async with self._lock:
            left_s: float | None = None
            while left_s is None:
                left_s = await retrying(lambda: self._attempt(owner, duration_s), told, self._cells.backoff)
            return left_s

    async def release(self, owner: str, linger_s: float) -> None:
        """Ends ours `linger_s` from now; leaves somebody else's alone."""

        async def attempt() -> bool:
            held, etag = await self._find()
            if held is None or held.owner != owner:
                return True
            return await self._put(replace(held, duration_s=linger_s, serial=held.serial + 1), etag)

        async with self._lock:
            while not await retrying(attempt, told, self._cells.backoff):
                pass

    async def owner(self) -> str | None:
        """Who has it, or had it last."""
        held, _ = await retrying(self._find, told, self._cells.backoff)
        return None if held is None else held.owner

    async def _attempt(self, owner: str, duration_s: float) -> float | None:
        """None where somebody was quicker, so that it has to be looked at again."""
        known, self._known = self._known, None  # an attempt without an answer leaves nothing that is known
        found: tuple[Tenure | None, str | None] = known or await self._find()
        held, etag = found
        if owner == self._owner:
            if held is None or (held.owner, held.term) != (owner, self._cells.term):
                raise await self._cells.lost()
            return 0.0 if await self._put(replace(held, duration_s=duration_s, serial=held.serial + 1), etag) else None
        if held is not None and held.owner != owner and (left_s := self._left_s(held)) > 0:
            return left_s
        term, serial = (held.term + 1, held.serial + 1) if held else (1, 0)
        if not await self._put(Tenure(owner, term, serial, duration_s), etag):
            return None
        self._owner, self._cells.term = None, term
        await self._seal()
        self._owner = owner
        return 0.0

    def _left_s(self, held: Tenure) -> float:
        if self._watched is None or self._watched[0] != held:
            self._watched = (held, self._clock())
        return self._watched[1] + held.duration_s - self._clock()

    async def _find(self) -> tuple[Tenure | None, str | None]:
        found: Cell = await self._cells.find(LEASE)
        return (None if found.body is None else Tenure(**found.body)), found.etag

    async def _put(self, tenure: Tenure, etag: str | None) -> bool:
        data = json.dumps({"term": tenure.term, "write": uuid.uuid4().hex, "body": asdict(tenure)}).encode()
        written = await self._cells.blobs.put(LEASE, data, etag)
        self._known = None if written is None else (tenure, written)
        return written is not None

"""Blobs that only the holder of the lease may replace.

No condition of a request to one blob can speak of the lease, which is in another one: it may be lost between looking
at it and the request. So each cell carries the *term* of the lease under which it was written, and a takeover rewrites
every cell with its own term before it counts as done. A write of a former holder, however late, then finds another
ETag than the one it was made for; and looking again it finds a term beyond its own, which tells it that it has lost.
This costs a save no request: it is one conditional PUT.

A cell also carries the id of the write that made it, so that a writer without an answer can see whether it was its own.
"""

import json
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import anyio
import structlog

from connectors.azure.state.blobs import Blobs
from replicator.delivery import Backoff, retrying
from replicator.errors import ConfigurationError, LeaseLostError, TransientError

LEASE = "lease.json"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one holds: a body of plain JSON, which nobody mutates; None where there is none, as then is the ETag."""

    term: int = 0
    body: Any = None
    write: str = ""
    etag: str | None = None


class CellGoneError(Exception):
    """There is none where there was one: somebody has written its parent anew."""


class Cells:
    """All cells of one store. `term` is that of the lease that was acquired through it, None before."""

    def __init__(self, blobs: Blobs, backoff: Backoff) -> None:
        self.blobs = blobs
        self.backoff = backoff
        self.term: int | None = None
        self._over = False

    @property
    def ours(self) -> bool:
        """Whether the lease was acquired, and not lost as far as we know: what we have written is what there is."""
        return self.term is not None and not self._over

    async def read(self, name: str) -> Cell:
        """As it is now, whoever has written it."""
        return await retrying(lambda: self.find(name), told, self.backoff)

    async def update(
        self,
        name: str,
        change: Callable[[Any], Any],
        *,
        known: Cell | None = None,
        floor: int = 0,
        there: bool = False,
    ) -> Cell:
        """Replaces the body by what `change` makes of it, as often as somebody else has been quicker.

        `known` is what it probably is. A cell that is made has at least the term `floor`, that of its parent. Raises
        LeaseLostError, and CellGoneError where it should be `there` and is not.
        """
        write, begin = uuid.uuid4().hex, known

        async def attempt() -> Cell | None:
            nonlocal begin
            cell, begin = begin or await self.find(name), None
            if cell.write == write:
                return cell
            if there and cell.etag is None:
                raise CellGoneError
            await self.require(cell.term)
            made = Cell(max(cell.term, floor, self.term or 0), change(cell.body), write)
            etag = await self.blobs.put(name, _encoded(made), cell.etag)
            return None if etag is None else replace(made, etag=etag)

        while (done := await retrying(attempt, told, self.backoff)) is None:
            pass
        return done

    async def make(self, name: str, body: Any, term: int) -> Cell:
        """One of a name that nobody has had, and that nobody looks at before its parent tells it."""
        return await self.update(name, lambda _: body, known=Cell(), floor=term)

    async def require(self, term: int) -> None:
        """Raises LeaseLostError where somebody has had the lease after us."""
        if self.term is not None and term > self.term:
            raise await self.lost()

    async def lost(self) -> LeaseLostError:
        """What whoever has lost the lease is told."""
        self._over = True
        body = (await self.read(LEASE)).body
        return LeaseLostError(f"another daemon has taken the migration over ({body and body['owner']})")

    async def find(self, name: str) -> Cell:
        """As `read`, but one attempt. Raises TransientError."""
        held = await self.blobs.get(name)
        if held is None:
            return Cell()
        members = json.loads(held.data)
        return Cell(members["term"], members["body"], members["write"], held.etag)


def _encoded(cell: Cell) -> bytes:
    return json.dumps({"term": cell.term, "write": cell.write, "body": cell.body}).encode()


def told(error: TransientError) -> None:
    """Says why the store is waited for; no name and no body is in it."""
    structlog.get_logger().warning("the state store is waited for", reason=str(error))


async def each(run: Callable[[str], Awaitable[object]], names: Iterable[str]) -> None:
    """Runs for all of these at once. Raises the LeaseLostError or ConfigurationError of one of them."""
    lost: list[LeaseLostError | ConfigurationError] = []
    async with anyio.create_task_group() as tasks:

        async def run_one(name: str) -> None:
            try:
                await run(name)
            except (LeaseLostError, ConfigurationError) as error:
                lost.append(error)
                tasks.cancel_scope.cancel()

        for name in names:
            tasks.start_soon(run_one, name)
    if lost:
        raise lost[0]

"""A short probe: the same small write over and over, one at a time and then several, and what that achieves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from replicator.clocks import elapsed_s

ALONE_S = 1.0
TOGETHER_S = 3.0
MOST_WRITES = 1000
"""Of both parts together, whichever comes first."""

TOGETHER = 16
"""Writes under way at once in the second part."""

GRACE_S = 10.0
"""What is still under way at the end of a part is given up after this: a target that does not answer is no figure."""

REMOVAL_S = 60.0
"""What was written is removed within this, or said to be left."""

PLAN = f"for about {ALONE_S + TOGETHER_S:g} seconds, {MOST_WRITES:,} at most, up to {TOGETHER} at once"


class ProbeRefusedError(Exception):
    """The target does not take the write, or the removal; the text says why."""


Write = Callable[[str], Awaitable[float]]
"""Writes one record under this name and gives what it has cost, in the target's units. Raises ProbeRefusedError."""

Remove = Callable[[str], Awaitable[None]]
"""Removes it, or nothing where there is none. Raises ProbeRefusedError."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was achieved. `slot_per_s` is the rate of one write after the other, `most_per_s` that of several at once,
    `units` what one has cost on average. `refused` is why there is no answer, `left` what could not be removed.
    """

    writes: int
    slot_per_s: float
    most_per_s: float
    units: float
    refused: str = ""
    left: tuple[str, ...] = ()


class Probe:
    """Writes names that begin with `prefix`, each once, and removes them again. To be run once."""

    def __init__(self, prefix: str, write: Write, remove: Remove, most_at_once: int = TOGETHER) -> None:
        self._prefix = prefix
        self._write = write
        self._remove = remove
        self._at_once = min(TOGETHER, most_at_once)
        self._names: list[str] = []
        self._written = 0
        self._units = 0.0
        self._refused = ""

    async def run(self, widen: Callable[[int], None]) -> Probed:
        """`widen` lets so many requests go out at once. Removes what it has written however it ends."""
        alone = together = 0.0
        try:
            with anyio.move_on_after(GRACE_S):
                await self._one()  # opens the connection, and is not counted
            if self._written:
                self._written, self._units = 0, 0.0
                alone = await self._for(ALONE_S, 1)
                widen(self._at_once)
                together = await self._for(TOGETHER_S, self._at_once)
        finally:
            left = await self._removed()
        if not self._written and not self._refused:
            self._refused = f"no answer within {GRACE_S:g} s"
        units = self._units / self._written if self._written else 0.0
        return Probed(self._written, alone, max(alone, together), units, self._refused, left)

    async def _for(self, seconds: float, workers: int) -> float:
        """The rate that so many workers achieve together."""
        before, began = self._written, elapsed_s()

        async def work() -> None:
            while elapsed_s() < began + seconds and len(self._names) < MOST_WRITES and not self._refused:
                await self._one()

        with anyio.move_on_after(seconds + GRACE_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(workers):
                    tasks.start_soon(work)
        return (self._written - before) / max(elapsed_s() - began, 1e-6)

    async def _one(self) -> None:
        name = f"{self._prefix}-{len(self._names)}"
        self._names.append(name)  # noted first: what was begun may take effect
        try:
            units = await self._write(name)
        except ProbeRefusedError as error:
            self._refused = str(error)
        else:
            self._units += units
            self._written += 1

    async def _removed(self) -> tuple[str, ...]:
        """The names that could not be removed."""
        left, waiting = set(self._names), list(self._names)

        async def work() -> None:
            while waiting:
                name = waiting.pop()
                try:
                    await self._remove(name)
                except ProbeRefusedError:
                    continue
                left.discard(name)

        with anyio.CancelScope(shield=True), anyio.move_on_after(REMOVAL_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(TOGETHER):
                    tasks.start_soon(work)
        return tuple(sorted(left))


def told(probed: Probed) -> tuple[str, ...]:
    """What people should know of it."""
    notes: tuple[str, ...] = (f"the probe was broken off: {probed.refused}",) if probed.refused else ()
    if probed.left:
        notes += (f"the probe could not remove {', '.join(probed.left[:5])} ({len(probed.left)} in all): remove them",)
    return notes

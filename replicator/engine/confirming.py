"""What follows the copy in mode copy: both sides are compared once, repaired and compared again where that is wanted.

Nothing is followed then, so whatever differs was written while it was being copied, or was left out.
"""

from collections.abc import Awaitable, Callable
from typing import Generic

import anyio

from replicator.engine.copying import Copying
from replicator.engine.gate import Gate
from replicator.engine.rounds import Ask, Round
from replicator.engine.verdict import Result, load_verdict
from replicator.engine.verifying import Verifying
from replicator.model import Barriers, R
from replicator.ports import Source, StateStore
from replicator.telemetry import PipelineTelemetry

MOST_ROUNDS = 5
"""Comparisons in one run: whoever keeps writing is not repaired for ever."""


class Meeting:
    """Pipelines in mode copy wait here for each other, so that what is compared is as it was when all were copied."""

    def __init__(self, pipelines: set[str]) -> None:
        self._missing = set(pipelines)
        self._met = anyio.Event()

    def leave(self, pipeline: str) -> None:
        """It is not waited for: it has ended, however that was, or is there."""
        self._missing.discard(pipeline)
        if not self._missing:
            self._met.set()

    async def meet(self, pipeline: str) -> None:
        """Returns when all are there."""
        self.leave(pipeline)
        await self._met.wait()


class Confirming(Generic[R]):
    """Of one pipeline. `met` returns when the others are copied too; `repair`: whether what differs is repaired;
    `again`: whether it is compared again although it was found equal.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        source: Source[R],
        store: StateStore,
        copying: Copying[R],
        verifying: Verifying[R],
        met: Callable[[], Awaitable[None]],
        repair: bool,
        again: bool,
        telemetry: PipelineTelemetry,
        gate: Gate,
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._store = store
        self._copying = copying
        self._verifying = verifying
        self._met = met
        self._repair = repair
        self._again = again
        self._telemetry = telemetry
        self._gate = gate

    async def run(self) -> None:
        """Once all is copied. Returns when both sides were found equal, or are not going to be by comparing again.

        What was found equal before is left alone otherwise: by now its target may be the application's.
        """
        if not self._again and (await load_verdict(self._store, self._pipeline)).result is Result.EQUAL:
            self._telemetry.log.info("copied and found equal before: nothing is left to be done")
            return
        self._verifying.hurry(True)
        await self._met()
        for _ in range(MOST_ROUNDS):
            await self._take_what_waits()
            found = await self._compare()
            if not (self._repair and (found.repaired or found.waiting)):
                return

    async def _take_what_waits(self) -> None:
        """A queue is read to its end again where something has come since."""
        await self._gate.passed()
        depth = await self._source.depth() if self._source.barriers is Barriers.NOTHING else None
        if depth is not None and depth.waiting:
            self._telemetry.log.info("messages have come since the queue was empty", messages=depth.waiting)
            await self._copying.again()

    async def _compare(self) -> Round:
        """Everything; one that was under way when the process ended goes on."""
        ask = Ask(repair=self._repair)
        while True:
            await self._gate.passed()
            await self._verifying.start(ask)
            found = await self._verifying.ended()
            if found.ask.covers(ask):
                return found

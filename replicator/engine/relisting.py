"""Walks over everything while following, at intervals, for sources whose changes may go unnoticed."""

from datetime import timedelta
from typing import Generic

import anyio

from replicator.engine.gate import Gate
from replicator.engine.standing import Standing
from replicator.engine.walking import Walk
from replicator.model import R
from replicator.ports import Source
from replicator.telemetry import PipelineTelemetry


class Relisting(Generic[R]):
    """Brings the target up to whatever the source shows, changed or gone, and proves time by that.

    What was committed before a walk began has been looked at when it ends.
    """

    def __init__(
        self, source: Source[R], walk: Walk[R], standing: Standing, telemetry: PipelineTelemetry, gate: Gate
    ) -> None:
        self._source = source
        self._walk = walk
        self._standing = standing
        self._telemetry = telemetry
        self._gate = gate

    async def run(self) -> None:
        """Runs until cancelled; returns at once for a source that misses nothing. A walk that was cut off goes on."""
        interval = self._source.relist_interval
        if interval is None:
            return
        await anyio.sleep(self._due_in_s(interval))
        while True:
            await self._gate.passed()
            if self._standing.state.relisting_since is None:
                begun = self._source.clock.earliest()
                await self._walk.begin()
                await self._standing.update(relisting_since=begun)
            self._telemetry.log.info("comparing all listings")
            since = self._standing.state.relisting_since
            await self._walk.run(both_ways=True, since=since)
            await self._standing.update(relisting_since=None, proven_through=since)
            self._telemetry.log.info("all listings compared", records=self._walk.records)
            await anyio.sleep(interval.total_seconds())

    def _due_in_s(self, interval: timedelta) -> float:
        state = self._standing.state
        if state.relisting_since is not None or state.proven_through is None:
            return 0.0
        return max(0.0, (state.proven_through + interval - self._source.clock.latest()).total_seconds())

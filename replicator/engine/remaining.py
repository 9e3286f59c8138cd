"""What is left at a source that is being drained, as the source tells it: what waits, and what is unfinished there."""

from datetime import datetime
from typing import Generic

import anyio

from replicator.clocks import elapsed_s
from replicator.emptiness import Emptiness
from replicator.engine.standing import Standing
from replicator.model import Barriers, Depth, Phase, PipelineState, R
from replicator.ports import Source

LOOK_INTERVAL_S = 0.5

ASK_INTERVAL_S = 5.0
"""How often the source is asked for what is under way there, which may be several requests."""

EMPTY_FOR_S = 5.0
"""A queue that is released has shown nothing for so long, or for as long as its source takes to be sure of anything."""

NOT_ASKED = "the source was not asked yet for what is unfinished there"


class Remaining(Generic[R]):
    """Of one pipeline. `depth` is what waits in a queue, None for other sources and before the first reading."""

    def __init__(self, source: Source[R], standing: Standing) -> None:
        self.depth: Depth | None = None
        self._source = source
        self._standing = standing
        self._unfinished: list[str] = []
        self._asked_past: datetime | None = None
        self._asked_at = float("-inf")
        self._emptiness = Emptiness(EMPTY_FOR_S)
        self._emptied_at: datetime | None = None

    @property
    def unfinished(self) -> list[str]:
        """What is under way at the source, in words."""
        return self._unfinished if self._asked_past == self._standing.state.fence else [NOT_ASKED]

    @property
    def emptied_at(self) -> datetime | None:
        """Since when nothing can be received from a queue that is released, by the source's clock: several readings in
        a row have shown it. What is delayed comes later. None where that is not known.
        """
        return self._emptied_at if self._is_forwarded(self._standing.state) else None

    async def run(self) -> None:
        """Asks at once when there is a fence, and now and then from there on."""
        while True:
            state = self._standing.state
            if state.phase in {Phase.DRAINING, Phase.SEALED} and self._is_due(state):
                await self._ask(state)
            await anyio.sleep(LOOK_INTERVAL_S)

    def _is_forwarded(self, state: PipelineState) -> bool:
        is_queue = self._source.barriers is Barriers.NOTHING
        return is_queue and state.phase is Phase.DRAINING and state.released and state.fence == self._asked_past

    def _is_due(self, state: PipelineState) -> bool:
        if state.fence != self._asked_past or elapsed_s() - self._asked_at >= ASK_INTERVAL_S:
            return True
        return self._is_forwarded(state) and self._emptiness.is_due(elapsed_s())

    async def _ask(self, state: PipelineState) -> None:
        """Only readings that were begun when the queue was forwarded count for its being empty."""
        asked_at, is_forwarded = elapsed_s(), self._is_forwarded(state)
        self._asked_at = asked_at
        depth = await self._source.depth() if self._source.barriers is Barriers.NOTHING else None
        self._unfinished = await self._source.unfinished()
        self.depth, self._asked_past = depth, state.fence
        if depth is None or not is_forwarded:
            self._emptiness, self._emptied_at = self._new_emptiness(), None
            return
        self._emptiness.asked(asked_at)
        self._emptiness.answered(asked_at, is_empty=not (depth.held or depth.visible or depth.in_flight))
        if not self._emptiness.is_shown:
            self._emptied_at = None
        elif self._emptied_at is None:
            self._emptied_at = self._source.clock.latest()

    def _new_emptiness(self) -> Emptiness:
        return Emptiness(min(EMPTY_FOR_S, self._source.settling.total_seconds()))

"""Where a pipeline stands: what is remembered of it, changed in one place and saved before anything relies on it."""

from collections.abc import Callable
from dataclasses import replace

import anyio

from replicator.engine.ownership import Claim, Ownership
from replicator.model import Mode, Phase, PipelineState, R
from replicator.ports import StateStore, Target

UNCLAIMED = PipelineState(epoch=0)
"""Stands for a pipeline that the store does not know."""


class Standing:
    """The state of one pipeline and its claim on the target."""

    def __init__(self, pipeline: str, target: Target[R], store: StateStore, mode: Mode) -> None:
        self.state = UNCLAIMED
        self._pipeline = pipeline
        self._store = store
        self._ownership = Ownership(pipeline, target, store, mode)
        self._lock = anyio.Lock()

    @property
    def is_failed(self) -> bool:
        """Whether it has stopped for good, until it is adopted anew."""
        return self.state.phase is Phase.FAILED

    async def judge(self, *, adopt: bool) -> Claim | None:
        """Whether the pipeline may begin; see `Ownership.judge`."""
        return await self._ownership.judge(adopt=adopt)

    async def take(self, claim: Claim) -> None:
        """Claims the target."""
        self.state = await self._ownership.take(claim)

    async def recall(self) -> None:
        """Takes up what the store remembers, without a claim."""
        self.state = await self._store.load_pipeline(self._pipeline) or UNCLAIMED

    async def update(self, **members: object) -> None:
        """Changes members of the state."""
        await self.change(lambda state: replace(state, **members))  # type: ignore[arg-type]  # members of the dataclass

    async def change(self, rule: Callable[[PipelineState], PipelineState]) -> None:
        """Replaces the state by what the rule makes of it, if that is another one."""
        async with self._lock:
            after = rule(self.state)
            if after != self.state:
                await self._store.save_pipeline(self._pipeline, after)
                self.state = after

    async def renew(self) -> None:
        """Moves the target's marker on. Raises ForeignOwnerError when somebody else did. Called by one task at a time.

        The state may change while the target is asked: as long as that does not answer, all else must go on.
        """
        async with self._lock:
            announced = self.state = await self._ownership.announce(self.state)
        await self._ownership.show(announced)
        async with self._lock:
            self.state = await self._ownership.confirm(self.state)

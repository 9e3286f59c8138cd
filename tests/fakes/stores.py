"""The real SQLite store, in memory and without a thread, so that it runs in virtual time and outlives a crash."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.lowlevel import checkpoint

from replicator.model import Checkpoint
from replicator.state.sqlite import SqliteStore

T = TypeVar("T")


class InlineStore(SqliteStore):
    """Commits between two suspensions; `step` is told of both, so that a test may crash before or after."""

    def __init__(self, step: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(Path(":memory:"))
        self._step = step

    def beside(self) -> "InlineStore":
        """The same state as another process has it open: usable while this one is, and not to be entered."""
        other = InlineStore(self._step)
        other._connection = self._connection
        return other

    async def _run(self, call: Callable[[], T]) -> T:
        self._step("before the store")
        await checkpoint()
        result = call()
        self._step("after the store")
        await checkpoint()
        return result


class StoppableStore(InlineStore):
    """The same state as `other`, as a process has it open that may be stopped in its tracks, as by SIGSTOP.

    It is stopped at once, or just before it saves what it is about to apply. Whatever it asks for waits until it goes
    on. What it does apart from the state store is not stopped: it soon comes to nothing without it.
    """

    def __init__(self, other: InlineStore) -> None:
        super().__init__()
        self._connection = other._connection
        self.stopped = anyio.Event()
        self._going = anyio.Event()
        self._going.set()
        self._stops_at_intent = False

    def stop(self) -> None:
        """Nothing gets through from now on."""
        self._going = anyio.Event()
        self.stopped.set()

    def stop_at_intent(self) -> None:
        """Nothing gets through from the next intent on, that one included."""
        self._stops_at_intent = True

    def go_on(self) -> None:
        """Whatever has been waiting is done now, first come, first served."""
        self._stops_at_intent = False
        self._going.set()

    async def save_checkpoints(self, pipeline: str, checkpoints: Sequence[Checkpoint]) -> None:
        if self._stops_at_intent and any(c.intent for c in checkpoints):
            self.stop()
        await super().save_checkpoints(pipeline, checkpoints)

    async def _run(self, call: Callable[[], T]) -> T:
        await self._going.wait()
        return await super()._run(call)

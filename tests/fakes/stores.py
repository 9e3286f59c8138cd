"""The real SQLite store, in memory and without a thread, so that it runs in virtual time and outlives a crash."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from anyio.lowlevel import checkpoint

from replicator.state.sqlite import SqliteStore

T = TypeVar("T")


class InlineStore(SqliteStore):
    """Commits between two suspensions; `step` is told of both, so that a test may crash before or after."""

    def __init__(self, step: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(Path(":memory:"))
        self._step = step

    async def _run(self, call: Callable[[], T]) -> T:
        self._step("before the store")
        await checkpoint()
        result = call()
        self._step("after the store")
        await checkpoint()
        return result

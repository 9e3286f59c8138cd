"""What the programs share: they run until SIGTERM or SIGINT, and end after what is in hand."""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio

from sandbox.workload.consumers.reckoning import TICKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from pathlib import Path

    from sandbox.workload.consumers.journal import Journal

POLL_S = 0.25
"""How often it is looked whether a function is on, and whether there is something to do. A look costs a service call or
two of each function, all the time.
"""


async def until_told(works: Sequence[Callable[[anyio.Event], Coroutine[Any, Any, None]]]) -> None:
    """Runs all, and sets the event that each is given when they are to end."""
    stopping = anyio.Event()
    logging.basicConfig(level=logging.WARNING)  # or the change feed's client would set it up, and tell everything
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(work, stopping)
            sys.stdout.write("running\n")
            sys.stdout.flush()
            async for _ in signals:
                stopping.set()
                break


async def tick(journal: Journal, every_s: float, is_on: Callable[[], Awaitable[bool]], stopping: anyio.Event) -> None:
    """Notes each multiple of `every_s` once while it is on, by the same names wherever that is done."""
    last = int(time.time() / every_s)
    while not stopping.is_set():
        number = int(time.time() / every_s)
        if number > last and await is_on():
            journal.note(TICKS, f"tick-{number}")
        last = max(last, number)
        await anyio.sleep(POLL_S)


class Memory:
    """What lasts over a restart: JSON in a file that is never half written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def save(self) -> None:
        """As it is now."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_text(json.dumps(self.content))
        fresh.replace(self._path)

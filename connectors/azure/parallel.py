"""Many of the same at once."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio


async def in_parallel(run: Callable[[str], Coroutine[Any, Any, None]], keys: Sequence[str]) -> None:
    """Runs for every key; how many are under way is the delivery's business."""
    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(run, key)

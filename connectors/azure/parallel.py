"""Many of the same at once."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio

from replicator.model import Foreign


async def in_parallel(run: Callable[[str], Coroutine[Any, Any, None]], keys: Sequence[str]) -> None:
    """Runs for every key; how many are under way is the delivery's business."""
    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(run, key)


async def those_foreign(
    records: Sequence[Foreign], is_foreign: Callable[[str], Coroutine[Any, Any, bool]]
) -> list[Foreign]:
    """Those of these records whose handle is that of a foreign one, in their order."""
    found: set[str] = set()

    async def look(handle: str) -> None:
        if await is_foreign(handle):
            found.add(handle)

    await in_parallel(look, [record.handle for record in records])
    return [record for record in records if record.handle in found]

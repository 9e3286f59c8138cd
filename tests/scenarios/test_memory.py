"""Promise: memory is bounded whatever the table, and does not grow with it."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from sandbox.aws import AwsServer
from sandbox.processes import cosmos_program
from scenarios.migration import running
from scenarios.world import World, world

MOST_BYTES = 300_000_000

CUSTOMERS = 500


def item(number: int, version: int, note_bytes: int) -> dict[str, Any]:
    """Some 400 bytes without the note."""
    return {
        "customer": {"S": f"customer-{number % CUSTOMERS}"},
        "order_id": {"S": f"order-{number:08d}"},
        "version": {"N": str(version)},
        "total": {"N": f"{number % 1000}.25"},
        "paid": {"BOOL": number % 2 == 0},
        "lines": {"L": [{"M": {"sku": {"S": f"sku-{n}"}, "quantity": {"N": str(n)}}} for n in range(4)]},
        "note": {"S": "x" * note_bytes},
    }


async def fill(w: World, count: int, version: int, note_bytes: int, *, tasks: int = 8) -> None:
    """Puts items 0 to count, 25 at a time."""

    async def some(first: int) -> None:
        for start in range(first * 25, count, tasks * 25):
            puts = [
                {"PutRequest": {"Item": item(n, version, note_bytes)}} for n in range(start, min(start + 25, count))
            ]
            answer = await w.dynamodb.batch_write_item(RequestItems={w.table: puts})
            assert not answer["UnprocessedItems"]

    async with anyio.create_task_group() as group:
        for first in range(tasks):
            group.start_soon(some, first)


async def peaks(aws: AwsServer, folder: Path, items: int, changes: int, note_bytes: int) -> tuple[int, int, int]:
    """The most memory resident after copying a third of so many items, all of them, and after so many changes."""
    source = {"max_read_units": 1_000_000, "segments": 4}
    # The target is a process of its own here, or it would share our event loop.
    async with world(aws, folder, source=source) as w, cosmos_program(folder) as cosmos:
        w.config["pipelines"]["orders"]["target"]["endpoint"] = await cosmos.line("http://")
        w.config["limits"] = {}
        w.write_config()
        await fill(w, items, 1, note_bytes)
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["copied"] >= items / 3, 1200)
            begun_copying = daemon.program.peak_resident_bytes()
            status = await daemon.until(lambda s: s["phase"] == "following", 1200)
            assert status["copied"] == items
            copied = daemon.program.peak_resident_bytes()
            begun = time.time()
            await fill(w, changes, 2, note_bytes)
            await daemon.until(lambda s: s["lag_s"] is not None and time.time() - s["lag_s"] > begun + 1, 1200)
            return begun_copying, copied, daemon.program.peak_resident_bytes()


async def test_memory_does_not_grow_with_the_table(aws: AwsServer, tmp_path: Path) -> None:
    """Three times the items take little more than the same memory. A copy that kept them would take 48 MB more, with
    what is made of them several times that: few large ones show it sooner than many small ones. While following, pages
    of the target are looked through as well: to keep those would take 72 MB.
    """
    third, copied, followed = await peaks(aws, tmp_path, 1_800, 600, note_bytes=40_000)
    assert copied < third * 1.15, f"{third:,} bytes after a third, {copied:,} after all"
    assert followed < third * 1.4, f"{followed:,} bytes while following"


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_large_table_is_copied_and_followed_in_little_memory(aws: AwsServer, tmp_path: Path) -> None:
    """200,000 items of 1 KB, then 100,000 changes, under 300 MB resident."""
    _, copied, followed = await peaks(aws, tmp_path, 200_000, 100_000, note_bytes=600)
    assert copied < MOST_BYTES, f"{copied:,} bytes while copying"
    assert followed < MOST_BYTES, f"{followed:,} bytes while following"

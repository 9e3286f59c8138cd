"""Promise: however slow the copy and however many its segments, the stream does not wait for it."""

import anyio
import pytest

from fakes.records import key_of
from fakes.rig import Rig
from fakes.virtual import in_virtual_time

ROWS_S = 30.0


@pytest.mark.parametrize("segments", [2, 32])
def test_a_slow_copy_in_many_segments_does_not_hold_up_the_stream(segments: int) -> None:
    """A read budget makes each page of the scan take long; what is committed meanwhile is soon at the target."""

    @in_virtual_time
    async def run() -> None:
        rig = Rig(slow_rows_s=ROWS_S, segments=segments, most_batches=16)
        for number in range(2000):
            rig.table.put(f"row{number}", logged=False)
        async with rig.store, rig.running():
            await anyio.sleep(100)
            for _ in range(5):
                rig.table.put("x")
                await rig.until(lambda: rig.held().get(key_of("x")) == rig.table.expected()[key_of("x")], 5.0)

    run()

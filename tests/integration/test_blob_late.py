"""Promises "never backwards" and "what was deleted stays deleted": a request of a killed daemon that lands when the
next one has written the blob already is refused, by its own condition.

Where there was nothing before and is nothing again, no condition tells the two apart: the next daemon begins only when
requests of the killed one are over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from connectors.azure.blob.writing import ONE_REQUEST_BYTES
from fakes.blobs import Bench, bench, ready
from fakes.objects import gone, put
from replicator.model import Change, GuardedResult
from replicator.objects import StoredObject
from sandbox.faults import FaultProxy, HoldDelivery

if TYPE_CHECKING:
    from sandbox.azurite import Azurite

LARGE, OTHER = os.urandom(ONE_REQUEST_BYTES + 77), os.urandom(ONE_REQUEST_BYTES + 1)
Write = Callable[[str], Change[StoredObject]]


def writes(data: bytes, version: str, **label: Any) -> Write:
    return lambda key: put(key, data, version, **label)


NEWER: dict[str, Write] = {"small": writes(b"newer", "v9"), "large": writes(OTHER, "v9"), "gone": gone}
"""What the next daemon writes, by key."""


@pytest.mark.parametrize(
    ("before", "late", "method"),
    [
        pytest.param(None, writes(b"late", "v1"), "PUT", id="creates small"),
        pytest.param(None, writes(LARGE, "v1"), "PUT", id="creates large"),
        pytest.param(writes(b"0", "v0"), writes(b"late", "v1"), "PUT", id="small"),
        pytest.param(writes(b"0", "v0"), writes(LARGE, "v1"), "PUT", id="large"),
        pytest.param(writes(b"0", "v0"), writes(b"0", "v0", tags={"t": "1"}), "PUT", id="labels small"),
        pytest.param(writes(LARGE, "v0"), writes(LARGE, "v0", tags={"t": "1"}), "PUT", id="labels large"),
        pytest.param(writes(b"0", "v0"), gone, "DELETE", id="deletes"),
    ],
)
async def test_a_request_of_a_killed_daemon_that_lands_late_is_refused(
    azurite: Azurite, before: Write | None, late: Write, method: str
) -> None:
    newer = {key: write for key, write in NEWER.items() if before is not None or write is not gone}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy, ready(azurite) as next_one:
        there = {"container": next_one.config.container, "marker_container": next_one.config.marker_container}
        if before is not None:
            await next_one.replace(*(before(key) for key in newer))
        async with bench(azurite, to=f"{proxy.endpoint}/{azurite.account_name}", **there) as killed:
            await killed.target.connect(())
            for key in newer:
                await held_at(killed, proxy, method, late(key))
        assert await next_one.replace(*(write(key) for key, write in newer.items())) == GuardedResult()
        expected = await state(next_one)
        proxy.release()
        await proxy.settled()
        assert {delivered.status for delivered in proxy.late.delivered} <= {404, 409, 412}
        assert len(proxy.late.delivered) >= len(newer)
        assert await state(next_one) == expected
        assert "gone" not in expected


async def held_at(killed: Bench, proxy: FaultProxy, method: str, change: Change[StoredObject]) -> None:
    """The writer dies when its request is under way; blocks, which nobody sees, have passed."""
    path = rf"/{change.key}$|/{change.key}\?.*comp=blocklist"
    with proxy.inject(HoldDelivery(), method=method, path=path) as held:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(killed.replace, change)
            await held.wait_for_hits()
            tasks.cancel_scope.cancel()


async def state(bench: Bench) -> dict[str, tuple[str, bytes]]:
    """ETag and bytes of every blob."""
    return {blob.name: (blob.etag, await bench.content(blob.name)) async for blob in bench.container.list_blobs()}

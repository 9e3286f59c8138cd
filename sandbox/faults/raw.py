"""Opaque TCP through the proxy: bytes both ways, one half at a time, no idea what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from sandbox.faults.connection import connect

if TYPE_CHECKING:
    from sandbox.faults.connection import Connection
    from sandbox.faults.link import Link


async def serve_raw(client: Connection, link: Link) -> None:
    """Relay until both halves are closed; a reset of one side resets the other."""
    try:
        target = await connect(link.target_host, link.target_port)
    except OSError:
        client.reset()
        return
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, client, target, link)
            tasks.start_soon(_pump, target, client, link)
    except BaseException:
        client.reset()
        target.reset()
        raise
    client.close()
    target.close()


async def _pump(source: Connection, sink: Connection, link: Link) -> None:
    try:
        while part := await source.read_part():
            if link.raw_delay_s:
                await anyio.sleep(link.raw_delay_s)
            await link.flowing()
            link.counters.raw_bytes += len(part)
            await sink.send(part)
    except ConnectionError:
        sink.reset()
    if source.lost:
        sink.reset()
    else:
        sink.send_end()

"""What every connection through one proxy shares: the target, the counters, and the switch that stops the flow."""

from __future__ import annotations

import asyncio

from sandbox.faults.counters import Counters


class Link:
    """The path to one target.

    `raw_delay_s` is added to every part of the data in raw mode. While paused nothing moves in either direction;
    what has arrived is delivered when it resumes, even if its sender has left.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target_host = target_host
        self.target_port = target_port
        self.raw_delay_s = 0.0
        self.counters = Counters()
        self._flow = asyncio.Event()
        self._flow.set()

    @property
    def paused(self) -> bool:
        return not self._flow.is_set()

    def pause(self) -> None:
        self._flow.clear()

    def resume(self) -> None:
        self._flow.set()

    async def flowing(self) -> None:
        """Return at once unless the link is paused, else when it resumes."""
        if not self._flow.is_set():
            await self._flow.wait()

"""Requests that reach the target after their client was told that the connection broke."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from sandbox.faults.connection import connect
from sandbox.faults.wire import body_parts, read_response

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from sandbox.faults.link import Link
    from sandbox.faults.wire import Message

KEPT = 1_000


@dataclass(slots=True)
class LateDelivery:
    """One held request. `due_s` is on the monotonic clock; None means: when released.

    Once it was delivered `status` is the target's answer, or `error` says why there was none.
    """

    id: int
    method: str
    target: str
    due_s: float | None
    status: int | None = None
    error: str | None = None


class LateDeliveries:
    """Holds requests and delivers them later, each over a connection of its own."""

    def __init__(self, link: Link, tasks: TaskGroup) -> None:
        self.pending: list[LateDelivery] = []
        self.delivered: deque[LateDelivery] = deque(maxlen=KEPT)  # the most recent ones
        self._link = link
        self._tasks = tasks
        self._ids = itertools.count(1)
        self._released = asyncio.Event()
        self._none_pending = asyncio.Event()
        self._none_pending.set()

    def hold(self, request: Message, seconds: float | None) -> None:
        """Take a request whose body is buffered; deliver it in `seconds`, or when released."""
        due_s = None if seconds is None else time.monotonic() + seconds
        late = LateDelivery(next(self._ids), request.method, request.target, due_s)
        self.pending.append(late)
        self._none_pending.clear()
        self._tasks.start_soon(self._deliver, late, request, self._released)

    def release(self) -> None:
        """Deliver now everything that is held."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    async def settled(self) -> None:
        """Return once nothing is pending."""
        await self._none_pending.wait()

    async def _deliver(self, late: LateDelivery, request: Message, released: asyncio.Event) -> None:
        wait_s = None if late.due_s is None else late.due_s - time.monotonic()
        with anyio.move_on_after(wait_s):
            await released.wait()
        try:
            late.status = await self._exchange(request)
        except OSError as error:
            late.error = repr(error)
        self.pending.remove(late)
        self.delivered.append(late)
        if not self.pending:
            self._none_pending.set()

    async def _exchange(self, request: Message) -> int:
        await self._link.flowing()
        target = await connect(self._link.target_host, self._link.target_port)
        try:
            self._link.counters.forwarded += 1
            await target.send(request.head + (request.body or b""))
            response = await read_response(target, request.method)
            async for _ in body_parts(target, response):
                pass
            return response.status
        finally:
            target.reset()

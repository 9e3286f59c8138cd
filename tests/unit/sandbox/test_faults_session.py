"""How a session ends, seen from inside: what a real client could only see as silence."""

from __future__ import annotations

import asyncio
import random

import anyio

from sandbox.faults.connection import Connection
from sandbox.faults.late import LateDeliveries
from sandbox.faults.link import Link
from sandbox.faults.rules import RuleBook, RuleSpec, Stall
from sandbox.faults.session import Session


class FakeTransport(asyncio.Transport):
    """Remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_a_stalled_session_ends_when_its_client_leaves() -> None:
    link, book, transport = Link("127.0.0.1", 1), RuleBook(random.Random(0)), FakeTransport()
    rule = book.add(RuleSpec(action=Stall()))
    client = Connection()
    client.connection_made(transport)
    client.data_received(b"GET / HTTP/1.1\r\n\r\n")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Session(client, link, book, LateDeliveries(link, tasks), None).serve)
            await rule.wait_for_hits()
            await anyio.wait_all_tasks_blocked()
            assert not transport.closed
            client.eof_received()
    assert transport.closed
    assert link.counters.forwarded == 0

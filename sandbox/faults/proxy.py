"""The fault proxy: stands between any client and one local cloud and breaks what passes, as told."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal, Self

import anyio
import anyio.lowlevel

from sandbox.faults.connection import Connection
from sandbox.faults.late import LateDeliveries
from sandbox.faults.link import Link
from sandbox.faults.raw import serve_raw
from sandbox.faults.rewrite import Rewriter
from sandbox.faults.rules import Rule, RuleBook, RuleSpec
from sandbox.faults.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox.faults.counters import Counters
    from sandbox.faults.rules import Action

LOOPBACK = "127.0.0.1"
BACKLOG = 1_024


class FaultProxy:
    """Listens on loopback while it is entered, and relays to `target_host:target_port`.

    `port` 0 takes a free one. `protocol` "tcp" relays opaque bytes: rules do not apply, the switches do.
    `rewrite_authority` makes the target's own address in answers the proxy's. `seed` decides about rules with a
    probability. Enter and leave it in the same task.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        port: int = 0,
        protocol: Literal["http", "tcp"] = "http",
        rewrite_authority: bool = False,
        seed: int = 0,
    ) -> None:
        self.port = port
        self.link = Link(target_host, target_port)
        self.book = RuleBook(random.Random(seed))
        self.refusing = False
        self._raw = protocol == "tcp"
        self._rewrite = rewrite_authority
        self._rewriter: Rewriter | None = None
        self._clients: set[Connection] = set()
        self._tasks = anyio.create_task_group()
        self._open = AsyncExitStack()
        self.late = LateDeliveries(self.link, self._tasks)

    @property
    def endpoint(self) -> str:
        """What to give to a client instead of the target's own URL, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def counters(self) -> Counters:
        return self.link.counters

    def inject(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        skip: int = 0,
        count: int | None = None,
        probability: float = 1.0,
    ) -> Rule:
        """Put a rule in force; the parameters are those of RuleSpec. The oldest rule that strikes decides."""
        matched = {"method": method, "path": path, "headers": headers or {}, "body": body}
        limits = {"skip": skip, "count": count, "probability": probability}
        return self.book.add(RuleSpec.model_validate({"action": action, **matched, **limits}))

    def lift_all(self) -> None:
        """End every rule; what they stall is forwarded."""
        for rule in list(self.book.rules.values()):
            rule.lift()

    def refuse(self) -> None:
        """The target is down: open connections are reset, and new ones at once, until accept()."""
        self.refusing = True
        self.cut()

    def accept(self) -> None:
        """Undo refuse()."""
        self.refusing = False

    def cut(self) -> None:
        """Reset every open connection, once. Requests already with the target take effect or not, as it likes."""
        for client in list(self._clients):
            client.reset()

    def pause(self) -> None:
        """Nothing moves in either direction, until resume(); nothing is lost."""
        self.link.pause()

    def resume(self) -> None:
        """Undo pause()."""
        self.link.resume()

    def release(self) -> None:
        """Deliver now every request that is held for late delivery."""
        self.late.release()

    async def settled(self) -> None:
        """Return once no late delivery is pending."""
        await self.late.settled()

    async def __aenter__(self) -> Self:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._accepted), LOOPBACK, self.port, backlog=BACKLOG, start_serving=False
        )
        self._open.callback(server.close)
        self.port = server.sockets[0].getsockname()[1]
        if self._rewrite:
            self._rewriter = Rewriter(self.link.target_host, self.link.target_port, LOOPBACK, self.port)
        await self._open.enter_async_context(self._tasks)
        await server.start_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._tasks.cancel_scope.cancel()
        await self._open.aclose()  # without the caller's exception, which a task group would wrap
        await anyio.lowlevel.cancel_shielded_checkpoint()  # aborted transports close in the loop's next turn

    def _accepted(self, client: Connection) -> None:
        self.counters.connections += 1
        if self.refusing:
            self.counters.refused += 1
            client.reset()
        else:
            self._clients.add(client)
            self._tasks.start_soon(self._serve, client)

    async def _serve(self, client: Connection) -> None:
        try:
            if self._raw:
                await serve_raw(client, self.link)
            else:
                await Session(client, self.link, self.book, self.late, self._rewriter).serve()
        finally:
            self._clients.discard(client)

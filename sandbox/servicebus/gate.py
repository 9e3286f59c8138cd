"""Every operation passes here: faults strike it, and its outcome is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from sandbox.servicebus.broker.errors import FORCED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.faults import Fault, Faults

T = TypeVar("T")


class Client(Protocol):
    """Whoever asked: a link, or a connection that has none yet."""

    @property
    def queue_name(self) -> str:
        """The queue it concerns, for faults to match."""

    def cut(self) -> None:
        """Reset its connection."""

    def detach(self, error: RefusedError) -> None:
        """End the link with an error."""


class Gate:
    """`counts` holds how often each operation ended how: `done`, a condition, `cut` or `stalled`."""

    def __init__(self, faults: Faults) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._faults = faults
        self._delayed: set[asyncio.TimerHandle] = set()

    def run(
        self, operation: str, client: Client, act: Callable[[], T], reply: Callable[[T | RefusedError], None]
    ) -> None:
        """Act, and reply with what came of it; unless a fault says otherwise.

        `act` may raise RefusedError, which is then the reply.
        """
        fault = self._faults.strike(operation, client.queue_name)
        if fault is None:
            self._reply(operation, _result(act), reply)
        elif fault.when == "after":
            result = _result(act)
            self._later(fault.delay_s, lambda: self._suffer(fault, operation, client, lambda: result, reply))
        else:
            self._later(fault.delay_s, lambda: self._suffer(fault, operation, client, lambda: _result(act), reply))

    def close(self) -> None:
        """Forget what is delayed."""
        for handle in self._delayed:
            handle.cancel()
        self._delayed.clear()

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        if not delay_s:
            call()
            return

        def due() -> None:
            self._delayed.discard(handle)
            call()

        handle = asyncio.get_running_loop().call_later(delay_s, due)
        self._delayed.add(handle)

    def _suffer(
        self,
        fault: Fault,
        operation: str,
        client: Client,
        result: Callable[[], T | RefusedError],
        reply: Callable[[T | RefusedError], None],
    ) -> None:
        if fault.cut:
            self.counts[operation, "cut"] += 1
            client.cut()
        elif fault.stall:
            self.counts[operation, "stalled"] += 1
        elif fault.condition is not None or fault.detach:
            refused = RefusedError(fault.condition or FORCED, "Injected by the sandbox.")
            self.counts[operation, refused.condition] += 1
            if fault.detach:
                client.detach(refused)
            else:
                reply(refused)
        else:
            self._reply(operation, result(), reply)

    def _reply(self, operation: str, result: T | RefusedError, reply: Callable[[T | RefusedError], None]) -> None:
        self.counts[operation, result.condition if isinstance(result, RefusedError) else "done"] += 1
        reply(result)


def _result(act: Callable[[], T]) -> T | RefusedError:
    try:
        return act()
    except RefusedError as refused:
        return refused

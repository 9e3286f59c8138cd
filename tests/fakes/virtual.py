"""Time that passes only when everybody waits: hours of a schedule run in milliseconds, always in the same order."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVarTuple
from unittest.mock import patch

from replicator import clocks

P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

TICK_S = 1e-6
"""The shortest wait: less would be lost in rounding, and a loop that waits for time to pass would never end."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of sleeping. A test in which nothing can ever happen again fails at once."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        super().__init__(_Impatient(self))

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(max(when, self.now + TICK_S), callback, *args, context=context)


class _Impatient(selectors.BaseSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits for another one")
        if not ready and timeout:
            self._loop.now += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs an async test on a virtual loop, with `replicator.clocks.elapsed_s` telling the loop's time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = VirtualLoop()
        with (
            patch.object(clocks, "time", SimpleNamespace(clock_gettime=lambda _: loop.now)),
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            runner.run(test(*args, **kwargs))

    return run

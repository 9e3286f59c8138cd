"""Calls that are repeated until their outcome is certain."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sandbox.workload.calls import REFUSED_CODES, Backoff, CallFailure, error_code, is_retryable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Doubts(Protocol):
    """Counts calls that failed without saying whether they took effect."""

    ambiguous: int


@dataclass(frozen=True, slots=True)
class Sent(Generic[T]):
    """The answer to a change that took effect; `at_once` where no attempt before could have done so, too."""

    answer: T
    at_once: bool


class Persistence:
    """Repeats the calls of one writer, each for at most `retry_for_s`; WorkloadError is raised after that."""

    def __init__(self, retry_for_s: float) -> None:
        self._retry_for_s = retry_for_s
        self._jitter = random.Random(0)  # of its own: errors must not change what is written

    async def answered(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """The answer to a call that may be repeated freely."""
        backoff = Backoff(self._jitter, self._retry_for_s)
        while True:
            try:
                return await call()
            except CallFailure as error:
                if not is_retryable(error):
                    raise
                await backoff.pause(operation, error)

    async def certain(
        self,
        operation: str,
        send: Callable[[], Awaitable[T]],
        settled: Callable[[], Awaitable[bool]],
        doubts: Doubts,
    ) -> Sent[T] | None:
        """Sends a conditional change until it has surely taken effect, or was overtaken.

        `settled` looks at what is there after a failure, and returns whether that is the end of it; then None is
        returned.
        """
        backoff = Backoff(self._jitter, self._retry_for_s)
        at_once = True
        while True:
            try:
                return Sent(await send(), at_once)
            except CallFailure as error:
                if not is_retryable(error) and error_code(error) not in REFUSED_CODES:
                    raise
                doubts.ambiguous += 1
                at_once = False
                if await settled():
                    return None
                await backoff.pause(operation, error)

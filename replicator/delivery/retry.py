"""The one place where calls are repeated."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from replicator.errors import TransientError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter, see https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter.

    `first_s` and `most_s` bound the pause before the second and any later attempt, in seconds.
    """

    first_s: float = 0.05
    most_s: float = 5.0

    def pause_s(self, attempt: int, error: TransientError) -> float:
        """How long to wait after the given attempt (counted from 1): at least what the service asked for."""
        ceiling = min(self.most_s, self.first_s * 2 ** min(attempt - 1, 30))
        jitter = random.uniform(0, ceiling)  # noqa: S311 — spreads load, guards nothing
        return (error.retry_after_s or 0.0) + jitter


DEFAULT_BACKOFF = Backoff()


async def retrying(
    call: Callable[[], Awaitable[T]],
    failed: Callable[[TransientError], None],
    backoff: Backoff = DEFAULT_BACKOFF,
) -> T:
    """Repeats `call` on TransientError, for ever; tells `failed` of each failure before pausing.

    Anything else that is raised passes through at once.
    """
    attempt = 0
    while True:
        try:
            return await call()
        except TransientError as error:
            attempt += 1
            failed(error)
            await anyio.sleep(backoff.pause_s(attempt, error))

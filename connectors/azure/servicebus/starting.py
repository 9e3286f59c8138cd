"""Calls at the start: a few attempts, so that what cannot work is reported instead of waited for."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from connectors.azure.errors import UntrustedError, configuration_error
from connectors.azure.servicebus.errors import QueueMissingError
from replicator.errors import AccessError, TransientError, UnreachableError

T = TypeVar("T")

LIMIT_S: Final = 10.0
"""For all attempts together: a link takes half a second to open, several where the network is slow."""

ATTEMPTS: Final = 3

PAUSE_S: Final = 0.2

HOPELESS: Final = (AccessError, UntrustedError, QueueMissingError)


async def probed(where: str, call: Callable[[], Awaitable[T]]) -> T:
    """Raises ConfigurationError, its cause the last failure, when the service cannot be used; what `call` raises
    beside TransientErrors.
    """
    failure: TransientError = UnreachableError(f"no answer within {LIMIT_S:g} s")
    with anyio.move_on_after(LIMIT_S):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await call()
            except HOPELESS as error:
                raise configuration_error(where, error) from error
            except TransientError as error:
                failure = error
            if attempt < ATTEMPTS:
                await anyio.sleep(failure.retry_after_s or PAUSE_S * attempt)
    raise configuration_error(where, failure) from failure

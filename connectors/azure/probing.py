"""The first requests to a service: a few attempts, not endless ones, so that an operator is told what is wrong."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from connectors.azure.errors import AzureRefusal, OwnerMissingError, UntrustedError, configuration_error
from replicator.errors import AccessError, TransientError, UnreachableError

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""At the start a service that does not answer within this is reported instead of waited for."""

TOKEN_TIMEOUT_S = 30.0
"""DefaultAzureCredential asks one place after the other before the first token is there."""

PROBE_ATTEMPTS = 3

PROBE_PAUSE_S = 0.2


async def probed(where: str, attempt: Callable[[], Awaitable[T]], timeout_s: float | None = None) -> T:
    """A few attempts, all within `timeout_s`, none begun after CONNECT_TIMEOUT_S, its default.

    `attempt` raises the engine's errors. Raises ConfigurationError when the service cannot be used, AzureRefusal, which
    an owner that is missing is too.
    """
    limit_s = CONNECT_TIMEOUT_S if timeout_s is None else timeout_s
    last_begin = anyio.current_time() + CONNECT_TIMEOUT_S
    failure: TransientError = UnreachableError(f"no answer within {limit_s:g} s")
    with anyio.move_on_after(limit_s):
        for number in range(1, PROBE_ATTEMPTS + 1):
            try:
                return await attempt()
            except OwnerMissingError as error:
                raise AzureRefusal(404, error.sub_status, str(error)) from error
            except (AccessError, UntrustedError) as error:
                raise configuration_error(where, error) from error
            except TransientError as error:
                failure = error
            pause_s = failure.retry_after_s or PROBE_PAUSE_S * number
            if number == PROBE_ATTEMPTS or anyio.current_time() + pause_s > last_begin:
                break
            await anyio.sleep(pause_s)
    raise configuration_error(where, failure) from failure

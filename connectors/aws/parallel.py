"""The same call for many things at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from connectors.aws.errors import AwsRefusal
from replicator.errors import ReplicatorError

K = TypeVar("K")
T = TypeVar("T")


async def in_parallel(
    call: Callable[[K], Awaitable[T]], things: Sequence[K], limiter: anyio.CapacityLimiter
) -> dict[K, T]:
    """What the call answers for each, in their order. The first error of ours ends the others and is raised as it is,
    not in a group, since callers react to its class.
    """
    answers: dict[K, T] = {}
    errors: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def one(thing: K) -> None:
            async with limiter:
                try:
                    answers[thing] = await call(thing)
                except (ReplicatorError, AwsRefusal) as error:
                    errors.append(error)
                    tasks.cancel_scope.cancel()

        for thing in dict.fromkeys(things):
            tasks.start_soon(one, thing)
    if errors:
        raise errors[0]
    return {thing: answers[thing] for thing in dict.fromkeys(things)}

"""Requests to one account: through the delivery, errors translated."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from connectors.azure.errors import AzureRefusal, OwnerMissingError, translate
from connectors.azure.probing import probed
from replicator.delivery import Delivery
from replicator.errors import ForeignOwnerError, TransientError
from replicator.telemetry import PipelineTelemetry

T = TypeVar("T")

Send = Callable[[], Awaitable[T]]

OWNER_GONE = frozenset({"ContainerNotFound", "ContainerBeingDeleted"})
"""The container is not there, or not yet again."""

DAMAGED = "Md5Mismatch"
"""What has arrived is not what was sent."""

CONFLICTS = frozenset({"ConditionNotMet", "BlobAlreadyExists", "BlobNotFound", "InvalidBlockList", "BlobOverwritten"})
"""Answers to a conditional write that mean: the blob is no longer as it was observed.

Another writer's commit discards our staged blocks, whose list is invalid then. Other refusals with the same status are
about a lease, an archived blob, or a policy, and would come again and again.
"""


def container_replaced(where: str, name: str) -> ForeignOwnerError:
    """Whoever has deleted the container has deleted what was replicated, whether or not it was made again since."""
    return ForeignOwnerError(
        f"{where}: container {name} was deleted, or deleted and made again, while this daemon ran. Nothing is written "
        "to another one of that name. Find out why, then start once with --adopt"
    )


class Calls:
    """The requests of one target."""

    def __init__(self, delivery: Delivery, telemetry: PipelineTelemetry) -> None:
        self.telemetry = telemetry
        self._delivery = delivery

    async def write(self, keys: Sequence[str], send: Send[T]) -> T:
        """An unconditional write, until its outcome is known. Raises AzureRefusal."""
        return await self._delivery.write(keys, lambda: sent(send))

    async def write_once(self, keys: Sequence[str], send: Send[T]) -> T:
        """A conditional write. Raises AmbiguousError when its outcome stays unknown, AzureRefusal."""
        return await self._delivery.write_once(keys, lambda: sent(send))

    async def stage(self, send: Send[T], timeout_s: float) -> T:
        """A request that nobody sees the effect of, until it succeeds. Raises AzureRefusal."""
        return await self._delivery.stage(lambda: sent(send), timeout_s)

    async def read(self, send: Send[T]) -> T:
        """A request without effect, until it is answered. Raises AzureRefusal."""
        return await self._delivery.read(lambda: sent(send))

    async def find(self, send: Send[T]) -> T | None:
        """As `read`, None where it is not there, or nothing that could hold it. Raises AzureRefusal."""

        async def attempt() -> T | None:
            try:
                return await sent(send)
            except OwnerMissingError:
                return None
            except AzureRefusal as refusal:
                if refusal.status != 404:
                    raise
                return None

        return await self._delivery.read(attempt)

    async def probe(self, where: str, send: Send[T], timeout_s: float | None = None) -> T:
        """For the start, see `connectors.azure.probing`. Raises ConfigurationError, AzureRefusal."""
        return await probed(where, lambda: sent(send), timeout_s)


async def sent(send: Send[T]) -> T:
    """One request, its errors in the engine's words."""
    try:
        return await send()
    except Exception as error:
        translated = translate(error)
        if translated is error:
            raise
        if isinstance(translated, AzureRefusal):
            raise _reaction(translated) from error
        raise translated from error


def _reaction(refusal: AzureRefusal) -> Exception:
    if refusal.code in OWNER_GONE:
        return OwnerMissingError("the container is missing")
    if refusal.code == DAMAGED:
        return TransientError("the bytes were damaged on the way")
    return refusal

"""Requests to one container: through the delivery, errors translated, charges booked, timed by the service's clock."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from azure.core.exceptions import HttpResponseError

from connectors.azure.errors import AzureRefusal, OwnerMissingError, answer_headers, is_batch_failure, translate
from connectors.azure.probing import probed
from replicator.clocks import ServiceClock, elapsed_s
from replicator.delivery import Delivery
from replicator.errors import ForeignOwnerError
from replicator.telemetry import PipelineTelemetry

T = TypeVar("T")

CHARGE_HEADER = "x-ms-request-charge"

OWNER_MISSING = 1003
"""Sub status of a 404 that speaks of the container, not of the document."""

OWNER_GONE = frozenset({(404, OWNER_MISSING), (404, 1013), (404, 1024), (400, 1024)})
"""The container is not there, not yet, or another one of the same name."""

Hook = Callable[..., None]
"""What the SDK calls with the headers of each answer, and sometimes more; the client's own copy is shared by tasks."""

Send = Callable[[Hook], Awaitable[T]]


def container_replaced(where: str, name: str) -> ForeignOwnerError:
    """Whoever has deleted the container has deleted what was replicated, whether or not it was made again since."""
    return ForeignOwnerError(
        f"{where}: container {name} was deleted, or deleted and made again, while this daemon ran. Nothing is written "
        "to another one of that name. Find out why, then start once with --adopt"
    )


class BatchRefusal(Exception):  # noqa: N818 — not a fault but an answer
    """A transactional batch had no effect because one of its operations was refused."""


class Calls:
    """The requests of one target. The clock learns from every answer."""

    def __init__(self, delivery: Delivery, telemetry: PipelineTelemetry) -> None:
        self.clock = ServiceClock()
        self._delivery = delivery
        self._telemetry = telemetry

    def now(self) -> datetime:
        """The time at the service, which hides and deletes what has expired; at most a second behind it."""
        return self.clock.earliest()

    async def write(self, keys: Sequence[str], send: Send[T]) -> T:
        """An unconditional write, until its outcome is known. Raises AzureRefusal, BatchRefusal."""
        return await self._delivery.write(keys, lambda: self._sent(send))

    async def write_once(self, keys: Sequence[str], send: Send[T]) -> T:
        """A conditional write. Raises AmbiguousError when its outcome stays unknown, AzureRefusal."""
        return await self._delivery.write_once(keys, lambda: self._sent(send))

    async def read(self, send: Send[T]) -> T:
        """A request without effect, until it is answered. Raises AzureRefusal."""
        return await self._delivery.read(lambda: self._sent(send))

    async def find(self, send: Send[T]) -> T | None:
        """As `read`, None where it is not there, or nothing that could hold it. Raises AzureRefusal."""

        async def attempt() -> T | None:
            try:
                return await self._sent(send)
            except OwnerMissingError:
                return None
            except AzureRefusal as refusal:
                if refusal.status != 404:
                    raise
                return None

        return await self._delivery.read(attempt)

    async def probe(self, where: str, send: Send[T], timeout_s: float | None = None) -> T:
        """For the start: a few attempts, all within `timeout_s`, none begun after CONNECT_TIMEOUT_S, its default.

        Raises ConfigurationError when the service cannot be used, AzureRefusal.
        """
        return await probed(where, lambda: self._sent(send), timeout_s)

    async def _sent(self, send: Send[T]) -> T:
        sent = elapsed_s()

        def answered(headers: Mapping[str, Any], *_: object) -> None:
            self._answered(headers, sent)

        try:
            return await send(answered)
        except HttpResponseError as error:
            answered(answer_headers(error))
            raise self._translated(error) from error
        except Exception as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    def _translated(self, error: HttpResponseError) -> Exception:
        translated = translate(error)
        if isinstance(translated, AzureRefusal):
            if (translated.status, translated.sub_status) in OWNER_GONE:
                return OwnerMissingError("the database or container is missing", OWNER_MISSING)
            if is_batch_failure(error):
                return BatchRefusal(str(translated))
        return translated

    def _answered(self, headers: Mapping[str, Any], sent: float) -> None:
        charge = headers.get(CHARGE_HEADER)
        if not charge:  # not an answer of the service, so neither are its charge and its time
            return
        self._delivery.charge(float(charge))
        self._telemetry.request_charged(float(charge))
        with suppress(KeyError, TypeError, ValueError):  # without a date, or with another one, an answer tells no time
            self.clock.observe(parsedate_to_datetime(headers["date"]), sent, elapsed_s())

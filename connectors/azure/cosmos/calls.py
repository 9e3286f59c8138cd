"""Requests to one container: through the delivery, errors translated, charges booked, timed by the service's clock."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import anyio
from azure.core.exceptions import HttpResponseError

from connectors.azure.errors import (
    AzureRefusal,
    UntrustedError,
    answer_headers,
    configuration_error,
    is_batch_failure,
    translate,
)
from replicator.clocks import ServiceClock, elapsed_s
from replicator.delivery import Delivery
from replicator.errors import AccessError, ForeignOwnerError, TransientError, UnreachableError
from replicator.telemetry import PipelineTelemetry

T = TypeVar("T")

CHARGE_HEADER = "x-ms-request-charge"

CONNECT_TIMEOUT_S = 5.0
"""At the start a service that does not answer within this is reported instead of waited for."""

PROBE_ATTEMPTS = 3

PROBE_PAUSE_S = 0.2

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


class OwnerMissingError(TransientError):
    """Somebody has deleted the container; it may be made again while we wait."""


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
        limit_s = CONNECT_TIMEOUT_S if timeout_s is None else timeout_s
        last_begin = anyio.current_time() + CONNECT_TIMEOUT_S
        failure: TransientError = UnreachableError(f"no answer within {limit_s:g} s")
        with anyio.move_on_after(limit_s):
            for attempt in range(1, PROBE_ATTEMPTS + 1):
                try:
                    return await self._sent(send)
                except OwnerMissingError as error:
                    raise AzureRefusal(404, OWNER_MISSING, str(error)) from error
                except (AccessError, UntrustedError) as error:
                    raise configuration_error(where, error) from error
                except TransientError as error:
                    failure = error
                pause_s = failure.retry_after_s or PROBE_PAUSE_S * attempt
                if attempt == PROBE_ATTEMPTS or anyio.current_time() + pause_s > last_begin:
                    break
                await anyio.sleep(pause_s)
        raise configuration_error(where, failure) from failure

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
                return OwnerMissingError("the database or container is missing")
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

"""Calls to AWS: repeated while they fail, paid from a budget, timed by the service's own clock."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import anyio

from connectors.aws.budget import YieldingBudget
from connectors.aws.errors import configuration_error, translate
from replicator.clocks import ServiceClock, elapsed_s
from replicator.delivery import retrying
from replicator.errors import ConfigurationError, ThrottledError, TransientError
from replicator.telemetry import PipelineTelemetry

CALL_TIMEOUT_S = 30.0

PROBE_ATTEMPTS = 3
"""At the start a service that does not answer after so many tries is reported instead of waited for."""

MAY_SAY_NOTHING = frozenset(
    {"receive_message", "get_bucket_notification_configuration", "get_bucket_versioning", "head_bucket"}
)
"""Operations that the service answers without content too; its answers carry a request id."""

PRICED = {"ReturnConsumedCapacity": "TOTAL"}
"""Asks for the price of a call in its answer."""

Response = Mapping[str, Any]
"""An answer as botocore parses it; its shape is the service's, not ours."""

Translate = Callable[[str, Exception], Exception]
"""The engine's error for what an operation has raised."""


class Operation(Protocol):
    """A method of one of botocore's clients, which bears the name of what it calls."""

    @property
    def __name__(self) -> str: ...

    def __call__(self, *_: Any, **parameters: Any) -> Awaitable[Response]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried whose caller waits for it, with pauses that double, and how long each may take."""

    attempts: int
    first_pause_s: float
    timeout_s: float


async def answer_of(
    operation: Operation, parameters: Mapping[str, object], timeout_s: float, translated: Translate = translate
) -> Response:
    """Of one call. Raises the engine's error for whatever it raises, within this time."""
    try:
        with anyio.fail_after(timeout_s):
            return await operation(**parameters)
    except Exception as error:
        told = translated(operation.__name__, error)
        if told is error:
            raise
        raise told from error


async def soon(
    where: str,
    operation: Operation,
    parameters: Mapping[str, object],
    patience: Patience,
    final: tuple[type[TransientError], ...] = (),
) -> Response:
    """Tried a few times. Raises AwsRefusal, and what is `final` at once; ConfigurationError when nobody answers."""
    pause_s = patience.first_pause_s
    for attempt in range(1, patience.attempts + 1):
        try:
            return await answer_of(operation, parameters, patience.timeout_s)
        except final:
            raise
        except TransientError as error:
            if attempt == patience.attempts:
                raise configuration_error(where, error) from error
        await anyio.sleep(pause_s)
        pause_s *= 2
    raise AssertionError("unreachable")


class Caller:
    """Makes the calls of one source. The clock learns from every answer."""

    def __init__(
        self, where: str, telemetry: PipelineTelemetry, budget: YieldingBudget, translated: Translate = translate
    ) -> None:
        self.clock = ServiceClock()
        self.budget = budget
        self._where = where
        self._telemetry = telemetry
        self._translated = translated

    async def call(self, operation: Operation, **parameters: object) -> Response:
        """Repeats until the service gives a definite answer. Raises AwsRefusal when that is a refusal."""
        return await self._repeated(operation, parameters, self._telemetry.source_failed)

    async def probe(self, operation: Operation, **parameters: object) -> Response:
        """For the start: a few attempts. Raises ConfigurationError when the service cannot be used, AwsRefusal."""
        for attempt in range(1, PROBE_ATTEMPTS + 1):
            try:
                return await self.once(operation, parameters)
            except (TransientError, ConfigurationError) as error:
                if attempt == PROBE_ATTEMPTS:
                    raise configuration_error(self._where, error) from error
                await anyio.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    async def paid(self, operation: Operation, **parameters: object) -> Response:
        """As `call`, within the read budget, and charged to it."""
        parameters |= PRICED
        return await self._charged(lambda: self._repeated(operation, parameters, self.paid_failed))

    async def paid_probe(self, operation: Operation, **parameters: object) -> Response:
        """As `probe`, within the read budget, and charged to it."""
        parameters |= PRICED
        return await self._charged(lambda: self.probe(operation, **parameters))

    async def counted(self, operation: Operation, **parameters: object) -> Response:
        """As `call`, within a budget of requests, of which this is one."""
        await self._pay_a_request()
        answer = await self._repeated(operation, parameters, self.paid_failed)
        self._telemetry.source_answered(1.0)
        return answer

    async def counted_once(self, operation: Operation, **parameters: object) -> Response:
        """As `counted`, but not repeated: raises TransientError as well, of which the budget has been told."""
        await self._pay_a_request()
        try:
            answer = await self.once(operation, parameters)
        except TransientError as error:
            self.paid_failed(error)
            raise
        self._telemetry.source_answered(1.0)
        return answer

    async def _pay_a_request(self) -> None:
        """Beforehand, since its price is known."""
        async with self.budget.held():
            self.budget.charge(1.0)

    async def _charged(self, answered: Callable[[], Awaitable[Response]]) -> Response:
        async with self.budget.held():
            answer = await answered()
            units = consumed(answer)
            self.budget.charge(units)
        self._telemetry.source_answered(units)
        return answer

    async def _repeated(
        self, operation: Operation, parameters: Mapping[str, object], failed: Callable[[TransientError], None]
    ) -> Response:
        async def attempt() -> Response:
            return await self.once(operation, parameters)

        return await retrying(attempt, failed)

    async def once(
        self, operation: Operation, parameters: Mapping[str, object], timeout_s: float = CALL_TIMEOUT_S
    ) -> Response:
        """A single attempt, for whoever repeats it in another way. Raises TransientError, AwsRefusal."""
        sent = elapsed_s()
        answer = await answer_of(operation, parameters, timeout_s, self._translated)
        if not _says_something(operation.__name__, answer):
            raise TransientError(f"{operation.__name__}: an answer without content, maybe not from the service")
        self._observe(answer, sent)
        self._telemetry.source_answered(0.0)
        return answer

    def _observe(self, answer: Response, sent: float) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        with suppress(TypeError, ValueError):  # without a date, or with another one, an answer tells no time
            self.clock.observe(parsedate_to_datetime(date), sent, elapsed_s())

    def paid_failed(self, error: TransientError) -> None:
        """A paid call failed, or was answered in part only; it will be repeated.

        Only these share their capacity with production; a stream that is read too often throttles too.
        """
        if isinstance(error, ThrottledError):
            self.budget.give_way()
        self._telemetry.source_failed(error)


def _says_something(operation: str, answer: Response) -> bool:
    """A page of a proxy is parsed as an answer without content."""
    if answer.keys() - {"ResponseMetadata"}:
        return True
    return operation in MAY_SAY_NOTHING and "RequestId" in answer.get("ResponseMetadata", {})


def consumed(answer: Response) -> float:
    """Read units of an answer: one figure, or one for each table. Local emulators leave it out."""
    consumed = answer.get("ConsumedCapacity") or []
    entries = consumed if isinstance(consumed, list) else [consumed]
    return sum(float(entry.get("CapacityUnits", 0)) for entry in entries)

"""Calls about triggers: repeated a few times, then told, since whoever switches waits for them."""

from typing import Final

import anyio

from connectors.aws.calls import Operation, Response
from connectors.aws.errors import AwsRefusal, configuration_error, translate
from replicator.errors import ConfigurationError, TransientError
from replicator.model import Finding, Severity

CALL_TIMEOUT_S: Final = 10.0

ATTEMPTS: Final = 4

FIRST_PAUSE_S: Final = 0.2

POLICY: Final = "See docs/triggers.md for the policy"


class Calls:
    """Of one trigger; `where` is its path in the config."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def call(self, operation: Operation, **parameters: object) -> Response:
        """Raises ConfigurationError where the service cannot be used or does not answer, AwsRefusal where it refuses.

        What is repeated has the same effect once or twice.
        """
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(operation, parameters)
            except TransientError as error:
                if attempt == ATTEMPTS - 1:
                    raise configuration_error(self.where, error) from error
                await anyio.sleep(FIRST_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    async def sure(self, operation: Operation, **parameters: object) -> Response:
        """As `call`, where a refusal is the operator's to mend: raises ConfigurationError for it too."""
        try:
            return await self.call(operation, **parameters)
        except AwsRefusal as refusal:
            raise ConfigurationError(self.where, str(refusal), "Check the names in the config") from refusal

    async def _once(self, operation: Operation, parameters: dict[str, object]) -> Response:
        try:
            with anyio.fail_after(CALL_TIMEOUT_S):
                return await operation(**parameters)
        except Exception as error:
            translated = translate(operation.__name__, error)
            if translated is error:
                raise
            raise translated from error


def found(where: str, what: str, *, untried: str) -> list[Finding]:
    """That a trigger can be looked at. Whether it may be changed cannot be tried without changing it."""
    return [
        Finding(Severity.OK, where, what),
        Finding(Severity.NOTE, where, f"{untried} is not tried, since that would change it", POLICY),
    ]

"""Calls about triggers: repeated a few times, then told, since whoever switches waits for them."""

from typing import Final

from connectors.aws.calls import Operation, Patience, Response, soon
from connectors.aws.errors import AwsRefusal
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity

PATIENCE: Final = Patience(attempts=4, first_pause_s=0.2, timeout_s=10.0)

POLICY: Final = "See docs/triggers.md for the policy"


class Calls:
    """Of one trigger; `where` is its path in the config."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def call(self, operation: Operation, **parameters: object) -> Response:
        """Raises ConfigurationError where the service cannot be used or does not answer, AwsRefusal where it refuses.

        What is repeated has the same effect once or twice.
        """
        return await soon(self.where, operation, parameters, PATIENCE)

    async def sure(self, operation: Operation, **parameters: object) -> Response:
        """As `call`, where a refusal is the operator's to mend: raises ConfigurationError for it too."""
        try:
            return await self.call(operation, **parameters)
        except AwsRefusal as refusal:
            raise ConfigurationError(self.where, str(refusal), "Check the names in the config") from refusal


def found(where: str, what: str, *, untried: str) -> list[Finding]:
    """That a trigger can be looked at. Whether it may be changed cannot be tried without changing it."""
    return [
        Finding(Severity.OK, where, what),
        Finding(Severity.NOTE, where, f"{untried} is not tried, since that would change it", POLICY),
    ]

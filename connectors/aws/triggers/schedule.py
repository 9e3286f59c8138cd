"""A schedule of EventBridge Scheduler. Its state is part of a definition that is only given back as a whole."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from connectors.aws.calls import Response
from connectors.aws.clients import open_client
from connectors.aws.triggers.calls import Calls, found
from connectors.aws.triggers.config import ScheduleConfig
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import TriggerContext
from replicator.triggers.model import TriggerState

DISABLED: Final = "DISABLED"
STATES: Final = {True: "ENABLED", False: DISABLED}

SERVICES_OWN: Final = frozenset({"Arn", "CreationDate", "LastModificationDate", "ResponseMetadata"})
"""Members of an answer that no request has. All others are given back, those too that are not known here."""


class ScheduleClient(Protocol):
    """What is used of botocore's client of `scheduler`."""

    async def get_schedule(self, *_: Any, **parameters: Any) -> Response:
        """The whole definition."""

    async def update_schedule(self, *_: Any, **parameters: Any) -> Response:
        """Replaces it; what is left out falls back to the service's default."""


class Schedule:
    """See `replicator.ports.Trigger`."""

    def __init__(self, client: ScheduleClient, config: ScheduleConfig, calls: Calls) -> None:
        self._client = client
        self._calls = calls
        self._named = {"Name": config.name, "GroupName": config.group}

    async def observe(self) -> TriggerState:
        found = await self._definition()
        state = str(found.get("State"))
        detail = f"schedule {found.get('ScheduleExpression', '')}: {state}"
        return TriggerState(state != DISABLED, True, json.dumps({"state": state}), detail)

    async def set_enabled(self, enabled: bool) -> None:
        await self._put(STATES[enabled])

    async def restore(self, saved: str) -> None:
        """The state alone: what else somebody has changed meanwhile is theirs."""
        await self._put(json.loads(saved)["state"])

    async def settle(self, enabled: bool) -> None:
        """It was in force when it was taken up."""

    def manual(self, *, enabled: bool) -> str:
        return ""

    async def check(self) -> list[Finding]:
        where, definition = self._calls.where, await self._definition()
        findings = found(where, (await self.observe()).detail, untried="scheduler:UpdateSchedule")
        if definition.get("StartDate"):
            message = "the schedule has a start date, and the service takes none that is more than 5 minutes past"
            fix = "Make the schedule anew without it, or turn it off and on by a manual step"
            findings.append(Finding(Severity.WARNING, where, message, fix))
        return findings

    async def _put(self, state: str) -> None:
        """Raises ConfigurationError where the definition is another one afterwards."""
        before = await self._definition()
        if before.get("State") == state:
            return
        wanted = {**before, "State": state}
        await self._calls.sure(self._client.update_schedule, **wanted)
        if await self._definition() != wanted:
            problem = "the schedule is not as it was given back: somebody else has changed it at the same time"
            raise ConfigurationError(self._calls.where, problem, "Look at its definition, and do it again")

    async def _definition(self) -> dict[str, Any]:
        answer = await self._calls.sure(self._client.get_schedule, **self._named)
        return {name: value for name, value in answer.items() if name not in SERVICES_OWN}


@asynccontextmanager
async def open_schedule(config: ScheduleConfig, context: TriggerContext) -> AsyncIterator[Schedule]:
    """Closed on leaving."""
    async with open_client("scheduler", config, context.where) as client:
        yield Schedule(client, config, Calls(context.where))

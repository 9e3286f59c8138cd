"""A rule of EventBridge: off and on are operations of their own, and leave everything else of it alone."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from connectors.aws.calls import Response
from connectors.aws.clients import open_client
from connectors.aws.triggers.calls import Calls, found
from connectors.aws.triggers.config import RuleConfig
from replicator.model import Finding, Severity
from replicator.registry import TriggerContext
from replicator.triggers.model import TriggerState

DISABLED: Final = "DISABLED"
PLAIN: Final = frozenset({"ENABLED", DISABLED})
"""States that an operation leads to. The only other one is given with the whole definition."""

GIVEN_BACK: Final = ("Name", "EventPattern", "ScheduleExpression", "Description", "RoleArn", "EventBusName")


class RuleClient(Protocol):
    """What is used of botocore's client of `events`."""

    async def describe_rule(self, *_: Any, **parameters: Any) -> Response:
        """Its definition and state."""

    async def enable_rule(self, *_: Any, **parameters: Any) -> Response:
        """Idempotent."""

    async def disable_rule(self, *_: Any, **parameters: Any) -> Response:
        """Idempotent."""

    async def put_rule(self, *_: Any, **parameters: Any) -> Response:
        """Replaces the definition; targets and tags stay."""


class Rule:
    """See `replicator.ports.Trigger`."""

    def __init__(self, client: RuleClient, config: RuleConfig, calls: Calls) -> None:
        self._client = client
        self._calls = calls
        self._named = {"Name": config.name, "EventBusName": config.bus}

    async def observe(self) -> TriggerState:
        rule = await self._describe()
        state = str(rule.get("State"))
        kind = rule.get("ScheduleExpression") or "events"
        return TriggerState(state != DISABLED, True, json.dumps({"state": state}), f"rule of {kind}: {state}")

    async def set_enabled(self, enabled: bool) -> None:
        if (await self.observe()).enabled is not enabled:
            await self._calls.sure(self._client.enable_rule if enabled else self._client.disable_rule, **self._named)

    async def restore(self, saved: str) -> None:
        state, rule = json.loads(saved)["state"], await self._describe()
        if state == rule.get("State"):
            return
        if state in PLAIN:
            await self.set_enabled(state != DISABLED)
            return
        given = {name: rule[name] for name in GIVEN_BACK if rule.get(name)}
        await self._calls.sure(self._client.put_rule, **{**given, **self._named, "State": state})

    async def settle(self, enabled: bool) -> None:
        """It was in force when it was taken up."""

    def manual(self, *, enabled: bool) -> str:
        return ""

    async def check(self) -> list[Finding]:
        where = self._calls.where
        rule = await self._describe()
        findings = found(where, (await self.observe()).detail, untried="events:DisableRule and events:EnableRule")
        if owner := rule.get("ManagedBy"):
            message = f"the rule is managed by {owner}, which may not let it be changed"
            findings.append(Finding(Severity.WARNING, where, message, "Turn off what the service does instead"))
        return findings

    async def _describe(self) -> Response:
        """Disabling a rule that does not exist may be answered as a success, so it is looked at before."""
        return await self._calls.sure(self._client.describe_rule, **self._named)


@asynccontextmanager
async def open_rule(config: RuleConfig, context: TriggerContext) -> AsyncIterator[Rule]:
    """Closed on leaving."""
    async with open_client("events", config, context.where) as client:
        yield Rule(client, config, Calls(context.where))

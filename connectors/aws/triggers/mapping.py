"""An event source mapping of Lambda. It is turned off and on in the background, so each change is waited for."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import anyio

from connectors.aws.calls import Response
from connectors.aws.clients import open_client
from connectors.aws.errors import AwsRefusal
from connectors.aws.triggers.calls import Calls, found
from connectors.aws.triggers.config import EventSourceMappingConfig
from replicator.errors import ConfigurationError
from replicator.model import Finding
from replicator.registry import TriggerContext
from replicator.triggers.model import TriggerState

POLL_S: Final = 1.0

BUSY: Final = "ResourceInUseException"
"""The mapping is being changed, and takes no other change meanwhile."""

OFF: Final = frozenset({"Disabled", "Deleting"})
SETTLED: Final = frozenset({"Enabled", "Disabled"})
STATES: Final = {True: "Enabled", False: "Disabled"}
UNDER_WAY: Final = {True: "Enabling", False: "Disabling"}


class MappingClient(Protocol):
    """What is used of botocore's client of `lambda`."""

    async def list_event_source_mappings(self, *_: Any, **parameters: Any) -> Response:
        """Those of a function and a source."""

    async def get_event_source_mapping(self, *_: Any, **parameters: Any) -> Response:
        """One, by its UUID."""

    async def update_event_source_mapping(self, *_: Any, **parameters: Any) -> Response:
        """Begins to turn it off or on."""


class Mapping:
    """See `replicator.ports.Trigger`."""

    def __init__(self, client: MappingClient, config: EventSourceMappingConfig, calls: Calls) -> None:
        self._client = client
        self._config = config
        self._calls = calls
        self._uuid = config.uuid

    async def observe(self) -> TriggerState:
        """One that is being turned off still invokes its function, and counts as on."""
        mapping = await self._get()
        state = str(mapping.get("State"))
        enabled = state not in OFF
        detail = f"{mapping.get('FunctionArn', '')} from {mapping.get('EventSourceArn', '')}: {state}"
        return TriggerState(enabled, state in SETTLED, json.dumps({"enabled": enabled}), detail)

    async def set_enabled(self, enabled: bool) -> None:
        """Asks for it until it is taken up: one that is being changed takes no other change."""
        state = ""
        with anyio.move_on_after(self._config.settle_s):
            while True:
                state = str((await self._get()).get("State"))
                if state in {STATES[enabled], UNDER_WAY[enabled]} or (state in SETTLED and await self._ask(enabled)):
                    return
                await anyio.sleep(POLL_S)
        raise self._too_long(state, enabled=enabled)

    async def settle(self, enabled: bool) -> None:
        state = ""
        with anyio.move_on_after(self._config.settle_s):
            while (state := str((await self._get()).get("State"))) != STATES[enabled]:  # noqa: ASYNC110 — it tells nobody
                await anyio.sleep(POLL_S)
            return
        raise self._too_long(state, enabled=enabled)

    def _too_long(self, state: str, *, enabled: bool) -> ConfigurationError:
        return ConfigurationError(
            self._calls.where,
            f"the mapping is {state} after {self._config.settle_s:g} s, and should be {STATES[enabled]}",
            "Do it again, or raise settle_s; see the mapping's StateTransitionReason",
        )

    async def restore(self, saved: str) -> None:
        await self.set_enabled(bool(json.loads(saved)["enabled"]))

    def manual(self, *, enabled: bool) -> str:
        return ""

    async def check(self) -> list[Finding]:
        return found(self._calls.where, (await self.observe()).detail, untried="lambda:UpdateEventSourceMapping")

    async def _ask(self, enabled: bool) -> bool:
        """False where it is being changed."""
        try:
            await self._calls.call(
                self._client.update_event_source_mapping, UUID=await self._found_uuid(), Enabled=enabled
            )
        except AwsRefusal as refusal:
            if refusal.code == BUSY:
                return False
            raise ConfigurationError(self._calls.where, str(refusal), "Check the mapping") from refusal
        return True

    async def _get(self) -> Response:
        return await self._calls.sure(self._client.get_event_source_mapping, UUID=await self._found_uuid())

    async def _found_uuid(self) -> str:
        """Of the only mapping of the function and the source; it keeps it for its life."""
        if self._uuid is None:
            answer = await self._calls.sure(
                self._client.list_event_source_mappings,
                FunctionName=self._config.function,
                EventSourceArn=self._config.source_arn,
            )
            mappings = answer.get("EventSourceMappings", [])
            if len(mappings) != 1:
                problem = f"function and source have {len(mappings)} mappings"
                raise ConfigurationError(self._calls.where, problem, "Name one of them by its uuid")
            self._uuid = str(mappings[0]["UUID"])
        return self._uuid


@asynccontextmanager
async def open_mapping(config: EventSourceMappingConfig, context: TriggerContext) -> AsyncIterator[Mapping]:
    """Closed on leaving."""
    async with open_client("lambda", config, context.where) as client:
        yield Mapping(client, config, Calls(context.where))

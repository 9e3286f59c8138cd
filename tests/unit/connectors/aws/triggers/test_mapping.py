"""Promises of a mapping that takes its time: each change is waited for, asked for again where refused, bounded."""

from typing import Any

import anyio
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from connectors.aws.triggers.calls import Calls
from connectors.aws.triggers.config import EventSourceMappingConfig, ScheduleConfig
from connectors.aws.triggers.mapping import Mapping
from connectors.aws.triggers.schedule import Schedule
from fakes.triggers import put_back, turn
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.triggers.model import TriggerState

CONFIG = EventSourceMappingConfig(type="event_source_mapping", uuid="u", settle_s=60)


class Service:
    """A mapping that takes `takes_s` for a change, and refuses others meanwhile; every third call is lost."""

    def __init__(self, state: str = "Enabled", takes_s: float = 7.0, *, lossy: bool = False) -> None:
        self.state = state
        self.takes_s = takes_s
        self.updates = 0
        self._due: tuple[float, str] | None = None
        self._lossy = lossy
        self._calls = 0

    async def list_event_source_mappings(self, **_: Any) -> dict[str, Any]:
        return {"EventSourceMappings": [{"UUID": "one"}, {"UUID": "two"}]}

    async def get_event_source_mapping(self, **_: Any) -> dict[str, Any]:
        self._lose()
        if self._due and elapsed_s() >= self._due[0]:
            self.state, self._due = self._due[1], None
        return {"State": self.state, "FunctionArn": "f", "EventSourceArn": "s"}

    async def update_event_source_mapping(self, *, Enabled: bool, **_: Any) -> dict[str, Any]:  # noqa: N803
        if self._due:
            error = {"Error": {"Code": "ResourceInUseException", "Message": "busy"}}
            raise ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": 400}}, "UpdateEventSourceMapping")
        self.updates += 1
        self.state = "Enabling" if Enabled else "Disabling"
        self._due = (elapsed_s() + self.takes_s, "Enabled" if Enabled else "Disabled")
        self._lose()
        return {"State": self.state}

    def _lose(self) -> None:
        self._calls += 1
        if self._lossy and self._calls % 3 == 0:
            raise ConnectionClosedError(endpoint_url="x")


def mapping(service: Service, config: EventSourceMappingConfig = CONFIG) -> Mapping:
    return Mapping(service, config, Calls("triggers.one.aws"))


@in_virtual_time
async def test_it_returns_when_the_change_is_in_force_and_not_before() -> None:
    service = Service()
    began = elapsed_s()
    await turn(mapping(service), False)
    assert service.state == "Disabled"
    assert service.takes_s <= elapsed_s() - began < service.takes_s + 3
    assert service.updates == 1


@in_virtual_time
async def test_one_that_is_being_turned_off_counts_as_on_and_unsettled() -> None:
    service = Service()
    await service.update_event_source_mapping(Enabled=False)
    state = await mapping(service).observe()
    assert (state.enabled, state.settled) == (True, False)
    await anyio.sleep(service.takes_s)
    assert (await mapping(service).observe()).enabled is False


@in_virtual_time
async def test_a_change_that_is_under_way_is_waited_for_and_then_turned_round() -> None:
    service = Service()
    await service.update_event_source_mapping(Enabled=False)
    await put_back(mapping(service), TriggerState(True, saved='{"enabled": true}'))
    assert service.state == "Enabled"


@in_virtual_time
async def test_lost_calls_do_no_harm() -> None:
    service = Service(lossy=True)
    await turn(mapping(service), False)
    assert service.state == "Disabled"


@in_virtual_time
async def test_one_that_never_gets_there_is_told_in_time() -> None:
    service = Service(takes_s=1000)
    began = elapsed_s()
    with pytest.raises(ConfigurationError, match=r"triggers\.one\.aws: the mapping is Disabling after 60 s"):
        await turn(mapping(service), False)
    assert elapsed_s() - began < 62


@in_virtual_time
async def test_a_function_with_two_mappings_of_a_source_must_be_named_by_uuid() -> None:
    config = EventSourceMappingConfig(type="event_source_mapping", function="f", source_arn="a")
    with pytest.raises(ConfigurationError, match=r"have 2 mappings.*uuid"):
        await mapping(Service(), config).observe()


class Scheduler:
    """`meanwhile` is what somebody else does between a look and the write."""

    def __init__(self, meanwhile: dict[str, Any] | None = None) -> None:
        self.definition = {"Name": "n", "GroupName": "g", "State": "ENABLED", "Future": {"member": 1}, "Arn": "a"}
        self._meanwhile = meanwhile or {}

    async def get_schedule(self, **_: Any) -> dict[str, Any]:
        return {**self.definition, "ResponseMetadata": {}}

    async def update_schedule(self, **given: Any) -> dict[str, Any]:
        assert "Arn" not in given
        self.definition = {**given, "Arn": "a", **self._meanwhile}
        return {}


@in_virtual_time
async def test_a_schedule_gives_back_members_that_nobody_here_knows() -> None:
    service = Scheduler()
    before = service.definition
    schedule = Schedule(service, ScheduleConfig(type="schedule", name="n", group="g"), Calls("w"))
    await schedule.set_enabled(False)
    assert service.definition == {**before, "State": "DISABLED"}


@in_virtual_time
async def test_a_schedule_that_somebody_else_changes_at_the_same_time_is_told() -> None:
    schedule = Schedule(
        Scheduler({"Description": "x"}), ScheduleConfig(type="schedule", name="n", group="g"), Calls("w")
    )
    with pytest.raises(ConfigurationError, match="somebody else has changed it"):
        await schedule.set_enabled(False)

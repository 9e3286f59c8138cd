"""A Service Bus target looks at its queue before it sends: what cannot work is refused at the start, and said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from connectors.azure.servicebus.check import Looked, findings, require_shape
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.queues import Queue
from fakes.buses import WHERE, bench, config, job, ready
from fakes.servicebus import lying, put
from replicator.errors import ConfigurationError
from replicator.model import EVERYBODYS, Severity
from sandbox.servicebus import Fault, QueueSettings, ServiceBusServer

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from replicator.model import Finding
    from sandbox.azurite import Azurite

pytestmark = [
    pytest.mark.usefixtures("hurried"),
    pytest.mark.embedded("servicebus", "looks into the broker, or steers it"),
]

GOOD = Queue(
    sessions=False,
    duplicate_window_s=604_800,
    time_to_live_s=None,
    dead_letter_expired=True,
    lock_s=60,
    max_delivery_count=10,
    status="Active",
    partitioned=False,
    max_message_bytes=262_144,
    forward_to=None,
    messages=0,
    dead_letters=0,
)


def worst(found: list[Finding]) -> list[str]:
    """What is not simply fine."""
    return [f.message for f in found if f.severity in {Severity.WARNING, Severity.ERROR}]


async def refused(broker: ServiceBusServer, queue: str, **settings: Any) -> str:
    async with bench(broker, queue, **settings) as made:
        with pytest.raises(ConfigurationError) as error:
            await made.target.connect(())
    return str(error.value)


async def test_a_missing_queue_is_refused_or_created(broker: ServiceBusServer) -> None:
    assert "there is no queue new" in await refused(broker, "new")
    async with bench(broker, "new", create=True, sessions=True) as made:
        await made.target.connect(())
        assert "new" not in broker.stats()["queues"], "connecting changes nothing"
        assert any("will be created, with sessions" in f.message for f in await made.target.check())
        await made.target.create()
        await made.target.create()
        assert any("exists and may be sent to, with sessions" in f.message for f in await made.target.check())
    settings = broker.namespace.queue("new").settings
    assert (settings.sessions, settings.duplicate_window_s, settings.dead_letter_expired) == (True, 604_800, True)


async def test_a_queue_of_the_wrong_kind_is_refused(broker: ServiceBusServer) -> None:
    assert "made without sessions" in await refused(broker, "orders", sessions=True)
    assert "only messages of a session" in await refused(broker, "groups")


async def test_a_source_with_ordered_groups_needs_sessions_or_gives_order_up(broker: ServiceBusServer) -> None:
    """Each of its messages would become a dead letter otherwise, which nobody wants to learn from the first one."""
    async with bench(broker, "orders") as made:
        with pytest.raises(ConfigurationError, match=r"target\.sessions: .* would become a dead letter"):
            await made.target.connect((), ordered_groups=True)
    async with bench(broker, "groups", sessions=True) as made:
        await made.target.connect((), ordered_groups=True)
        assert not any("FIFO" in message for message in worst(await made.target.check()))
    async with bench(broker, "orders", drop_order=True) as made:
        await made.target.connect((), ordered_groups=True)


async def test_sessions_are_questioned_where_the_source_has_no_ordered_groups(broker: ServiceBusServer) -> None:
    """No error: messages of a standard queue may have groups as well."""
    async with bench(broker, "groups", sessions=True) as made:
        await made.target.connect(())
        found = worst(await made.target.check())
    assert any("a message without a group becomes a dead letter" in message for message in found)


async def test_without_the_right_to_look_at_settings_messages_go_all_the_same(broker: ServiceBusServer) -> None:
    """The certificate is not accepted, there is no address, or nobody listens there."""
    for lacking in ({"management_endpoint": None}, {"ca_bundle": None}, {"management_endpoint": "https://127.0.0.1:1"}):
        async with ready(broker, "orders", **lacking) as made:
            assert any("cannot be read" in message for message in worst(await made.target.check()))
            assert await made.apply(job(1)) == []
    assert lying(broker, "orders") == ["1"] * 3


async def test_a_missing_queue_that_cannot_be_created_is_refused_with_the_reason(broker: ServiceBusServer) -> None:
    text = await refused(broker, "new", create=True, management_endpoint=None)
    assert "there is no queue new" in text
    assert "management_endpoint" in text


async def test_a_local_emulator_is_managed_over_plain_http(broker: ServiceBusServer) -> None:
    async with ready(
        broker, "new", create=True, management_endpoint=f"http://{broker.host}:{broker.http_port}"
    ) as made:
        assert await made.apply(job(1)) == []
    assert lying(broker, "new") == ["1"]


async def test_a_wrong_key_is_refused_at_once_and_never_told(broker: ServiceBusServer) -> None:
    string = broker.connection_string.replace("SAS_KEY_VALUE", "c2VjcmV0")
    text = await refused(broker, "orders", connection_string=SecretStr(string))
    assert broker.stats()["operations"]["cbs"] == {"amqp:unauthorized-access": 1}
    assert "docs/permissions.md" in text
    assert "c2VjcmV0" not in text


async def test_a_broker_that_is_busy_for_a_moment_is_asked_again(broker: ServiceBusServer) -> None:
    broker.faults.add(Fault(operation="attach.send", condition="com.microsoft:server-busy", count=2))
    async with ready(broker, "orders") as made:
        assert await made.apply(job(1)) == []


async def test_nobody_at_the_address_is_told_as_such(broker: ServiceBusServer) -> None:
    string = broker.connection_string.replace(f":{broker.port}", ":1")
    assert "cannot be reached" in await refused(broker, "orders", connection_string=SecretStr(string))


async def test_check_tells_what_may_surprise(broker: ServiceBusServer) -> None:
    put(broker, "brief", "already there")
    async with ready(broker, "brief") as made:
        found = await made.target.check()
    assert [f.where for f in found] == [WHERE] * len(found)
    assert ["does not detect duplicates" in m or "dead-lettered after 0:00:20" in m for m in worst(found)] == [True] * 2
    notes = " ".join(f.message for f in found if f.severity is Severity.NOTE)
    assert "already holds 1 messages" in notes
    assert "gets each message as soon as it is sent" in notes
    assert "262,144 bytes" in notes


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"duplicate_window_s": None}, "does not detect duplicates"),
        ({"duplicate_window_s": 600.0}, "remembers message ids for 0:10:00"),
        ({"time_to_live_s": 86_400.0}, "dead-lettered after 1 day"),
        ({"time_to_live_s": 86_400.0, "dead_letter_expired": False}, "dropped without a trace"),
        ({"forward_to": "others"}, "forwards everything to others"),
    ],
)
def test_each_setting_has_its_warning(broker_config: Any, change: dict[str, Any], told: str | None) -> None:
    found = worst(findings(Looked(broker_config, replace(GOOD, **change), "", 262_144), WHERE))
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


@pytest.fixture
def broker_config() -> Any:
    """Of a real namespace."""
    return ServiceBusTargetConfig(type="servicebus", queue="jobs", namespace="shop.servicebus.windows.net")


@pytest.mark.parametrize("status", ["Disabled", "SendDisabled"])
def test_a_queue_that_takes_nothing_is_refused(broker_config: Any, status: str) -> None:
    with pytest.raises(ConfigurationError, match=status):
        require_shape(replace(GOOD, status=status), broker_config, WHERE)
    require_shape(replace(GOOD, status="ReceiveDisabled"), broker_config, WHERE)


class Partitioned:
    """The local broker has no partitioned queues."""

    async def find(self) -> Queue:
        return replace(GOOD, partitioned=True)

    async def create(self) -> None:
        raise NotImplementedError


async def test_a_partitioned_queue_gets_no_mixed_batches(broker: ServiceBusServer) -> None:
    async with bench(broker, "orders") as made:
        made.target._queues = Partitioned()
        await made.target.connect(())
        broker.clear_stats()
        assert await made.apply(*(job(n) for n in range(3))) == []
        assert any("partitioned" in f.message for f in await made.target.check())
    assert broker.stats()["operations"]["send"] == {"done": 3}


async def test_nothing_is_held_that_could_be_compared_or_owned(broker: ServiceBusServer) -> None:
    async with ready(broker, "orders") as made:
        assert await made.target.is_empty()
        assert await made.target.read_marker() == EVERYBODYS
        assert [page async for page in made.target.scan(None)] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"namespace": "shop.servicebus.windows.net"},
        {"connection_string": SecretStr("Endpoint=sb://x/;SharedAccessSignature=s")},
        {"connection_string": SecretStr("nonsense;secret")},
        {"proxy": "http://proxy:3128"},
        {"oversize": "claim_check"},
        {"s3_pointers": "rewrite"},
        {"sessions": True, "drop_order": True},
        {"senders": 0},
    ],
)
def test_what_contradicts_itself_is_refused_without_being_told(settings: dict[str, Any]) -> None:
    broker = ServiceBusServer()
    with pytest.raises(ValidationError) as error:
        config(broker, "orders", **settings)
    assert "secret" not in str(error.value)


async def test_two_targets_of_one_queue_share_a_place(broker: ServiceBusServer) -> None:
    assert config(broker, "Orders").place == config(broker, "orders").place
    assert config(broker, "orders").place != config(broker, "once").place


async def test_a_container_for_claim_checks_is_looked_at_and_made(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    section = {"endpoint": azurite.endpoint, "container": container.container_name, "key": azurite.account_key}
    settings: dict[str, Any] = {"oversize": "claim_check", "claim_check": section}
    async with ready(broker, "orders", **settings):
        pass
    section["container"] += "-new"
    assert "there is no container" in await refused(broker, "orders", **settings)
    async with ready(broker, "orders", create=True, max_message_bytes=2_000, **settings) as made:
        assert await made.apply(job(1, "x" * 2_000)) == []
    section["key"] = "d3Jvbmc="
    assert "claim_check" in await refused(broker, "orders", **settings)


def test_settings_of_the_sandbox_and_of_the_check_are_the_same() -> None:
    assert QueueSettings().max_message_bytes == GOOD.max_message_bytes

"""Whatever the broker or the network does, the Service Bus target loses nothing, keeps order, and nothing hangs.

The unmodified SDK over sockets, against the local broker and the fault proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from fakes.buses import bench, job, ready, sessions_of, step
from fakes.servicebus import eventually, lying
from replicator.delivery import Backoff
from replicator.errors import ConfigurationError
from sandbox.servicebus import Fault, QueueSettings, ServiceBusServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replicator.model import Change

pytestmark = [
    pytest.mark.usefixtures("hurried"),
    pytest.mark.embedded("servicebus", "looks into the broker, or steers it"),
]

DETECTING = QueueSettings(duplicate_window_s=600)
ORDERED = QueueSettings(duplicate_window_s=600, sessions=True)


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBusServer]:
    async with ServiceBusServer({"once": DETECTING, "twice": QueueSettings(), "ordered": ORDERED}) as running:
        yield running


def steps(groups: int = 5, each: int = 20) -> list[Change[Any]]:
    return [step(f"g{group}-", number) for number in range(each) for group in range(groups)]


def in_order(groups: int = 5, each: int = 20) -> dict[str, list[str]]:
    return {f"g{group}-": [f"g{group}-{number}" for number in range(each)] for group in range(groups)}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(operation="send*", when="after", cut=True, count=3),
        Fault(operation="send*", when="before", cut=True, count=3),
        Fault(operation="send*", when="after", stall=True, count=2),
        Fault(operation="send*", when="after", condition="amqp:internal-error", count=3),
        Fault(operation="send*", when="after", condition="com.microsoft:timeout", count=3),
        Fault(operation="send*", detach=True, condition="amqp:link:detach-forced", count=3),
        Fault(operation="send*", condition="com.microsoft:server-busy", count=3),
        Fault(operation="send*", condition="amqp:resource-limit-exceeded", count=3),
        Fault(operation="send*", condition="com.microsoft:entity-disabled", count=3),
        Fault(operation="send*", condition="amqp:unauthorized-access", count=3),
        Fault(operation="send*", when="after", cut=True, probability=0.4, count=20),
    ],
    ids=lambda fault: f"{fault.condition or ('cut' if fault.cut else 'stall')}-{fault.when}-{fault.probability}",
)
async def test_each_message_arrives_once_and_in_order(broker: ServiceBusServer, fault: Fault) -> None:
    async with ready(broker, "ordered", sessions=True, timeout_s=1.0) as made:
        broker.faults.add(fault)
        changes = steps()
        for start in range(0, len(changes), 25):
            assert await made.apply(*changes[start : start + 25]) == []
        assert sum(made.retried().values()) >= 2
    assert sessions_of(broker, "ordered") == in_order()


async def test_without_duplicate_detection_lost_answers_only_add_copies(broker: ServiceBusServer) -> None:
    async with ready(broker, "twice", timeout_s=1.0) as made:
        broker.faults.add(Fault(operation="send*", when="after", cut=True, count=2))
        assert await made.apply(*(job(n) for n in range(10))) == []
        assert made.retried() == {"AmbiguousError": 2}
        assert made.possible_duplicates == 20
    assert Counter(lying(broker, "twice")) == {str(n): 3 for n in range(10)}


async def test_a_delayed_send_that_lands_late_changes_no_order(broker: ServiceBusServer) -> None:
    """Given up after half a second, sent again, and landing behind what was sent later."""
    async with ready(broker, "ordered", sessions=True, timeout_s=0.5) as made:
        broker.faults.add(Fault(operation="send*", delay_s=1.0, count=1))
        assert await made.apply(step("a", 1)) == []
        assert await made.apply(step("a", 2)) == []
        await eventually(lambda: broker.stats()["duplicates"] == 1)
        assert made.possible_duplicates == 0
    assert sessions_of(broker, "ordered") == {"a": ["a1", "a2"]}


async def test_throttling_narrows_the_way_and_is_waited_out(broker: ServiceBusServer) -> None:
    broker.namespace.create("slow", QueueSettings(sends_per_s=40))
    async with ready(broker, "slow") as made:
        begun = time.monotonic()
        for start in range(0, 60, 20):
            assert await made.apply(*(job(n) for n in range(start, start + 20))) == []
        assert time.monotonic() - begun > 0.4
        assert made.retried().keys() == {"ThrottledError"}
    assert sorted(map(int, lying(broker, "slow"))) == list(range(60))


async def test_a_broker_that_is_down_for_a_while_is_waited_for_with_few_requests(broker: ServiceBusServer) -> None:
    patient = {"timeout_s": 1.0, "backoff": Backoff(0.05, 1.0)}
    async with ready(broker, "ordered", sessions=True, **patient) as made, anyio.create_task_group() as tasks:
        changes = steps()
        assert await made.apply(*changes[:50]) == []
        await broker.stop()
        tasks.start_soon(made.apply, *changes[50:])
        await eventually(lambda: made.telemetry.sides["target"].degraded)
        await anyio.sleep(0.5)
        attempts = sum(made.retried().values())
        await broker.start()
    assert not made.telemetry.sides["target"].degraded
    assert attempts <= 4 * 10, "a second or so of back-off, for each of four senders"
    assert sessions_of(broker, "ordered") == in_order()


@pytest.mark.parametrize("operation", ["attach.send", "attach.cbs", "cbs", "send*"])
async def test_a_broker_that_stalls_at_any_step_holds_nobody_longer_than_the_deadline(
    broker: ServiceBusServer, operation: str
) -> None:
    async with ready(broker, "once", timeout_s=0.7, senders=1) as made:
        broker.cut()
        broker.faults.add(Fault(operation=operation, stall=True, count=1))
        begun = time.monotonic()
        with anyio.fail_after(30):
            assert await made.apply(job(1)) == []
        assert time.monotonic() - begun > 0.7
    assert lying(broker, "once") == ["1"]


async def test_a_start_against_somebody_who_never_answers_ends_and_leaves_nothing_open(
    broker: ServiceBusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.azure.servicebus.starting.LIMIT_S", 0.5)
    ended = anyio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()
        ended.set()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        string = broker.connection_string.replace(f":{broker.port}", f":{port}")
        begun = time.monotonic()
        async with bench(broker, "once", connection_string=string) as made:
            with pytest.raises(ConfigurationError, match="cannot be reached"):
                await made.target.connect(())
            with anyio.fail_after(10):
                await ended.wait()
        assert time.monotonic() - begun < 20


async def test_nothing_runs_beside_a_request_and_nothing_is_left_connected(broker: ServiceBusServer) -> None:
    async with ready(broker, "once") as made:
        await made.apply(*(job(n) for n in range(400)))
        assert {task for task in asyncio.all_tasks() if "azure" in repr(task)} == set()
    await eventually(lambda: broker.stats()["connections"] == 0)


@pytest.mark.parametrize(
    ("condition", "becomes"),
    [
        ("amqp:link:message-size-exceeded", "refuses the message"),
        ("com.microsoft:entity-disabled", "TransientError"),
        ("com.microsoft:server-busy", "ThrottledError"),
        ("amqp:link:detach-forced", "AmbiguousError"),
    ],
)
async def test_the_condition_with_which_a_link_is_ended_counts(
    broker: ServiceBusServer, condition: str, becomes: str
) -> None:
    """The SDK says only that something was wrong: a message that is too large would be sent again for ever."""
    async with ready(broker, "once") as made:
        broker.faults.add(Fault(operation="send", detach=True, condition=condition, count=1))
        rejections = await made.apply(job(1))
        told = [*made.retried(), *(r.reason for r in rejections)]
        assert len(told) == 1
        assert becomes in told[0]
        assert await made.apply(job(2)) == []


async def test_cancelling_in_the_middle_of_a_send_leaves_a_usable_target(broker: ServiceBusServer) -> None:
    async with ready(broker, "ordered", sessions=True, senders=1) as made:
        number = broker.faults.add(Fault(operation="send*", when="after", stall=True))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.apply, step("a", 1))
            await eventually(lambda: broker.faults.struck(number))
            tasks.cancel_scope.cancel()
        broker.faults.clear()
        assert await made.apply(step("a", 1), step("a", 2)) == []
    assert sessions_of(broker, "ordered") == {"a": ["a1", "a2"]}


async def test_a_queue_that_is_deleted_and_made_again_is_gone_on_with(broker: ServiceBusServer) -> None:
    async with ready(broker, "once", senders=1) as made, anyio.create_task_group() as tasks:
        assert await made.apply(job(1)) == []
        broker.namespace.delete("once")
        tasks.start_soon(made.apply, job(2))
        await eventually(lambda: made.telemetry.sides["target"].degraded)
        broker.namespace.create("once", DETECTING)
    assert lying(broker, "once") == ["2"]

"""A message that was received is settled, or others see it again: at once where nobody works on it, never before while
somebody does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.holding import LONGEST_INVISIBLE_S, Receipt
from connectors.aws.sqs.parking import PARKED_S, RETURN_S, Parked
from connectors.aws.sqs.queue import Queue
from connectors.aws.sqs.queue_time import QueueTime
from connectors.aws.sqs.receiving import ANSWER_S, CLOSING_S, RENEWAL_PAUSE_S, Receiver
from fakes.follower import telemetry
from fakes.queues import ARN, URL, QueueClient, StoredQueue
from fakes.streams import client_error
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.telemetry import SOURCE

WAIT_S = 5
VISIBILITY_S = 30
BY = "receiver-0"
HOURS_12 = 43_200


class Bench:
    """A receiver of a queue that is made for it."""

    def __init__(self, *, ordered: bool = False, latency_s: float = 0.0) -> None:
        self.stored = StoredQueue(ordered=ordered)
        self.client = QueueClient(self.stored, latency_s=latency_s)
        self.telemetry = telemetry()
        self.time = QueueTime(timedelta(seconds=10))
        queue = Queue(URL, ARN, ordered, timedelta(days=4), 30, 0)
        caller = Caller("source", self.telemetry, YieldingBudget(1.0))
        self.receiver = Receiver(
            caller, self.client, queue, self.telemetry, self.time, wait_s=WAIT_S, visibility_s=VISIBILITY_S
        )

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """As a source runs it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.receiver.keep)
            yield
            tasks.cancel_scope.cancel()
        await self.receiver.close()

    async def receive(self, by: str = BY) -> list[Receipt]:
        messages, _ = await self.receiver.receive(by)
        return [message.receipt for message in messages]

    async def bodies(self, by: str = BY) -> list[str]:
        messages, _ = await self.receiver.receive(by)
        return [message.body for message in messages]

    @property
    def visible(self) -> list[str]:
        return [m.body for m in self.stored.messages.values() if m.visible_at <= elapsed_s()]


# --- receiving --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_one_receive_brings_ten_messages_or_waits_for_one_and_comes_back_empty() -> None:
    bench = Bench()
    bench.stored.send(*"abcdefghijkl")
    assert await bench.bodies() == list("abcdefghij")
    assert await bench.bodies() == list("kl")
    began = elapsed_s()
    assert await bench.bodies() == []
    assert elapsed_s() - began == pytest.approx(WAIT_S)
    assert bench.client.calls["receive_message"] == 3


@in_virtual_time
async def test_a_cancelled_receive_gives_back_what_it_brings() -> None:
    """It is not cut off, since what it takes meanwhile would be missed."""
    bench = Bench(latency_s=0.2)

    async def send_later() -> None:
        await anyio.sleep(2)
        bench.stored.send("x")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_later)
        with anyio.move_on_after(1) as scope:
            await bench.receive()
    assert scope.cancelled_caught
    assert bench.stored.messages["m1"].received == 1
    assert bench.visible == ["x"]
    assert bench.receiver.unsettled == 0


@in_virtual_time
async def test_a_cancelled_receive_ends_in_time_although_nothing_answers() -> None:
    bench = Bench()
    await bench.receive()
    stuck = anyio.Event()

    async def never(**_: object) -> None:
        await stuck.wait()

    bench.client.receive_message = never  # type: ignore[assignment, method-assign]
    began = elapsed_s()
    with anyio.move_on_after(1):
        await bench.receive()
    assert elapsed_s() - began <= WAIT_S + ANSWER_S + CLOSING_S


@in_virtual_time
async def test_a_failing_receive_is_repeated_and_a_refusal_handed_on() -> None:
    bench = Bench()
    bench.stored.send("x")
    errors = [client_error("receive_message", code) for code in ("OverLimit", "KmsDisabled", "InternalServerError")]
    bench.client.fault = lambda operation: errors.pop() if operation == "receive_message" and errors else None
    assert await bench.bodies() == ["x"]
    assert bench.client.calls["receive_message"] == 4
    bench.client.fault = lambda operation: client_error(operation, "AWS.SimpleQueueService.NonExistentQueue")
    with pytest.raises(AwsRefusal):
        await bench.receive()


@in_virtual_time
async def test_an_answer_of_another_shape_is_no_message() -> None:
    bench = Bench()
    bench.stored.send("x")
    real = bench.client.receive_message
    shapes: list[dict[str, object]] = [{"Messages": [{"MessageId": "m1"}]}, {"Messages": [5]}]

    async def receive_message(**parameters: object) -> object:
        return shapes.pop() if shapes else await real(**parameters)

    bench.client.receive_message = receive_message  # type: ignore[assignment, method-assign]
    assert await bench.bodies() == ["x"]
    assert not shapes


@in_virtual_time
async def test_a_damaged_body_is_not_handed_on_and_comes_again_whole() -> None:
    bench = Bench()
    bench.stored.send("x", "y")
    bench.client.damaged = {"m1"}
    async with bench.keeping():
        assert await bench.bodies() == ["y"]
        assert bench.telemetry.sides[SOURCE].failures
        await anyio.sleep(VISIBILITY_S)
        assert await bench.bodies() == ["x"]


@in_virtual_time
async def test_nothing_overtakes_a_damaged_body_of_its_group() -> None:
    bench = Bench(ordered=True)
    bench.stored.send("a1", "a2", group="a")
    bench.stored.send("b1", group="b")
    bench.client.damaged = {"m1"}
    assert await bench.bodies() == ["b1"]
    await anyio.sleep(VISIBILITY_S)
    assert (await bench.bodies())[:2] == ["a1", "a2"]


# --- staying invisible ------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_is_not_settled_stays_invisible_and_what_is_left_over_is_given_back() -> None:
    bench = Bench(latency_s=0.1)
    bench.stored.send(*map(str, range(25)))
    async with bench.keeping():
        for _ in range(3):
            await bench.receive()
        for _ in range(100):
            await anyio.sleep(VISIBILITY_S / 3)
            assert bench.visible == []
    assert len(bench.visible) == 25
    assert all(m.received == 1 for m in bench.stored.messages.values())
    assert bench.receiver.expired == 0
    extensions = bench.client.calls["change_message_visibility_batch"]
    assert extensions <= 3 * 110 + 3, "in batches, at a third of the visibility timeout"


@in_virtual_time
async def test_at_the_services_limit_a_message_is_let_go() -> None:
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        await bench.receive()
        await anyio.sleep(HOURS_12 - 60)
        assert bench.visible == []
        await anyio.sleep(120)
        assert bench.visible == ["x"]
        assert bench.receiver.expired == 1


@in_virtual_time
async def test_a_message_that_came_back_although_it_was_held_is_no_longer_extended() -> None:
    """Whoever works on it settles it in the end; until then it counts as unsettled."""
    bench = Bench()
    bench.stored.send("x", "y")
    async with bench.keeping():
        first = await bench.receive()
        bench.stored.messages["m1"].visible_at = elapsed_s()
        await anyio.sleep(VISIBILITY_S)
        assert bench.receiver.unsettled == 2
        assert bench.receiver.expired == 1
        await anyio.sleep(10 * VISIBILITY_S)
        assert bench.visible == ["x"]
        await bench.receiver.settle(first)
        assert bench.receiver.unsettled == 0
        assert bench.receiver.expired == 1
    assert [m.body for m in bench.stored.messages.values()] == ["x"]


# --- settling ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_settled_messages_are_gone_although_some_entries_and_calls_fail_at_first() -> None:
    bench = Bench()
    bench.stored.send(*map(str, range(15)))
    async with bench.keeping():
        receipts = [*await bench.receive(), *await bench.receive()]
        bench.client.failing = {"m3-1": "InternalError", "m7-1": "RequestThrottled", "m12-1": "InternalError"}
        bench.client.lost = {"delete_message_batch"}
        await bench.receiver.settle(receipts)
        assert bench.stored.messages == {}
        assert bench.receiver.unsettled == 0
        assert not bench.telemetry.sides[SOURCE].degraded


@in_virtual_time
async def test_receipts_that_are_over_are_counted_and_hold_nothing_up() -> None:
    bench = Bench(ordered=True)
    bench.stored.send("a1", "a2", group="a")
    receipts = await bench.receive()
    await anyio.sleep(VISIBILITY_S + 1)
    await bench.receiver.settle(receipts)
    assert bench.receiver.expired == 2
    assert bench.receiver.unsettled == 0
    assert await bench.bodies() == ["a1", "a2"]


# --- parking ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_parked_message_is_invisible_for_as_long_as_the_service_allows() -> None:
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        receipts = await bench.receive()
        await anyio.sleep(100)
        await bench.receiver.park(receipts)
        assert (bench.receiver.unsettled, bench.receiver.parked) == (0, 1)
        await anyio.sleep(HOURS_12 - 150)
        assert bench.visible == []
        assert bench.client.calls["change_message_visibility_batch"] < 20 + HOURS_12 / (PARKED_S / 2)
        await anyio.sleep(60)
        assert bench.receiver.parked == 0
        assert await bench.bodies() == ["x"]
    assert bench.receiver.expired == 0


@pytest.mark.parametrize("ordered", [False, True])
@in_virtual_time
async def test_after_a_crash_parked_messages_come_again_within_minutes(ordered: bool) -> None:
    """Nobody has their receipts any more, so nobody could ask for them."""
    bench = Bench(ordered=ordered)
    bench.stored.send("x", "y", group="g" if ordered else None)
    async with anyio.create_task_group() as process:
        process.start_soon(bench.receiver.keep)
        await bench.receiver.park(await bench.receive())
        await anyio.sleep(HOURS_12 / 2)
        assert bench.visible == []
        process.cancel_scope.cancel()
    await anyio.sleep(PARKED_S)
    assert bench.visible == ["x", "y"]
    assert {m.received for m in bench.stored.messages.values()} == {1}


@in_virtual_time
async def test_however_many_are_parked_they_stay_invisible_by_few_requests_a_second() -> None:
    """What is worked on is extended beside it, in time."""
    bench = Bench(latency_s=0.02)
    bench.stored.send(*map(str, range(1200)))
    async with bench.keeping():
        for _ in range(119):
            await bench.receiver.park(await bench.receive())
        await bench.receive()
        before = bench.client.calls["change_message_visibility_batch"]
        for _ in range(600):
            seen = bench.client.calls["change_message_visibility_batch"]
            await anyio.sleep(1)
            assert bench.visible == []
            assert bench.client.calls["change_message_visibility_batch"] - seen <= 1 / RENEWAL_PAUSE_S + 2
        renewals = bench.client.calls["change_message_visibility_batch"] - before
        assert bench.receiver.parked == 1190
        assert 119 * 3 <= renewals <= 119 * 5 + 600 / (VISIBILITY_S / 3) + 1, "in full batches, not too often"


@in_virtual_time
async def test_what_came_back_while_the_daemon_stood_still_is_not_hidden_again() -> None:
    """It is received like any other, and is not late."""
    bench = Bench()
    bench.stored.send("x")
    await bench.receiver.park(await bench.receive())
    await anyio.sleep(PARKED_S + 1)
    assert bench.receiver.parked == 0
    async with bench.keeping():
        await anyio.sleep(PARKED_S)
        assert bench.visible == ["x"]
        assert bench.client.calls["change_message_visibility_batch"] == 2, "to park it, and to learn that it is over"
        messages, late = await bench.receiver.receive(BY)
    assert (len(messages), late) == (1, 0)


@in_virtual_time
async def test_what_was_asked_for_again_is_not_hidden_again() -> None:
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        await bench.receiver.park(await bench.receive())
        await anyio.sleep(PARKED_S)
        await bench.receiver.redeliver({"m1"})
        assert bench.receiver.parked == 0
        await anyio.sleep(PARKED_S)
        assert bench.visible == ["x"]


@in_virtual_time
async def test_what_is_too_much_to_remember_is_left_invisible_for_long() -> None:
    """Else it would come again every few minutes, and each time is a receive."""
    bench = Bench()
    bench.receiver._parked = Parked(most=5)
    bench.stored.send(*map(str, range(10)))
    async with bench.keeping():
        await bench.receiver.park(await bench.receive())
        assert bench.receiver.parked == 5
        await anyio.sleep(HOURS_12 - 60)
        assert bench.visible == []
        await anyio.sleep(120)
        assert len(bench.visible) == 10


@in_virtual_time
async def test_a_parked_message_comes_again_on_request_with_those_behind_it() -> None:
    """Of a group nothing is delivered while one of its messages is invisible."""
    bench = Bench(ordered=True)
    bench.stored.send("a1", "a2", group="a")
    bench.stored.send("b1", group="b")
    await bench.receiver.park(await bench.receive())
    bench.stored.send("a3", group="a")
    assert await bench.bodies() == []
    await bench.receiver.redeliver({"m1", "unknown"})
    assert await bench.bodies() == ["a1", "a2", "a3"]
    assert bench.receiver.parked == 1


@in_virtual_time
async def test_what_is_parked_is_given_back_at_the_end() -> None:
    """Whoever receives next may be able to take it, and has no receipt with which to ask for it."""
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        await bench.receiver.park(await bench.receive())
        assert bench.visible == []
    assert bench.visible == ["x"]


@in_virtual_time
async def test_a_message_that_was_parked_does_not_count_as_late() -> None:
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        await bench.receiver.park(await bench.receive())
        for _ in range(60):
            await bench.receive()
        claim = bench.receiver.claim(BY)
        assert claim is not None
        assert claim > bench.receiver._caller.clock.latest() - timedelta(seconds=160)
        await bench.receiver.redeliver({"m1"})
        messages, late = await bench.receiver.receive(BY)
        assert (len(messages), late) == (1, 0)


@in_virtual_time
async def test_counts_that_somebody_else_has_asked_for_are_not_asked_for_again() -> None:
    """The status looks at the depth every five seconds, which is often enough for the receivers, too."""
    bench = Bench()

    async def look() -> None:
        while True:
            await bench.receiver.counts()
            await anyio.sleep(5)

    async with bench.keeping(), anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        for _ in range(12):
            await bench.receive()
        assert bench.client.calls["get_queue_attributes"] <= 60 / 5 + 2
        assert bench.receiver.time._counted is not None
        tasks.cancel_scope.cancel()


# --- time -------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_claim_waits_for_what_others_have_not_settled() -> None:
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        (receipt,) = await bench.receive("other")
        for _ in range(60):
            await bench.receive()
        assert bench.receiver.claim(BY) == receipt.sent_at
        await bench.receiver.settle([receipt])
        await bench.receive()
        claim = bench.receiver.claim(BY)
        assert claim is not None
        assert claim > receipt.sent_at


@pytest.mark.parametrize("parks", [False, True])
@in_virtual_time
async def test_what_waits_behind_a_message_of_its_group_is_not_claimed(parks: bool) -> None:
    """A receive that brings nothing says nothing of messages that nobody can receive, however long it takes."""
    bench = Bench(ordered=True)
    bench.stored.send(*"abcdefghijkl", group="g")
    async with bench.keeping():
        held = await bench.receive()
        if parks:
            await bench.receiver.park(held)
        for _ in range(60):
            assert await bench.receive("receiver-1") == []
            await bench.receiver.counts()
            claim = bench.receiver.claim(BY)
            assert claim is None or claim <= held[0].sent_at
        await (bench.receiver.redeliver([r.id for r in held]) if parks else bench.receiver.settle(held))
        claim = bench.receiver.claim(BY)
        assert claim is None or claim <= held[0].sent_at, "what waited has still to be received"
        for _ in range(2 if parks else 1):
            messages, late = await bench.receiver.receive(BY)
            assert messages
            assert late == 0
            await bench.receiver.settle([message.receipt for message in messages])
        for _ in range(60):
            assert await bench.receive() == []
            await bench.receiver.counts()
        claim = bench.receiver.claim(BY)
    assert claim is not None
    assert claim > held[0].sent_at, "it moves on when the group has been worked off"


@in_virtual_time
async def test_a_message_that_was_delivered_again_holds_the_claim_until_every_delivery_is_settled() -> None:
    """Nothing is known of the first one yet."""
    bench = Bench()
    bench.stored.send("x")
    async with bench.keeping():
        (receipt,) = await bench.receive("other")
        bench.stored.messages["m1"].visible_at = elapsed_s()
        await bench.receiver.settle(await bench.receive())
        for _ in range(60):
            await bench.receive()
        assert bench.receiver.expired == 1
        assert bench.receiver.claim(BY) == receipt.sent_at


@in_virtual_time
async def test_a_receive_whose_answer_was_lost_holds_the_claim_until_its_messages_come_again() -> None:
    bench = Bench()
    async with bench.keeping():
        for _ in range(60):
            await bench.receive()
        bench.stored.send("x")
        sent_at = elapsed_s()
        bench.client.lost = {"receive_message"}
        found: list[str] = []
        while not found:
            found = await bench.bodies()
            claim = bench.receiver.claim(BY)
            assert claim is not None
            assert found or claim <= bench.receiver._caller.clock.latest(sent_at)
        assert bench.receiver.time.claimed is not None
        assert elapsed_s() - sent_at >= VISIBILITY_S


def test_what_is_renewed_after_its_last_moment_is_let_go_and_asks_for_no_time_before_now() -> None:
    """A daemon may have stood still meanwhile, and such a request is refused."""
    receipt = Receipt("m", "handle", datetime(2026, 11, 23, tzinfo=UTC), asked_at=0.0)
    parked = Parked()
    parked.add(receipt, LONGEST_INVISIBLE_S - 2 * PARKED_S)
    after = LONGEST_INVISIBLE_S + 100.0
    assert parked.due(after, 10) == [(receipt, 0)]
    parked.renewed(receipt, after, 0)
    assert parked.due(after + PARKED_S, 10) == []


def test_what_was_let_go_holds_the_time_of_its_group_until_it_should_have_come_again() -> None:
    receipt = Receipt("m", "handle", datetime(2026, 11, 23, tzinfo=UTC), asked_at=0.0)
    parked = Parked()
    parked.add(receipt, 0.0)
    parked.let_go([receipt], 100.0)
    assert parked.invisible(100.0) == []
    assert parked.oldest(99.0 + RETURN_S) == receipt.sent_at
    assert parked.oldest(100.0 + RETURN_S) is None
    assert parked.back("m"), "when it comes after all, it contradicts no claim"

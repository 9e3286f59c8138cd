"""Following: what is handed out, settled and claimed."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.connectors.aws.s3.test_events import bridged, classic, wrapped

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.s3.event_time import MOST_SLACK, EventTime
from connectors.aws.s3.following import RECEIVE_MARGIN
from connectors.aws.s3.notifications import ELSEWHERE, Notifications
from connectors.aws.sqs.queue import Queue
from connectors.aws.sqs.queue_time import QueueTime
from connectors.aws.sqs.receiving import Receiver
from fakes.follower import telemetry
from fakes.queues import ARN, URL, QueueClient, StoredQueue
from fakes.streams import AHEAD_S, client_error
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import PositionLostError
from replicator.model import Batch, Operation, Partition, Resume

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replicator.objects import StoredObject

MARGIN = timedelta(seconds=300)
PARTITION = Partition("receiver-0", bounded=False)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


class Bench:
    """Notifications of the bucket `media` over a queue in memory."""

    def __init__(self, prefix: str = "", visibility_s: int = 60) -> None:
        self.stored = StoredQueue()
        self.client = QueueClient(self.stored)
        queue = Queue(URL, ARN, False, timedelta(days=4), 30, 0)
        caller, told = Caller("source", telemetry(), YieldingBudget(1.0)), telemetry()
        time = QueueTime(RECEIVE_MARGIN)
        receiver = Receiver(caller, self.client, queue, told, time, wait_s=5, visibility_s=visibility_s)
        self.notifications = Notifications(receiver, "media", prefix, EventTime(MARGIN), told)

    def send(self, *messages: Any) -> None:
        self.stored.send(*(m if isinstance(m, str) else json.dumps(m) for m in messages))

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """As the source does it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.notifications.keep)
            yield
            tasks.cancel_scope.cancel()
        await self.notifications.close()

    async def one(self, resume: Resume | None = None) -> Batch[StoredObject]:
        async with aclosing(self.notifications.read(PARTITION, resume or Resume())) as batches:
            return await anext(batches)


def service_now(ago_s: float = 0.0) -> datetime:
    """By the clock of the queue."""
    return datetime.fromtimestamp(elapsed_s() + AHEAD_S - ago_s, UTC)


def happened(key: str, ago_s: float) -> dict[str, Any]:
    return {"Records": [classic(key, eventTime=service_now(ago_s).isoformat())]}


@in_virtual_time
async def test_one_look_for_each_key_at_the_time_of_its_first_event() -> None:
    bench = Bench()
    bench.send({"Records": [classic("a b"), classic("ü", eventTime="2026-11-23T07:00:00Z")]})
    bench.send(bridged("a+b"), wrapped({"Records": [classic("a b", eventTime="2026-11-23T06:00:00Z")]}))
    batch = await bench.one()
    assert {change.key: change.committed_at for change in batch.changes} == {
        "a b": NOW - timedelta(hours=2),
        "ü": NOW - timedelta(hours=1),
        "a+b": NOW,
    }
    assert all(change.operation is Operation.LOOK and change.record.listed for change in batch.changes)
    assert (batch.read, len(batch.receipts), batch.position) == (4, 3, None)
    bench.send({"Records": [classic("k", eventTime="2026-11-23T06:00:00Z"), classic("k")]})
    assert [change.committed_at for change in (await bench.one()).changes] == [NOW - timedelta(hours=2)]


@in_virtual_time
async def test_messages_are_kept_until_they_are_settled_and_then_gone() -> None:
    bench = Bench(visibility_s=10)
    bench.send({"Records": [classic("a")]})
    async with bench.keeping():
        batch = await bench.one()
        await anyio.sleep(100)
        assert not (await bench.one()).receipts, "nobody else sees it"
        assert len(bench.stored.messages) == 1
        await bench.notifications.settle(batch)
        assert not bench.stored.messages


@in_virtual_time
async def test_what_is_not_settled_comes_again_at_once_after_a_stop() -> None:
    bench = Bench()
    bench.send({"Records": [classic("a")]})
    async with bench.keeping():
        await bench.one()
    assert [change.key for change in (await bench.one()).changes] == ["a"]


@in_virtual_time
async def test_what_concerns_nothing_of_ours_is_settled_and_counted() -> None:
    bench = Bench(prefix="in/")
    other = classic("in/x")
    other["s3"]["bucket"]["name"] = "other"
    bench.send("hello", {"Event": "s3:TestEvent"}, {"Records": [other]}, {"Records": [classic("out")]}, "{}")
    bench.send({"Records": [classic("in/a"), classic("out"), classic("in/b", eventSource="aws:ses")]})
    async with bench.keeping():
        batch = await bench.one()
        assert [change.key for change in batch.changes] == ["in/a"]
        unread = {"no JSON": 1, "no event of S3": 1, "an event of another service": 1}
        assert bench.notifications.ignored == {ELSEWHERE: 3, **unread}
        await bench.notifications.settle(batch)
        bench.send("hello")
        batch = await bench.one()
        assert (batch.changes, len(batch.receipts)) == ((), 1)
        await bench.notifications.settle(batch)
    assert not bench.stored.messages


@in_virtual_time
async def test_an_event_without_a_time_happened_before_it_was_sent() -> None:
    bench = Bench()
    bench.send({"Records": [classic("a", eventTime=None)]})
    sent_at = service_now()
    (change,) = (await bench.one()).changes
    assert change.committed_at is not None
    assert abs(change.committed_at - sent_at) < timedelta(seconds=1)


@in_virtual_time
async def test_a_queue_that_is_gone_stops_the_pipeline() -> None:
    bench = Bench()
    bench.client.fault = lambda operation: client_error(operation, "QueueDoesNotExist")
    with pytest.raises(PositionLostError, match="orders cannot be received from"):
        await bench.one()
    async with bench.keeping():
        await anyio.sleep(100)


async def claims(bench: Bench, seconds: float, resume: Resume | None = None) -> list[Batch[StoredObject]]:
    """All batches of so long, each settled."""
    found: list[Batch[StoredObject]] = []
    with anyio.move_on_after(seconds):
        async with aclosing(bench.notifications.read(PARTITION, resume or Resume())) as batches:
            async for batch in batches:
                found.append(batch)
                await bench.notifications.settle(batch)
    return found


@in_virtual_time
async def test_on_idle_the_claim_trails_by_the_margin() -> None:
    bench = Bench()
    async with bench.keeping():
        (*_, last) = await claims(bench, 2000)
    assert last.replicated_through is not None
    behind = service_now() - last.replicated_through
    assert MARGIN < behind < MARGIN + timedelta(seconds=150)


@in_virtual_time
async def test_nothing_is_claimed_before_it_is_known() -> None:
    bench = Bench()
    async with bench.keeping():
        first, *_ = await claims(bench, 20)
    assert first.replicated_through is None


@in_virtual_time
async def test_an_event_within_the_margin_is_never_late() -> None:
    bench = Bench()
    async with bench.keeping(), anyio.create_task_group() as tasks:

        async def write() -> None:
            for number in range(400):
                await anyio.sleep(7)
                bench.send(happened(f"k{number}", ago_s=(number * 37) % 295))

        tasks.start_soon(write)
        found = await claims(bench, 3000)
    assert sum(batch.read for batch in found) == 400
    assert not any(batch.late for batch in found)
    assert found[-1].replicated_through is not None


@in_virtual_time
async def test_a_late_event_is_owned_up_to_and_widens_the_margin() -> None:
    bench = Bench()
    async with bench.keeping():
        await claims(bench, 1000)
        bench.send(happened("late", ago_s=2000))
        found = await claims(bench, 4000)
    assert sum(batch.late for batch in found) == 1
    last = found[-1].replicated_through
    assert last is not None
    assert service_now() - last > timedelta(seconds=1500)


@in_virtual_time
async def test_a_claim_is_taken_up_again_after_a_restart() -> None:
    bench, claimed = Bench(), service_now(100)
    bench.send(happened("k", ago_s=200))
    async with bench.keeping():
        first, *_ = await claims(bench, 20, Resume(replicated_through=claimed))
    assert first.late == 1
    assert first.replicated_through == claimed


def test_claims_never_go_back_and_slack_is_bounded() -> None:
    time = EventTime(MARGIN)
    assert time.claim(None) is None
    claimed = time.claim(NOW)
    assert claimed == NOW - MARGIN
    assert time.events([claimed - timedelta(days=1)]) == 1
    assert time.claim(NOW + timedelta(seconds=1)) == claimed
    assert time.claim(NOW + MOST_SLACK) == claimed
    assert time.claim(NOW + MOST_SLACK + timedelta(seconds=1)) == claimed + timedelta(seconds=1)
    assert time.claim(None) == claimed + timedelta(seconds=1)


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 60), st.booleans()), max_size=40))
def test_the_margin_grows_no_further_than_events_come_late(steps: list[tuple[float, float, bool]]) -> None:
    """Events that come up to a minute behind the margin cost no more than that minute, however many there are."""
    time, now = EventTime(MARGIN), NOW
    for passed_s, late_s, claims in steps:
        now += timedelta(seconds=passed_s)
        if claims:
            time.claim(now)
        time.events([now - MARGIN - timedelta(seconds=late_s)])
    later = now + timedelta(days=1)
    claimed = time.claim(later)
    assert claimed is not None
    assert claimed >= later - MARGIN - timedelta(seconds=60)


def test_a_claim_is_resumed_only_before_anything_is_known() -> None:
    time = EventTime(MARGIN)
    assert time.resume(None) is None
    assert time.resume(NOW) == NOW + MARGIN
    time.resume(NOW - timedelta(seconds=9))
    assert time.claimed == NOW - timedelta(seconds=9)
    time.claim(NOW + MARGIN)
    time.resume(NOW - timedelta(days=1))
    assert time.claimed == NOW

"""A queue as a source, over hours: nothing is lost, nothing is received without need, an end is an end."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from structlog.testing import capture_logs

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.sqs import consumers
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.consumers import OldestAge
from connectors.aws.sqs.source import SqsSource
from fakes.follower import telemetry
from fakes.queues import ARN, QueueClient, StoredQueue
from fakes.streams import AHEAD_S, Answer, client_error
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.messages import Message
from replicator.model import Mode, Partition, Resume, Severity
from replicator.registry import SourceContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replicator.model import Batch

HOUR_S = 3600


class LambdaClient:
    """Knows the mappings of the queue, on several pages."""

    def __init__(self, states: Sequence[str] = (), latency_s: float = 0.0) -> None:
        self.states = list(states)
        self._latency_s = latency_s

    async def list_event_source_mappings(self, **parameters: Any) -> Answer:
        await anyio.sleep(self._latency_s)
        number = int(parameters.get("Marker", 0))
        shown = [
            {"State": state, "FunctionArn": f"arn:aws:lambda:eu-west-1:123456789012:function:worker-{state}"}
            for state in self.states[number : number + 1]
        ]
        more = {"NextMarker": str(number + 1)} if number + 1 < len(self.states) else {}
        return {"EventSourceMappings": shown, **more}


class MetricsClient:
    """Tells ages, or refuses to."""

    def __init__(self, ages: Sequence[float] = ()) -> None:
        self.ages = ages
        self.calls = 0
        self.error: Exception | None = None

    async def get_metric_statistics(self, **parameters: Any) -> Answer:
        self.calls += 1
        assert parameters["Dimensions"] == [{"Name": "QueueName", "Value": "orders"}]
        if self.error is not None:
            raise self.error
        start = parameters["StartTime"]
        points = [{"Timestamp": start + timedelta(minutes=n), "Maximum": age} for n, age in enumerate(self.ages)]
        return {"Datapoints": points[::-1]}


class Bench:
    """A source of a queue that is made for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ordered: bool = False, states: Sequence[str] = ()) -> None:
        self.stored = StoredQueue(ordered=ordered)
        self.client = QueueClient(self.stored, latency_s=0.02)
        self.metrics = MetricsClient()
        self.siblings: frozenset[tuple[str, ...]] = frozenset()
        self.lambda_latency_s = 0.0

        @asynccontextmanager
        async def opened(service: str, *_: object) -> AsyncIterator[LambdaClient]:
            assert service == "lambda"
            yield LambdaClient(states, self.lambda_latency_s)

        monkeypatch.setattr(consumers, "open_client", opened)

    @asynccontextmanager
    async def source(self, mode: Mode = Mode.ASYNC, **settings: Any) -> AsyncIterator[SqsSource]:
        """Connected and kept, as `open_source` does."""
        config = SqsSourceConfig(type="sqs", **{"queue": "orders", "consume": "mirror", **settings})
        context = SourceContext("source", telemetry(), mode, self.siblings)
        source = SqsSource(config, context, self.client, self.metrics)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.keep)
            await source.connect()
            yield source
            tasks.cancel_scope.cancel()
        await source.close()

    @property
    def receives(self) -> set[int]:
        """How often messages were received."""
        return {message.received for message in self.stored.messages.values()}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def some(source: SqsSource, count: int, partition: Partition | None = None) -> list[Batch[Message]]:
    """So many batches, settled."""
    found: list[Batch[Message]] = []
    partition = partition or (await source.follow_partitions())[0]
    async with aclosing(source.read(partition, Resume())) as read:
        async for batch in read:
            found.append(batch)
            await source.settle(batch, ())
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize(("consume", "severity"), [("hold", Severity.NOTE), ("forward", Severity.ERROR)])
def test_what_a_held_queue_does_not_need_yet_stands_against_no_run(
    bench: Bench, consume: str, severity: Severity
) -> None:
    """A policy for watching is enough to watch."""

    async def denied(**_: Any) -> Answer:
        raise client_error("change_message_visibility", "AccessDeniedException")

    @in_virtual_time
    async def run() -> None:
        bench.client.change_message_visibility = denied  # type: ignore[method-assign]
        async with bench.source(consume=consume) as source:
            (finding,) = [f for f in await source.check() if f.message.startswith("sqs:ChangeMessageVisibility")]
            assert finding.severity is severity

    run()


def refused(match: str) -> pytest.RaisesGroup[ConfigurationError]:
    """A start that must be mended first."""
    return pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=match))


def ago_s(moment: datetime | None) -> float:
    """How long ago an instant of the service's was."""
    assert moment is not None
    return elapsed_s() + AHEAD_S - moment.timestamp()


def test_an_hour_without_a_target_costs_no_message_a_receive(bench: Bench) -> None:
    """With 5 receives until the dead-letter queue, more than one an hour would be felt; there is one in all."""

    @in_virtual_time
    async def run() -> None:
        bench.stored.send(*map(str, range(100)))
        async with bench.source() as source:
            (partition, *_) = await source.follow_partitions()
            async with aclosing(source.read(partition, Resume())) as read:
                batch = await anext(read)
                await anyio.sleep(HOUR_S)
                assert bench.receives == {0, 1}
                assert bench.client.calls["receive_message"] == 1
                await source.settle(batch, ())
        assert len(bench.stored.messages) == 90
        assert bench.receives == {0}

    run()


def test_a_drain_waits_the_longest_delay_out_and_ends(bench: Bench) -> None:
    @in_virtual_time
    async def run() -> None:
        bench.stored.send("now")
        bench.stored.send("later", delay_s=900)
        began = elapsed_s()
        async with bench.source(Mode.COPY, consume="hold") as source:
            partitions = await source.copy_partitions()
            assert len(partitions) == 4
            assert all(p.bounded for p in partitions)
            found: list[str] = []

            async def drain(partition: Partition) -> None:
                async for batch in source.read(partition, Resume()):
                    found.extend(change.record.body for change in batch.changes)
                    await source.settle(batch, ())

            async with anyio.create_task_group() as tasks:
                for partition in partitions:
                    tasks.start_soon(drain, partition)
        assert found == ["now", "later"]
        assert 900 + 60 <= elapsed_s() - began < 900 + 60 + 30

    run()


def test_a_copy_that_begins_anew_takes_what_has_come_since(bench: Bench) -> None:
    @in_virtual_time
    async def run() -> None:
        bench.stored.send("now")
        async with bench.source(Mode.COPY, receivers=1) as source:
            for expected in (["now"], ["later"], []):
                (partition,) = await source.copy_partitions()
                found: list[str] = []
                async for batch in source.read(partition, Resume()):
                    found.extend(change.record.body for change in batch.changes)
                    await source.settle(batch, ())
                assert found == expected
                if found == ["now"]:
                    bench.stored.send("later")

    run()


def test_what_waits_behind_a_parked_message_ends_a_drain_and_what_is_parked_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cannot be received before the other is mended, which nobody does who waits for the end."""

    @in_virtual_time
    async def run() -> None:
        bench = Bench(monkeypatch, ordered=True)
        bench.stored.send(*(f"m{number}" for number in range(12)), group="g")
        async with bench.source(Mode.COPY, receivers=1) as source:
            (partition,) = await source.copy_partitions()
            with anyio.fail_after(300):
                async for batch in source.read(partition, Resume()):
                    await source.settle(batch, [change.key for change in batch.changes])
            depth = await source.depth()
            assert depth is not None
            assert (depth.visible, depth.in_flight, depth.parked, depth.waiting) == (2, 10, 10, 2)

    run()


@pytest.mark.parametrize("counts_nothing", [False, True])
def test_a_drain_does_not_end_while_a_batch_is_not_settled(bench: Bench, *, counts_nothing: bool) -> None:
    """It may come again, also if the service's counts do not show it yet."""

    @in_virtual_time
    async def run() -> None:
        bench.stored.send("x")
        bench.client.counts_nothing = counts_nothing
        async with bench.source(Mode.COPY) as source:
            one, two, *_ = await source.copy_partitions()
            async with aclosing(source.read(one, Resume())) as read:
                batch = await anext(read)
                with anyio.move_on_after(HOUR_S) as waited:
                    async for _ in source.read(two, Resume()):
                        pytest.fail("there is nothing more")
                assert waited.cancelled_caught
                await source.settle(batch, ())
                with anyio.fail_after(200):
                    assert await anext(read, None) is None

    run()


@pytest.mark.parametrize("consume", ["hold", "mirror"])
@pytest.mark.parametrize("account", ["", "123456789012"])
def test_a_queue_has_one_pipeline(bench: Bench, consume: str, account: str) -> None:
    """Whether it holds messages or a bucket's notifications: two that receive would share what is in it."""

    @in_virtual_time
    async def run() -> None:
        bench.siblings = frozenset({("sqs", "", account, "orders")})
        with refused("source.queue: another pipeline takes from this queue"):
            async with bench.source(queue=ARN, consume=consume):
                pass
        bench.siblings = frozenset({("sqs", "", "000000000000", "orders"), ("sqs", "us-east-1", "", "orders"), ()})
        async with bench.source(queue=ARN, consume=consume):
            pass

    run()


@pytest.mark.parametrize(
    ("sibling", "warned"), [(("sqs", "", "", "dead"), False), (("sqs", "", "", "other"), True), (None, True)]
)
def test_a_dead_letter_queue_that_nobody_migrates_is_told_by_a_run_too(
    bench: Bench, sibling: tuple[str, ...] | None, *, warned: bool
) -> None:
    """A held queue's messages go there as well: by the functions that fail."""

    @in_virtual_time
    async def run() -> None:
        dead = ARN.replace("orders", "dead")
        bench.client.attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 10})
        bench.siblings = frozenset({sibling} if sibling else ())
        with capture_logs() as logs:
            async with bench.source(consume="hold"):
                pass
        assert [line["dead_letter_queue"] for line in logs if line["log_level"] == "warning"] == ["dead"] * warned

    run()


@pytest.mark.parametrize("states", [["Enabled"], ["Disabled", "Enabling"], ["Disabled", "Disabling"]])
def test_a_queue_that_a_function_still_works_is_refused(monkeypatch: pytest.MonkeyPatch, states: list[str]) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = Bench(monkeypatch, states=states)
        with refused(f"worker-{states[-1]}"):
            async with bench.source(consume="forward"):
                pass

    run()


def test_what_a_receive_brings_after_its_queue_is_held_again_is_given_back(bench: Bench) -> None:
    """Whoever worked on the queue before the drain does so again."""

    @in_virtual_time
    async def run() -> None:
        async with bench.source(consume="hold", wait_s=20) as source:
            await source.take(True)
            (partition, *_) = await source.follow_partitions()
            async with aclosing(source.read(partition, Resume())) as read, anyio.create_task_group() as tasks:

                async def hold() -> None:
                    await anyio.sleep(1)
                    await source.take(None)
                    bench.stored.send("x")

                tasks.start_soon(hold)
                batch = await anext(read)
                assert (batch.changes, batch.receipts) == ((), ())
                assert [m.body for m in bench.stored.take(10, 30, elapsed_s())] == ["x"]
                await source.take(True)
                bench.stored.send("y")
                batch = await anext(read)
                assert [change.record.body for change in batch.changes] == ["y"]
                await source.settle(batch, ())

    run()


@pytest.mark.parametrize("late", [False, True])
def test_what_was_refused_is_anybodys_again_when_its_queue_is_held_again(
    monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """With the rest of its group, which would wait for it otherwise; also if it is refused only then."""

    @in_virtual_time
    async def run() -> None:
        bench = Bench(monkeypatch, ordered=True)
        async with bench.source(consume="hold") as source:
            await source.take(True)
            (refused,) = bench.stored.send("refused", group="g")
            (partition, *_) = await source.follow_partitions()
            async with aclosing(source.read(partition, Resume())) as read:
                batch = await anext(read)
                bench.stored.send("behind", group="g")
                if late:
                    await source.take(None)
                await source.settle(batch, {refused})
                if not late:
                    await source.take(None)
            assert [m.body for m in bench.stored.take(10, 30, elapsed_s())] == ["refused", "behind"]

    run()


def test_a_refused_message_that_others_have_worked_on_meanwhile_holds_no_time_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the next drain of a FIFO queue would wait for it for ever."""

    @in_virtual_time
    async def run() -> None:
        bench = Bench(monkeypatch, ordered=True)
        async with bench.source(consume="hold") as source:
            await source.take(True)
            (refused,) = bench.stored.send("refused", group="g")
            (partition, *_) = await source.follow_partitions()
            async with aclosing(source.read(partition, Resume())) as read:
                await source.settle(await anext(read), {refused})
            await source.take(None)
            del bench.stored.messages[refused]
            await anyio.sleep(HOUR_S)
            await source.take(True)
            found = await some(source, 60, partition)
            assert ago_s(found[-1].replicated_through) <= 150

    run()


def test_a_queue_can_be_held_again_while_the_service_does_not_answer(bench: Bench) -> None:
    """What was refused then comes again by itself, within minutes."""

    @in_virtual_time
    async def run() -> None:
        async with bench.source(consume="hold") as source:
            await source.take(True)
            (refused,) = bench.stored.send("refused")
            (partition, *_) = await source.follow_partitions()
            async with aclosing(source.read(partition, Resume())) as read:
                await source.settle(await anext(read), {refused})
            bench.client.fault = lambda operation: client_error(operation, "InternalError")
            with anyio.fail_after(10):
                await source.take(None)
            await anyio.sleep(300)
            assert [m.body for m in bench.stored.take(10, 30, elapsed_s())] == ["refused"]

    run()


def test_a_queue_that_is_held_again_while_its_release_is_looked_into_stays_held(bench: Bench) -> None:
    @in_virtual_time
    async def run() -> None:
        bench.lambda_latency_s = 2.0
        async with bench.source(consume="hold") as source:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(source.take, True)
                await anyio.sleep(1)
                await source.take(None)
            assert not source.receives

    run()


def test_an_idle_queue_proves_time_and_a_delayed_message_holds_it(bench: Bench) -> None:
    @in_virtual_time
    async def run() -> None:
        async with bench.source() as source:
            found = await some(source, 60)
            assert 60 <= ago_s(found[-1].replicated_through) <= 150
            bench.stored.send("x", delay_s=600)
            sent_at = datetime.fromtimestamp(elapsed_s() + AHEAD_S, UTC)
            found = await some(source, 110)
            assert all(b.replicated_through is not None and b.replicated_through <= sent_at for b in found)
            found = await some(source, 60)
            assert sum(batch.read for batch in found) == 1
            assert ago_s(found[-1].replicated_through) <= 150
            assert sum(batch.late for batch in found) == 0

    run()


def test_a_message_that_others_of_ours_hold_holds_the_time_of_all(bench: Bench) -> None:
    @in_virtual_time
    async def run() -> None:
        async with bench.source() as source:
            one, two, *_ = await source.follow_partitions()
            await some(source, 60, one)
            bench.stored.send("x")
            async with aclosing(source.read(two, Resume())) as read:
                held = await anext(read)
                (change,) = held.changes
                found = await some(source, 60, one)
                assert change.committed_at is not None
                assert found[-1].replicated_through == change.committed_at
                depth = await source.depth()
                assert depth is not None
                assert depth.oldest_age_s == pytest.approx(ago_s(change.committed_at), abs=2)

    run()


class TestOldestAge:
    """Of a queue that is only watched, CloudWatch tells the age."""

    def test_the_latest_reading_counts_and_is_asked_for_once_a_minute(self, bench: Bench) -> None:
        @in_virtual_time
        async def run() -> None:
            bench.stored.send("x")
            bench.metrics.ages = [5.0, 50.0, 20.0]
            async with bench.source(consume="hold") as source:
                for _ in range(10):
                    depth = await source.depth()
                    assert depth is not None
                    assert (depth.oldest_age_s, depth.held, depth.visible) == (20.0, True, 1)
                    await anyio.sleep(12)
            assert bench.metrics.calls == 2
            assert bench.client.calls["receive_message"] == 0

        run()

    @pytest.mark.parametrize("code", ["AccessDenied", "InternalFailure", "ValidationError"])
    def test_where_it_is_not_told_it_is_unknown(self, bench: Bench, code: str) -> None:
        @in_virtual_time
        async def run() -> None:
            bench.stored.send("x")
            bench.metrics.error = client_error("get_metric_statistics", code, status=500)
            async with bench.source(consume="hold") as source:
                depth = await source.depth()
                assert depth is not None
                assert depth.oldest_age_s is None

        run()

    @in_virtual_time
    async def test_without_readings_it_is_unknown(self) -> None:
        caller = Caller("source", telemetry(), YieldingBudget(1.0))
        caller.clock.observe(datetime(2026, 11, 23, tzinfo=UTC), elapsed_s(), elapsed_s())
        assert await OldestAge(caller, MetricsClient(), "orders", caller.clock).read() is None


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"queue": "orders"}, ("sqs", "", "", "orders")),
        ({"queue": "orders", "region": "eu-west-1"}, ("sqs", "eu-west-1", "", "orders")),
        ({"queue": "arn:aws:sqs:eu-west-1:123456789012:o.fifo"}, ("sqs", "eu-west-1", "123456789012", "o.fifo")),
        ({"queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/o"}, ("sqs", "eu-west-1", "123456789012", "o")),
        ({"queue": "http://127.0.0.1:4566/000000000000/orders"}, ("sqs", "", "000000000000", "orders")),
        ({"queue": "https://sqs.internal/queues/of/orders"}, ("sqs", "", "", "orders")),
    ],
)
def test_the_place_of_a_queue_is_the_same_however_it_is_named(settings: dict[str, Any], place: tuple[str, ...]) -> None:
    assert SqsSourceConfig(type="sqs", **settings).place == place

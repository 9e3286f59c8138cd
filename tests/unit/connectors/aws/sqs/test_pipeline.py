"""A whole pipeline of messages out of an SQS queue: crashes, failing calls, rejections, and the end of mode copy."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from connectors.aws.sqs import consumers
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.source import SqsSource
from fakes.memory import Fate
from fakes.queue import Sink, SinkTarget
from fakes.queues import QueueClient, StoredQueue
from fakes.rig import LIFETIME_S, NAME, TIMEOUT_S, Crash, faulty
from fakes.stores import InlineStore
from fakes.streams import client_error
from fakes.virtual import in_virtual_time
from replicator.delivery import AdaptiveLimiter, Delivery, Fence, RateBudget
from replicator.engine.pipeline import Pipeline, PipelineOptions
from replicator.model import Mode, Phase
from replicator.registry import SourceContext
from replicator.telemetry import Metrics, PipelineTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fakes.streams import Answer
    from replicator.messages import Message

SEEDS = range(8)


class NoFunctions:
    async def list_event_source_mappings(self, **_: Any) -> Answer:
        return {"EventSourceMappings": []}

    async def get_metric_statistics(self, **_: Any) -> Answer:
        return {"Datapoints": []}


class Rig:
    """Queue, sink and store outlive the processes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int = 0, *, mode: Mode = Mode.ASYNC) -> None:
        self.rng = random.Random(seed)
        self.stored = StoredQueue(ordered=True)
        self.client = QueueClient(self.stored, latency_s=0.02)
        self.sink = Sink()
        self.crash = Crash()
        self.store = InlineStore(self._step)
        self.sink.service.step = self._step
        self.sent: list[tuple[str, str]] = []
        self._mode = mode

        @asynccontextmanager
        async def opened(*_: object) -> AsyncIterator[NoFunctions]:
            yield NoFunctions()

        monkeypatch.setattr(consumers, "open_client", opened)

    def _step(self, where: str) -> None:
        self.crash.step(where)

    def fill(self, count: int) -> None:
        for number in range(count):
            group = f"g{number % 3}"
            (id_,) = self.stored.send(str(number), group=group)
            self.sent.append((group, id_))

    def faulty(self) -> None:
        """Calls fail before or after their effect, those excepted with which a process begins."""
        codes = ["InternalServerError", "RequestThrottled"]

        def fault(operation: str) -> Exception | None:
            if operation.startswith("get_"):
                return None
            if self.rng.random() < 0.05:
                self.client.lost.add(operation)
            return client_error(operation, self.rng.choice(codes), status=500) if self.rng.random() < 0.1 else None

        self.client.fault = fault

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Pipeline[Message]]:
        """A new one, taken and not yet running."""
        telemetry, fence = PipelineTelemetry(Metrics(), NAME), Fence(LIFETIME_S)
        fence.extend(float("inf"))
        delivery = Delivery(
            limiter=AdaptiveLimiter(64), budget=RateBudget(None), fence=fence, timeout_s=TIMEOUT_S, telemetry=telemetry
        )
        config = SqsSourceConfig(
            type="sqs", queue="orders", consume="mirror", receivers=3, visibility_timeout_s=20, counts_lag_s=5
        )
        source = SqsSource(config, SourceContext("source", telemetry, self._mode), self.client, NoFunctions())
        await source.connect()
        pipeline = Pipeline(
            name=NAME,
            source=source,
            target=SinkTarget(self.sink, delivery),
            delivery=delivery,
            store=self.store,
            options=PipelineOptions(lifetime_s=LIFETIME_S, beat_s=3.0, discover_s=5.0, most_batches=8, mode=self._mode),
            telemetry=telemetry,
        )
        claim = await pipeline.judge(adopt=False)
        assert claim is not None
        await pipeline.take(claim)
        with self.crash.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(source.keep)
                yield pipeline
                tasks.cancel_scope.cancel()
            await source.close()

    async def run_until(self, condition: Callable[[], bool], within_s: float = 1200.0) -> None:
        async with self.process() as pipeline, anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            with anyio.fail_after(within_s):
                while not condition():  # noqa: ASYNC110 — the fakes tell nobody
                    await anyio.sleep(0.1)
            pipeline.drain()

    def assert_delivered(self) -> None:
        passed = [message.id for message in self.sink.first_order]
        assert set(passed) == {id_ for _, id_ in self.sent}
        for group in {group for group, _ in self.sent}:
            mine = [id_ for member, id_ in self.sent if member == group]
            assert [id_ for id_ in passed if id_ in mine] == mine


@pytest.mark.parametrize("seed", SEEDS)
def test_with_crashes_anywhere_every_message_arrives_and_groups_keep_their_order(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(monkeypatch, seed)
        rig.faulty()
        rig.sink.service.fate = faulty(rig.rng, share=0.1)
        rig.fill(60)
        async with rig.store:
            for _ in range(5):
                rig.crash = Crash(rig.rng.randrange(20, 120))
                await rig.run_until(lambda: not rig.stored.messages)
                await anyio.sleep(LIFETIME_S)
            rig.crash = Crash()
            await rig.run_until(lambda: not rig.stored.messages)
        rig.assert_delivered()

    run()


def test_a_rejected_message_holds_its_group_until_it_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(monkeypatch)
        rig.fill(9)
        rig.sink.refuses = lambda message: "too large" if message.id == "m1" else None
        async with rig.store, rig.process() as pipeline, anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(3600)
            assert set(rig.stored.messages) == {"m1", "m4", "m7"}
            assert {m.received for m in rig.stored.messages.values()} <= {0, 1}
            rig.sink.refuses = lambda _: None
            await pipeline.retry(["m1"])
            await anyio.sleep(60)
            assert await rig.store.dead_letters(NAME) == []
            pipeline.drain()
        rig.assert_delivered()

    run()


def test_mode_copy_drains_the_queue_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(monkeypatch, mode=Mode.COPY)
        rig.faulty()
        rig.sink.service.fate = lambda _kind, _key: Fate(0.1, 0.1)
        rig.fill(40)
        async with rig.store, rig.process() as pipeline:
            await pipeline.run()
            assert pipeline.state.phase is Phase.COPIED
        assert not rig.stored.messages
        rig.assert_delivered()

    run()


def test_an_outage_of_an_hour_costs_each_message_one_receive(monkeypatch: pytest.MonkeyPatch) -> None:
    @in_virtual_time
    async def run() -> None:
        rig = Rig(monkeypatch)
        rig.fill(60)
        down = True
        rig.sink.service.fate = lambda _kind, _key: Fate(0.1, float("inf")) if down else Fate(0.1, 0.1)
        async with rig.store, rig.process() as pipeline, anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.run)
            await anyio.sleep(3600)
            assert max(m.received for m in rig.stored.messages.values()) == 1
            down = False
            with anyio.fail_after(600):
                while rig.stored.messages:  # noqa: ASYNC110 — the fakes tell nobody
                    await anyio.sleep(1)
            pipeline.drain()
        rig.assert_delivered()

    run()

"""Order and time across shards: the real source, listing and readers under the real engine, over a scripted stream.

Must hold: per key nothing ever goes backwards, whatever the shards do and however they are listed; and the watermark is
never later than the commit of a change that is not applied, yet moves on when the table is idle.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio
import pytest

from connectors.aws.dynamodb.attributes import read_item
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import DynamoDbSource
from fakes.follower import SETTLE_S, Follower, RecordingTarget, telemetry
from fakes.records import key_of
from fakes.streams import AHEAD_S, TABLE_NAME, Entry, StreamedTable, StreamsClient, client_error
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.documents import Document
from replicator.registry import SourceContext

NAMES = [f"n{i}" for i in range(12)]
MOST_SHARDS = 5
LULL_S = 1.5
WATCH_S = 0.05
IDLE_MARGIN_S = 1.0
VISIBLE_WITHIN_S = 0.8
MOST_LATE_S = SETTLE_S - 1


@dataclass
class World:
    """A table under work, its stream, and a follower of it."""

    seed: int
    ahead_s: float = AHEAD_S
    rate: float = 1.0
    faulty: bool = True
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        self.table = StreamedTable(
            rng, shards=rng.randint(1, 3), ahead_s=self.ahead_s, rate=self.rate, visible_within_s=VISIBLE_WITHIN_S
        )
        self.streams = StreamsClient(self.table, shards_per_page=rng.randint(1, 4), latency_s=0.1, fault=self._fault)
        self.target = RecordingTarget(lambda: rng.choice([0.0, 0.0, 0.02, 0.3]))
        self.follower = Follower(self._source, self.target)
        self.written = anyio.Event()
        self._applied = 0
        self._config = DynamoDbSourceConfig(
            type="dynamodb", table=TABLE_NAME, poll_interval_s=rng.choice([0.1, 0.4]), idle_margin_s=IDLE_MARGIN_S
        )

    async def work(self, changes: int) -> None:
        """Writers at the table, while the stream is resharded. Some keys are hot."""
        for _ in range(changes):
            await anyio.sleep(self.rng.choice([0.0, 0.0, 0.01, self.rng.uniform(0, 0.4), LULL_S]))
            name = NAMES[int(self.rng.random() ** 2 * len(NAMES))]
            self.table.delete(name) if self.rng.random() < 0.2 else self.table.put(name)
            if self.rng.random() < 0.1:
                self._reshard()
        self.written.set()

    async def caught_up(self) -> None:
        """The writers are through, and everything they wrote has been applied."""
        await self.written.wait()
        with anyio.fail_after(60):
            while self.target.records != self.expected():  # noqa: ASYNC110 — virtual time costs nothing
                await anyio.sleep(0.1)

    def expected(self) -> dict[str, Document]:
        rows = {key_of(name): name for name in self.table.rows}
        return {key: record for key, name in rows.items() if (record := self._document(name))}

    def assert_order(self) -> None:
        """For every key, what was applied never goes backwards."""
        for key, versions in self.target.applied.items():
            assert versions == sorted(versions), f"{key}: {versions}"

    def assert_watermark_honest(self) -> None:
        """No change committed before the watermark is unapplied."""
        watermark = self.follower.lineage.replicated_through()
        if watermark is None:
            return
        while self._applied < len(self.table.log) and self._is_applied(self.table.log[self._applied]):
            self._applied += 1
        for entry in self.table.log[self._applied :]:
            due = entry.at < watermark.timestamp()
            assert not due or self._is_applied(entry), f"{entry} is not applied, watermark {watermark.timestamp()}"

    def lag_s(self) -> float:
        """By the service's clock; infinite while the watermark is unknown."""
        watermark = self.follower.lineage.replicated_through()
        return float("inf") if watermark is None else self.table.now() - watermark.timestamp()

    def _is_applied(self, entry: Entry) -> bool:
        applied = self.target.applied.get(key_of(entry.name))
        return applied is not None and applied[-1] >= entry.order

    def _document(self, name: str) -> Document:
        return read_item(self.table.rows[name])

    def _source(self) -> DynamoDbSource:
        return DynamoDbSource(self._config, SourceContext("source", telemetry()), TableClient(self.table), self.streams)

    def _fault(self, operation: str) -> Exception | None:
        if not self.faulty or self.rng.random() > 0.05:
            return None
        codes = ["LimitExceededException", "InternalServerError"]
        if operation == "get_records":
            codes.append("ExpiredIteratorException")
        code = self.rng.choice(codes)
        return client_error(operation, code, status=500 if code == "InternalServerError" else 400)

    def _reshard(self) -> None:
        """A split or a roll-over; a child may be listed late, the parent may be missing from the listing to come."""
        shards = self.table.open_shards()
        parts = self.rng.choice([1, 2, 2]) if len(shards) < MOST_SHARDS else 1
        late = [0.0, *(self.rng.choice([0.0, self.rng.uniform(0, MOST_LATE_S)]) for _ in range(parts - 1))]
        parent = self.rng.choice(shards).id
        self.table.split(parent, listed_after_s=late)
        if self.rng.random() < 0.5:
            self.table.hide(self.streams.runs + 1, parent)


@pytest.mark.parametrize("seed", range(25))
def test_no_key_ever_goes_backwards_and_all_arrive(seed: int) -> None:
    world: list[World] = []

    @in_virtual_time
    async def run() -> None:
        world.append(World(seed))
        async with world[0].follower.store:
            await followed(world[0], crashes=seed % 4)

    run()
    world[0].assert_order()
    assert world[0].target.records == world[0].expected()


async def followed(world: World, crashes: int, watch: Callable[[], None] = lambda: None) -> None:
    """Runs writers and follower together, with crashes in between, until all is applied."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.work, 80)
        for _ in range(crashes):
            async with world.follower.running():
                await watched(watch, world.rng.uniform(0, 6))
            await anyio.sleep(world.rng.choice([0.0, 3.0]))
        async with world.follower.running():
            tasks.start_soon(watched, watch)
            await world.caught_up()
            tasks.cancel_scope.cancel()


async def watched(watch: Callable[[], None], for_s: float = float("inf")) -> None:
    """Looks again and again."""
    with anyio.move_on_after(for_s):
        while True:
            watch()
            await anyio.sleep(WATCH_S)


@pytest.mark.parametrize("seed", range(100, 125))
def test_the_watermark_is_never_later_than_an_unapplied_change_and_moves_on_when_idle(seed: int) -> None:
    @in_virtual_time
    async def run() -> None:
        rng = random.Random(seed)
        hours, ppm = rng.uniform(-9, 9), rng.uniform(-100, 100)
        world = World(seed, ahead_s=AHEAD_S + hours * 3600, rate=1 + ppm / 1e6)
        async with world.follower.store:
            await followed(world, crashes=seed % 3, watch=world.assert_watermark_honest)
            async with world.follower.running():
                await idle(world)

    run()


async def idle(world: World) -> None:
    """Once nothing happens any more, the watermark follows the clock closely."""
    world.faulty = False
    await watched(world.assert_watermark_honest, 20)
    for _ in range(20):
        await watched(world.assert_watermark_honest, 1)
        assert world.lag_s() < 3 * IDLE_MARGIN_S + 2
    last = world.table.log[-1].at
    watermark = world.follower.lineage.replicated_through()
    assert watermark is not None
    assert watermark > datetime.fromtimestamp(last, UTC)

"""The world of planned downtime: a table, a bucket and two queues, all in mode copy, in one migration."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.aws import AwsServer
from sandbox.workload import Sender, seed, seed_bucket
from scenarios.bucket_world import BucketWorld, bucket_world
from scenarios.migration import Migration, config_of
from scenarios.queue_world import QueueWorld, queue_world
from scenarios.world import World, world

ITEMS, OBJECTS, MESSAGES = 120, 20, 20


@dataclass
class OnceWorld(Migration):
    """All three kinds, filled; `senders` remember what they sent."""

    table: World
    bucket: BucketWorld
    queues: QueueWorld
    senders: dict[str, Sender]

    @property
    def report(self) -> Path:
        """Where the report is written by default."""
        return self.folder / "scenario-report"

    async def assert_everything_arrived(self) -> None:
        """By looking at both sides, and not by what the command says."""
        await self.table.assert_equal()
        await self.bucket.assert_equal()
        for name, sender in self.senders.items():
            found = await self.queues.arrived(name, sender.sent)
            assert found.is_right, found
            assert found.received == sender.counts.messages


@asynccontextmanager
async def once_world(
    aws: AwsServer, folder: Path, *, limits: Mapping[str, Any] | None = None
) -> AsyncIterator[OnceWorld]:
    """Nothing is written to the sources any more."""
    for name in ("table", "bucket", "queues"):
        (folder / name).mkdir()
    async with AsyncExitStack() as stack:
        table = await stack.enter_async_context(world(aws, folder / "table"))
        bucket = await stack.enter_async_context(bucket_world(aws, folder / "bucket"))
        queues = await stack.enter_async_context(
            queue_world(aws, folder / "queues", "jobs.fifo", "mail", source={"consume": "hold"})
        )
        await seed(table.dynamodb, table.table, ITEMS)
        for key, held in (await seed_bucket(bucket.s3, bucket.bucket, OBJECTS, large_bytes=100_000)).items():
            bucket.written[key].add((held.size, held.md5))
        senders = {name: queues.sender(name, rate_per_s=1e9) for name in queues.queues}
        for sender in senders.values():
            await sender.run(operations=MESSAGES)
        pipelines = {
            name: {**pipeline, "mode": "copy"}
            for w in (table, bucket, queues)
            for name, pipeline in w.config["pipelines"].items()
        }
        environment = {**table.environment, **bucket.environment, **queues.environment}
        made = OnceWorld(folder, table.http, config_of(pipelines, limits), environment, table, bucket, queues, senders)
        made.write_config()
        yield made

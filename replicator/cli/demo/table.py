"""The table of the demo, and the container that it goes to."""

from typing import Any

from replicator.cli.demo.workload import Compared, Load, compared_records
from replicator.cli.looking import look_at
from replicator.cli.sandbox import LocalClouds
from replicator.config.models import MigrationConfig
from replicator.engine.comparing import Comparing
from replicator.engine.opening import connect
from replicator.wording import counted
from sandbox.workload import Writer, create_orders_table, seed

CONFIG = """\
  orders:
    discover_interval_s: 5
    source:
      type: dynamodb
      table: orders
      endpoint: {aws}
      max_read_units: 2000
      idle_margin_s: 1
    target:
      type: cosmos
      endpoint: {cosmos}
      key: ${{COSMOS_KEY}}
      database: shop
      container: orders
      partition_key: [/customer]
      create: true
"""


class Table:
    """See `Workload`. Every item is compared, both ways."""

    name = "orders"

    def __init__(self, clouds: LocalClouds, dynamodb: Any, load: Load) -> None:
        self.config = CONFIG.format(aws=clouds.aws.endpoint, cosmos=clouds.cosmos_endpoint)
        self._client = dynamodb
        self._items = load.items
        self._writer = Writer(dynamodb, self.name, space="live", rate_per_s=load.rate_per_s)

    @property
    def writes(self) -> int:
        return self._writer.counts.operations

    async def fill(self) -> str:
        return f"{counted(await seed(self._client, self.name, self._items), 'item')} of every DynamoDB type"

    async def write(self, for_s: float) -> None:
        await self._writer.run(for_s=for_s)

    async def confirm(self) -> None:
        await self._writer.confirm()

    async def waiting(self) -> int:
        return 0

    async def compare(self, migration: MigrationConfig) -> Compared:
        async with look_at(self.name, migration.pipelines[self.name], migration) as pipeline:
            await connect(pipeline)
            found = await Comparing(pipeline.source, pipeline.target, lambda _: None).run()
        return compared_records(found, "item")


async def open_table(clouds: LocalClouds, dynamodb: Any, load: Load) -> Table:
    """A new table with a stream."""
    await create_orders_table(dynamodb, Table.name, ttl_attribute="expires_at")
    return Table(clouds, dynamodb, load)

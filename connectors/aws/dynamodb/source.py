"""A DynamoDB table as a source: its rows by scan, its changes by stream."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.dynamodb.check import check_table
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.estimating import change_rate, table_figures
from connectors.aws.dynamodb.keys import is_key
from connectors.aws.dynamodb.lookup import lookup
from connectors.aws.dynamodb.planning import planned_of_table
from connectors.aws.dynamodb.reading import RETENTION, ShardReader
from connectors.aws.dynamodb.records import row_change
from connectors.aws.dynamodb.scanning import SegmentScan
from connectors.aws.dynamodb.sdk import StreamsClient, TableClient
from connectors.aws.dynamodb.shards import ShardListing
from connectors.aws.dynamodb.table import Table, describe, expiry_name, require_enabled, require_stream
from connectors.aws.errors import AwsRefusal, configuration_error
from connectors.aws.metrics import MetricsUnknownError, metrics_caller
from replicator.clocks import ServiceClock
from replicator.documents import Document
from replicator.errors import PositionLostError
from replicator.estimate.figures import CHANGES_UNKNOWN, SourceFigures
from replicator.model import Barriers, Batch, Change, Depth, Finding, Mode, Operation, Partition, Resume, Size
from replicator.planning.model import Intended
from replicator.registry import SourceContext


class DynamoDbSource:
    """See `replicator.ports.Source`. Usable once connected."""

    def __init__(
        self, config: DynamoDbSourceConfig, context: SourceContext, table: TableClient, streams: StreamsClient
    ) -> None:
        self._config = config
        self._where = context.where
        self._telemetry = context.telemetry
        self._follows = context.mode is not Mode.COPY
        self._table_client = table
        self._streams_client = streams
        self._caller = Caller(context.where, context.telemetry, YieldingBudget(config.max_read_units or 1.0))
        self._table: Table | None = None
        self._listing: ShardListing | None = None

    @property
    def clock(self) -> ServiceClock:
        return self._caller.clock

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple({client.meta.endpoint_url: None for client in (self._table_client, self._streams_client)})

    @property
    def key_names(self) -> tuple[str, ...]:
        return self._connected.shape.key_names

    @property
    def ordered_groups(self) -> bool:
        return False

    @property
    def settling(self) -> timedelta:
        return timedelta(seconds=self._config.idle_margin_s)

    @property
    def barriers(self) -> Barriers:
        return Barriers.ALL

    def is_key(self, text: str) -> bool:
        return is_key(text, self._connected.shape.key_names, self._connected.key_kinds)

    @property
    def retention(self) -> timedelta | None:
        return RETENTION

    async def connect(self) -> None:
        table = await describe(self._caller, self._table_client, self._config, self._where)
        if self._follows:
            require_stream(table, self._where)
            await require_enabled(self._caller, self._streams_client, table, self._where)
        self._caller.budget.set_limit(table.read_units)
        self._table = table

    async def size(self) -> Size:
        try:
            description = await self._describe()
        except PositionLostError:  # whoever follows the stream reports it
            return Size()
        return Size(records=description.get("ItemCount"), bytes=description.get("TableSizeBytes"))

    async def copy_partitions(self) -> tuple[Partition, ...]:
        return self._scan.partitions()

    async def follow_partitions(self) -> tuple[Partition, ...]:
        """Raises PositionLostError when the stream was turned off: changes are no longer recorded anywhere.

        Or when the time to live was: nothing would keep what the target holds from expiring there.
        """
        description = await self._describe()
        if not description.get("StreamSpecification", {}).get("StreamEnabled"):
            raise PositionLostError(
                f"the stream of table {self._config.table} was turned off, so changes are no longer recorded. "
                "Turn it on again and run once with --adopt, which repairs what was missed"
            )
        await self._check_expiry()
        return await self._shards(description["LatestStreamArn"]).partitions()

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[Document], None]:
        if partition.bounded:
            return self._scan.read(partition, resume)
        return ShardReader(
            self._caller,
            self._streams_client,
            self._shards(partition.log),
            partition,
            resume,
            self._connected.shape,
            margin=timedelta(seconds=self._config.idle_margin_s),
            poll_interval_s=self._config.poll_interval_s,
        ).batches()

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[Document]]:
        return await lookup(self._caller, self._table_client, self._config.table, self._connected.shape, keys)

    def can_move(self, partition: Partition) -> bool:
        """Segments and shards know nothing of each other."""
        return True

    async def settle(self, batch: Batch[Document], rejected: Collection[str]) -> None:
        """A stream forgets by itself."""

    async def redeliver(self, keys: Collection[str]) -> bool:
        return False

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        found = await self.lookup(keys)
        return {key for key in keys if found[key].operation is Operation.DELETE}

    async def content_digest(self, change: Change[Document]) -> str | None:
        return None

    @property
    def budget(self) -> YieldingBudget:
        return self._caller.budget

    @property
    def stale_rows(self) -> bool:
        return True

    @property
    def relist_interval(self) -> timedelta | None:
        return None

    async def take(self, taking: bool | None) -> None:
        """Whoever reads a stream takes nothing from others."""

    async def unfinished(self) -> list[str]:
        """A write is whole when it is acknowledged."""
        return []

    async def depth(self) -> Depth | None:
        return None

    async def sample(self, count: int) -> list[Change[Document]]:
        try:
            answer = await self._caller.paid_probe(self._table_client.scan, TableName=self._config.table, Limit=count)
        except AwsRefusal as refusal:
            raise configuration_error(self._where, refusal) from refusal
        now = self.clock.latest()
        return [row_change(item, self._connected.shape, now) for item in answer["Items"]]

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedSource`."""
        table = self._connected
        return planned_of_table(table.name, table.read_units, follows=self._follows)

    async def figures(self, sample: Sequence[Change[Document]]) -> SourceFigures:
        """See `replicator.estimate.figures.SurveyedSource`."""
        found = table_figures(
            self._config,
            await self.size(),
            sample,
            read_units_per_s=self._connected.read_units,
            shards=await self._open_shards(),
            follows=self._follows,
        )
        if not self._follows:
            return found
        try:
            caller = metrics_caller(self._where, self._telemetry)
            now = self.clock.latest()
            changes = await change_rate(caller, self._config, self._where, now, found.record_bytes)
        except MetricsUnknownError as error:
            return replace(found, notes=(*found.notes, f"{CHANGES_UNKNOWN}: {error}"))
        return replace(found, changes=changes)

    async def _open_shards(self) -> int:
        """Those that nothing has followed on."""
        shards = await self.follow_partitions() if self._follows else ()
        return len(shards) - len({parent for shard in shards for parent in shard.parents})

    async def check(self) -> list[Finding]:
        return await check_table(
            self._caller,
            self._table_client,
            self._streams_client if self._follows else None,
            self._config,
            self._connected,
            self._where,
        )

    async def _describe(self) -> Mapping[str, Any]:
        with self._while_it_exists():
            answer = await self._caller.call(self._table_client.describe_table, TableName=self._config.table)
        description: Mapping[str, Any] = answer["Table"]
        return description

    async def _check_expiry(self) -> None:
        """One that is switched on later does no harm: the stream deletes what expires."""
        known = self._connected.shape.expiry_name
        if known is None:
            return
        with self._while_it_exists():
            answer = await self._caller.call(self._table_client.describe_time_to_live, TableName=self._config.table)
        if expiry_name(answer) != known:
            raise PositionLostError(
                f"the time to live of table {self._config.table} is no longer that of attribute {known}, by which "
                "the target's records expire. Run once with --adopt, which gives each the expiry it has now"
            )

    @contextmanager
    def _while_it_exists(self) -> Iterator[None]:
        try:
            yield
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            raise PositionLostError(
                f"table {self._config.table} is gone. If it was deleted on purpose, remove the pipeline; "
                "if it was made anew, run once with --adopt"
            ) from refusal

    def _shards(self, stream_arn: str) -> ShardListing:
        """Kept, since it remembers which shards are gone."""
        if self._listing is None or self._listing.stream_arn != stream_arn:
            self._listing = ShardListing(self._caller, self._streams_client, stream_arn)
        return self._listing

    @property
    def _connected(self) -> Table:
        assert self._table is not None, "connect comes first"  # noqa: S101
        return self._table

    @property
    def _scan(self) -> SegmentScan:
        return SegmentScan(
            self._caller,
            self._table_client,
            self._config.table,
            self._connected.shape,
            segments=self._config.segments,
            consistent=self._config.consistent_read,
        )


@asynccontextmanager
async def open_source(config: DynamoDbSourceConfig, context: SourceContext) -> AsyncIterator[DynamoDbSource]:
    """A source with clients of its own, closed on leaving."""
    streams_endpoint = config.streams_endpoint or config.endpoint
    async with (
        open_client("dynamodb", config, context.where) as table,
        open_client("dynamodbstreams", config, context.where, streams_endpoint) as streams,
    ):
        yield DynamoDbSource(config, context, table, streams)

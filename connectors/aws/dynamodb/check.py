"""Findings about a table and its stream: permissions by trying, settings by reading. Nothing is changed."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from urllib.parse import urlsplit

from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.lookup import request_items
from connectors.aws.dynamodb.records import row_change
from connectors.aws.dynamodb.sdk import LambdaClient, StreamsClient, TableClient
from connectors.aws.dynamodb.shards import ShardListing, shard_id
from connectors.aws.dynamodb.table import Table
from connectors.aws.errors import AwsRefusal
from replicator.documents import Value, key_text
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.wording import counted

MADE_UP: dict[str, Value] = {"S": "replicator check", "N": Decimal(0), "B": b"replicator check"}
"""A value for each kind of key attribute."""

POLICY = "See docs/connectors/dynamodb-to-cosmos.md for the policy"

MOST_READERS = 2
"""A shard serves no more readers at once; with global tables, one."""


async def check_table(
    caller: Caller,
    table_client: TableClient,
    streams: StreamsClient | None,
    config: DynamoDbSourceConfig,
    table: Table,
    where: str,
) -> list[Finding]:
    """Called once connected, so the table exists, and its stream with the right view type. Without `streams` nothing
    is to be followed.
    """

    async def scan() -> None:
        answer = await caller.paid_probe(table_client.scan, TableName=table.name, Limit=1)
        now = caller.clock.latest()
        keys = [row_change(item, table.shape, now).key for item in answer["Items"]] or [made_up_key(table)]
        await caller.paid_probe(table_client.batch_get_item, RequestItems=request_items(table.name, keys))

    findings = [_expiry(table, where), await _tried("dynamodb:Scan and dynamodb:BatchGetItem", where, scan)]
    if streams is None:
        return findings
    follow = partial(_read_one_page, caller, streams, table)
    return [
        Finding(Severity.OK, f"{where}.table", f"table {table.name} has a stream with view type {table.view_type}"),
        *findings,
        await _tried("dynamodb:DescribeStream, GetShardIterator and GetRecords", where, follow),
        await _readers(caller, config, table, where),
    ]


def made_up_key(table: Table) -> str:
    """A key as the table has them, whether or not there is an item under it."""
    return key_text({name: MADE_UP[kind] for name, kind in table.key_kinds.items()})


async def _tried(permission: str, where: str, attempt: Callable[[], Awaitable[None]]) -> Finding:
    try:
        await attempt()
    except (ConfigurationError, AwsRefusal) as error:
        return Finding(Severity.ERROR, where, f"{permission}: {error}", POLICY)
    return Finding(Severity.OK, where, f"{permission} are permitted")


async def _read_one_page(caller: Caller, streams: StreamsClient, table: Table) -> None:
    assert table.stream_arn is not None  # noqa: S101 — required when connecting
    await caller.probe(streams.describe_stream, StreamArn=table.stream_arn, Limit=1)
    shards = await ShardListing(caller, streams, table.stream_arn).partitions()
    for shard in shards[-1:]:
        iterator = await caller.probe(
            streams.get_shard_iterator,
            StreamArn=table.stream_arn,
            ShardId=shard_id(shard),
            ShardIteratorType="LATEST",
        )
        await caller.probe(streams.get_records, ShardIterator=iterator["ShardIterator"], Limit=1)


def _expiry(table: Table, where: str) -> Finding:
    name = table.shape.expiry_name
    message = f"items expire by attribute {name}" if name else "items do not expire"
    return Finding(Severity.OK, where, message)


def elsewhere(config: DynamoDbSourceConfig) -> DynamoDbSourceConfig:
    """For another service: a private endpoint of DynamoDB serves DynamoDB alone, a local cloud serves everything."""
    host = urlsplit(config.endpoint or "").hostname or ""
    return config.model_copy(update={"endpoint": None}) if "dynamodb" in host else config


async def _readers(caller: Caller, config: DynamoDbSourceConfig, table: Table, where: str) -> Finding:
    """Lambda triggers are the only readers that can be counted from outside."""
    most = 1 if table.replicas else MOST_READERS
    client: LambdaClient
    try:
        async with open_client("lambda", elsewhere(config), where) as client:
            answer = await caller.probe(client.list_event_source_mappings, EventSourceArn=table.stream_arn)
    except (ConfigurationError, AwsRefusal) as error:
        others = "nobody else" if most == 1 else "at most one other"
        return Finding(
            Severity.NOTE,
            where,
            f"other readers of the stream cannot be counted ({error})",
            f"Make sure that {others} reads it, or permit lambda:ListEventSourceMappings",
        )
    enabled = [m for m in answer["EventSourceMappings"] if m.get("State") in {"Enabled", "Enabling"}]
    triggers = counted(len(enabled), "Lambda trigger reads the stream", "Lambda triggers read the stream")
    if len(enabled) >= most:
        return Finding(
            Severity.ERROR,
            where,
            f"{triggers} already, and a shard serves {counted(most, 'reader')}",
            "Merge the triggers into one that fans out",
        )
    return Finding(Severity.OK, where, f"{triggers}, which serves {counted(most, 'reader')}")

"""A DynamoDB table and its stream, in the local AWS."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts.worlds.documents import KEY_NAMES, state_of
from contracts.worlds.sides import LocalClouds, SourceWorld

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import DynamoDbSource, open_source
from fakes.records import key_of
from replicator.documents import Document
from replicator.model import Mode
from replicator.registry import SourceContext
from replicator.telemetry import Metrics, PipelineTelemetry

TABLES = itertools.count()


@asynccontextmanager
async def dynamodb(clouds: LocalClouds) -> AsyncIterator[SourceWorld[Document]]:
    """The real source and the real client, on a table of its own whose stream is one shard."""
    server = clouds.aws()
    table = f"contract-{next(TABLES)}"
    config = DynamoDbSourceConfig(
        type="dynamodb", table=table, endpoint=server.endpoint, region=server.region, max_read_units=100_000,
        poll_interval_s=0.05, idle_margin_s=0.1, segments=3,
    )  # fmt: skip
    async with clouds.aws_client("dynamodb") as client:
        await client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

        async def put(name: str, number: int) -> None:
            await client.put_item(TableName=table, Item={"id": {"S": name}, "number": {"N": str(number)}})

        async def delete(name: str) -> None:
            await client.delete_item(TableName=table, Key={"id": {"S": name}})

        @asynccontextmanager
        async def opened(mode: Mode) -> AsyncIterator[DynamoDbSource]:
            context = SourceContext("contract", PipelineTelemetry(Metrics(), "contract"), mode)
            async with open_source(config, context) as source:
                _small_pages(source)
                yield source

        yield SourceWorld(opened, put, key_of, state_of, delete, key_names=KEY_NAMES, patience_s=20.0)


def _small_pages(source: DynamoDbSource) -> None:
    """A few records would fit into one page, and there would be nothing to resume after."""
    sizes = itertools.cycle((2, 1, 3))

    def limited(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "Limit": next(sizes)}

    table: Any = source._table_client
    streams: Any = source._streams_client
    table.meta.events.register("provide-client-params.dynamodb.Scan", limited)
    streams.meta.events.register("provide-client-params.dynamodb-streams.GetRecords", limited)

"""The source as the engine sees it: connected, sized, listed, read, and lost when its stream is turned off."""

import random

import pytest
from pydantic import ValidationError

from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.source import DynamoDbSource
from fakes.follower import telemetry
from fakes.records import document, key_of
from fakes.streams import TABLE_NAME, StreamedTable, StreamsClient, client_error
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.errors import ConfigurationError, PositionLostError
from replicator.model import Mode, Resume, Size
from replicator.registry import SourceContext

ON = {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def sources() -> tuple[TableClient, DynamoDbSource]:
    """A source and the table behind it."""
    table = StreamedTable(random.Random(0), shards=3)
    for number in range(9):
        table.put(f"n{number}")
    client = TableClient(table)
    config = DynamoDbSourceConfig(type="dynamodb", table=TABLE_NAME, segments=2)
    return client, DynamoDbSource(config, SourceContext("source", telemetry()), client, StreamsClient(table))


@in_virtual_time
async def test_what_is_known_once_connected() -> None:
    _, source = sources()
    await source.connect()
    assert source.key_names == ("id",)
    assert source.clock.known
    assert await source.size() == Size(records=7, bytes=700)
    assert source.retention is not None


@in_virtual_time
async def test_partitions_of_both_kinds_are_read() -> None:
    client, source = sources()
    await source.connect()
    for shard in client.table.shards:
        client.table.close(shard)
    copied = [c for p in await source.copy_partitions() async for b in source.read(p, Resume()) for c in b.changes]
    streamed = [c for p in await source.follow_partitions() async for b in source.read(p, Resume()) for c in b.changes]
    assert {c.key: c.record for c in copied} == {c.key: c.record for c in streamed}
    assert len(copied) == len(streamed) == 9


@in_virtual_time
async def test_where_nothing_is_followed_no_stream_is_needed() -> None:
    client, _ = sources()
    client.description["StreamSpecification"] = {"StreamEnabled": False}
    config = DynamoDbSourceConfig(type="dynamodb", table=TABLE_NAME, segments=2)
    streams = StreamsClient(client.table)
    with pytest.raises(ConfigurationError, match=r"stream of table .* is off"):
        await DynamoDbSource(config, SourceContext("source", telemetry()), client, streams).connect()
    source = DynamoDbSource(config, SourceContext("source", telemetry(), Mode.COPY), client, streams)
    await source.connect()
    assert source.clock.known


@in_virtual_time
async def test_a_lookup_and_a_sample() -> None:
    _, source = sources()
    await source.connect()
    assert (await source.lookup([key_of("n3")]))[key_of("n3")].record == document("n3", 4)
    assert len(await source.sample(3)) == 3


@in_virtual_time
async def test_a_stream_that_is_off_is_refused_at_the_start() -> None:
    client, source = sources()
    client.description["StreamSpecification"] = {"StreamEnabled": False}
    with pytest.raises(ConfigurationError, match="is off"):
        await source.connect()


@in_virtual_time
async def test_a_stream_that_is_turned_off_later_loses_the_position() -> None:
    client, source = sources()
    await source.connect()
    client.description["StreamSpecification"] = {"StreamEnabled": False}
    with pytest.raises(PositionLostError, match=r"turned off.*--adopt"):
        await source.follow_partitions()


@pytest.mark.parametrize("operation", ["describe_table", "describe_time_to_live"])
def test_a_table_that_is_deleted_later_loses_the_position(operation: str) -> None:
    @in_virtual_time
    async def run() -> None:
        client, source = sources()
        client.expiry = dict(ON)
        await source.connect()
        gone = client_error(operation, "ResourceNotFoundException")
        client.fault = lambda called: gone if called == operation else None
        with pytest.raises(PositionLostError, match=TABLE_NAME):
            await source.follow_partitions()

    run()


@pytest.mark.parametrize(
    "later",
    [
        {"TimeToLiveStatus": "DISABLING", "AttributeName": "expires"},
        {"TimeToLiveStatus": "DISABLED"},
        {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"},
    ],
)
def test_a_time_to_live_that_is_switched_off_later_ends_following(later: dict[str, str]) -> None:
    """What the target holds would go on expiring, and the table keeps it."""

    @in_virtual_time
    async def run() -> None:
        client, source = sources()
        client.expiry = dict(ON)
        await source.connect()
        await source.follow_partitions()
        client.expiry = dict(later)
        with pytest.raises(PositionLostError, match=r"time to live.*--adopt"):
            await source.follow_partitions()

    run()


@in_virtual_time
async def test_a_time_to_live_that_is_switched_on_later_changes_nothing() -> None:
    """Whatever expires is deleted by the stream, as long as the target does not expire it by itself."""
    client, source = sources()
    await source.connect()
    client.expiry = dict(ON)
    assert len(await source.follow_partitions()) == 3


def test_the_config_knows_its_fields_and_limits() -> None:
    config = DynamoDbSourceConfig(type="dynamodb", table="orders")
    assert (config.segments, config.max_read_units, config.poll_interval_s) == (4, None, 0.25)
    for wrong in (
        {"table": ""},
        {"segments": 0},
        {"max_read_units": 0},
        {"poll_interval_s": 0},
        {"idle_margin_s": -1},
        {"access_key": "AKIA"},
        {"type": "dynamo"},
    ):
        with pytest.raises(ValidationError) as told:
            DynamoDbSourceConfig.model_validate({"type": "dynamodb", "table": "orders", **wrong})
        assert "AKIA" not in str(told.value)


def test_every_field_of_the_config_is_described() -> None:
    fields = DynamoDbSourceConfig.model_fields
    assert [name for name, field in fields.items() if not field.description] == []

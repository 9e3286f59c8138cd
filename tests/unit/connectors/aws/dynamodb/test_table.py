"""What is refused before anything is read, and how the operator is told."""

import random
from typing import Any

import pytest

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.records import TableShape
from connectors.aws.dynamodb.table import Table, describe, require_stream
from fakes.follower import telemetry
from fakes.streams import KEY_NAME, STREAM_ARN, TABLE_NAME, StreamedTable, client_error
from fakes.tables import TableClient
from fakes.virtual import in_virtual_time
from replicator.errors import ConfigurationError

WHERE = "pipelines.orders.source"


def table(description: dict[str, Any] | None = None, *, name: str = TABLE_NAME, **config: Any) -> Table:
    """The table as described, with changes, or what is raised instead."""
    found: list[Table] = []

    @in_virtual_time
    async def run() -> None:
        client = TableClient(StreamedTable(random.Random(0)))
        client.description.update(description or {})
        client.expiry = {"TimeToLiveStatus": "ENABLING", "AttributeName": "expires"}
        caller = Caller(WHERE, telemetry(), YieldingBudget(1.0))
        found.append(await describe(caller, client, DynamoDbSourceConfig(type="dynamodb", table=name, **config), WHERE))

    run()
    return found[0]


def test_a_table_as_it_is() -> None:
    assert table() == Table(
        name=TABLE_NAME,
        shape=TableShape((KEY_NAME,), "expires"),
        key_kinds={KEY_NAME: "S"},
        read_units=100.0,
        stream_arn=STREAM_ARN,
        view_type="NEW_IMAGE",
        replicas=0,
    )


def test_the_hash_key_comes_first_however_they_are_listed() -> None:
    schema = [{"AttributeName": "sort", "KeyType": "RANGE"}, {"AttributeName": "hash", "KeyType": "HASH"}]
    kinds = [("other", "S"), ("sort", "N"), ("hash", "B")]
    definitions = [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds]
    found = table({"KeySchema": schema, "AttributeDefinitions": definitions})
    assert found.shape.key_names == ("hash", "sort")
    assert found.key_kinds == {"hash": "B", "sort": "N"}


@pytest.mark.parametrize(
    ("status", "name"), [("ENABLED", "ttl"), ("ENABLING", "ttl"), ("DISABLING", None), ("DISABLED", None)]
)
def test_the_expiry_attribute_counts_while_it_is_on(status: str, name: str | None) -> None:
    @in_virtual_time
    async def run() -> None:
        client = TableClient(StreamedTable(random.Random(0)))
        client.expiry = {"TimeToLiveStatus": status, "AttributeName": "ttl"}
        caller = Caller(WHERE, telemetry(), YieldingBudget(1.0))
        config = DynamoDbSourceConfig(type="dynamodb", table=TABLE_NAME)
        assert (await describe(caller, client, config, WHERE)).shape.expiry_name == name

    run()


def test_a_missing_table() -> None:
    with pytest.raises(ConfigurationError, match="there is no table other") as told:
        table(name="other")
    assert told.value.where == f"{WHERE}.table"


@pytest.mark.parametrize("status", ["CREATING", "DELETING", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
def test_a_table_that_is_not_ready(status: str) -> None:
    with pytest.raises(ConfigurationError, match=f"is {status}"):
        table({"TableStatus": status})


@pytest.mark.parametrize("throughput", [{}, {"ReadCapacityUnits": 0}])
def test_on_demand_tables_need_a_budget(throughput: dict[str, int]) -> None:
    described = {"ProvisionedThroughput": throughput, "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}
    with pytest.raises(ConfigurationError, match="on demand") as told:
        table(described)
    assert told.value.where == f"{WHERE}.max_read_units"
    assert table(described, max_read_units=0.5).read_units == 0.5


def test_a_budget_of_ones_own_wins_over_a_quarter_of_the_capacity() -> None:
    assert table().read_units == 100.0
    assert table(max_read_units=7).read_units == 7.0
    assert table({"ProvisionedThroughput": {"ReadCapacityUnits": 1}}).read_units == 1.0


@pytest.mark.parametrize("view_type", ["NEW_IMAGE", "NEW_AND_OLD_IMAGES"])
def test_streams_with_new_images_will_do(view_type: str) -> None:
    require_stream(table({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view_type}}), WHERE)


@pytest.mark.parametrize("view_type", ["KEYS_ONLY", "OLD_IMAGE"])
def test_streams_without_new_images_will_not(view_type: str) -> None:
    described = table({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view_type}})
    with pytest.raises(ConfigurationError, match=f"view type {view_type}, which holds no new images"):
        require_stream(described, WHERE)


@pytest.mark.parametrize("specification", [{}, {"StreamEnabled": False}])
def test_a_stream_that_is_off_is_told_how_to_turn_on(specification: dict[str, bool]) -> None:
    """`LatestStreamArn` stays for a day after it was turned off."""
    with pytest.raises(ConfigurationError, match="aws dynamodb update-table --table-name orders"):
        require_stream(table({"StreamSpecification": specification}), WHERE)


@pytest.mark.parametrize("operation", ["describe_table", "describe_time_to_live"])
def test_what_is_forbidden_is_told_at_once(operation: str) -> None:
    @in_virtual_time
    async def run() -> None:
        client = TableClient(StreamedTable(random.Random(0)))
        denied = client_error(operation, "AccessDeniedException", "User: x is not authorized")
        client.fault = lambda called: denied if called == operation else None
        caller = Caller(WHERE, telemetry(), YieldingBudget(1.0))
        with pytest.raises(ConfigurationError, match=f"{operation}: AccessDeniedException: User: x.*permissions.md"):
            await describe(caller, client, DynamoDbSourceConfig(type="dynamodb", table=TABLE_NAME), WHERE)

    run()

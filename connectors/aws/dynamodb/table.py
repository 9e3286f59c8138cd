"""What must be known of a table before anything is read from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.aws.calls import Caller
from connectors.aws.dynamodb.config import DynamoDbSourceConfig
from connectors.aws.dynamodb.records import TableShape
from connectors.aws.dynamodb.sdk import StreamsClient, TableClient
from connectors.aws.errors import AwsRefusal, configuration_error
from replicator.errors import ConfigurationError

FULL_IMAGES = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")

SHARE_OF_CAPACITY = 0.25
"""What a copy takes of a table's provisioned read capacity unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as described. `key_kinds` says S, N or B for each key attribute; without a stream `view_type` is None."""

    name: str
    shape: TableShape
    key_kinds: Mapping[str, str]
    read_units: float
    stream_arn: str | None
    view_type: str | None
    replicas: int


async def describe(caller: Caller, client: TableClient, config: DynamoDbSourceConfig, where: str) -> Table:
    """Raises ConfigurationError for a table that is missing or not ready, or a budget that is required and missing."""
    try:
        answer = await caller.probe(client.describe_table, TableName=config.table)
        expiry = await caller.probe(client.describe_time_to_live, TableName=config.table)
    except AwsRefusal as refusal:
        raise _not_usable(refusal, config, where) from refusal
    description = answer["Table"]
    if description["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        raise ConfigurationError(
            f"{where}.table", f"table {config.table} is {description['TableStatus']}", "Wait until it is ACTIVE"
        )
    stream = description.get("StreamSpecification", {})
    return Table(
        name=config.table,
        shape=TableShape(key_names(description), expiry_name(expiry)),
        key_kinds=_key_kinds(description),
        read_units=_read_units(description, config, where),
        stream_arn=description.get("LatestStreamArn"),
        view_type=stream.get("StreamViewType") if stream.get("StreamEnabled") else None,
        replicas=len(description.get("Replicas", ())),
    )


def require_stream(table: Table, where: str) -> None:
    """Raises ConfigurationError unless every change of the table is recorded with its new image."""
    if table.view_type is None:
        raise ConfigurationError(
            f"{where}.table",
            f"the stream of table {table.name} is off",
            "Turn it on with view type NEW_IMAGE or NEW_AND_OLD_IMAGES: aws dynamodb update-table "
            f"--table-name {table.name} --stream-specification StreamEnabled=true,StreamViewType=NEW_IMAGE",
        )
    if table.view_type not in FULL_IMAGES:
        raise ConfigurationError(
            f"{where}.table",
            f"the stream of table {table.name} has view type {table.view_type}, which holds no new images",
            "Turn the stream off and on again with view type NEW_IMAGE or NEW_AND_OLD_IMAGES",
        )


async def require_enabled(caller: Caller, client: StreamsClient, table: Table, where: str) -> None:
    """Raises ConfigurationError while the stream does not record yet, or no answer says what time it is."""
    try:
        answer = await caller.probe(client.describe_stream, StreamArn=table.stream_arn, Limit=1)
    except AwsRefusal as refusal:
        raise configuration_error(where, refusal) from refusal
    status = answer["StreamDescription"]["StreamStatus"]
    if status != "ENABLED":
        raise ConfigurationError(
            f"{where}.table", f"the stream of table {table.name} is {status}", "Wait until it is ENABLED"
        )
    if not caller.clock.known:
        raise ConfigurationError(
            where, "answers carry no Date header, so lag cannot be told", "Let the proxy pass that header on"
        )


def expiry_name(answer: Mapping[str, Any]) -> str | None:
    """The attribute by which items expire, of an answer to DescribeTimeToLive; None while they do not."""
    setting = answer["TimeToLiveDescription"]
    if setting.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        return None
    return str(setting["AttributeName"])


def _not_usable(refusal: AwsRefusal, config: DynamoDbSourceConfig, where: str) -> ConfigurationError:
    if refusal.code == "ResourceNotFoundException":
        return ConfigurationError(
            f"{where}.table", f"there is no table {config.table}", "Check its name, the region and the account"
        )
    return ConfigurationError(f"{where}.table", str(refusal), "Check the name and the endpoint")


def key_names(description: Mapping[str, Any]) -> tuple[str, ...]:
    """Hash key first."""
    by_kind = {key["KeyType"]: key["AttributeName"] for key in description["KeySchema"]}
    return tuple(by_kind[kind] for kind in ("HASH", "RANGE") if kind in by_kind)


def _key_kinds(description: Mapping[str, Any]) -> dict[str, str]:
    """Definitions are of the keys of secondary indexes too."""
    kinds = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    return {name: kinds[name] for name in key_names(description)}


def _read_units(description: Mapping[str, Any], config: DynamoDbSourceConfig, where: str) -> float:
    if config.max_read_units is not None:
        return config.max_read_units
    provisioned = description.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0)
    if not provisioned:
        raise ConfigurationError(
            f"{where}.max_read_units",
            f"is required for table {config.table}, which is billed on demand",
            "Say how many read units per second copying may take, for example 500",
        )
    return max(1.0, float(provisioned) * SHARE_OF_CAPACITY)

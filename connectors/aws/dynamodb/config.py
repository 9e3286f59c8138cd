"""What a DynamoDB source may be told."""

from typing import Literal

from pydantic import Field

from connectors.aws.config import AwsSourceConfig
from replicator.config import Url


class DynamoDbSourceConfig(AwsSourceConfig):
    """A table and its stream."""

    type: Literal["dynamodb"] = Field(description="Names the connector.")
    table: str = Field(min_length=1, max_length=255, description="Name of the table.")
    streams_endpoint: Url | None = Field(
        default=None, description="URL of DynamoDB Streams where it differs. Default: `endpoint`, or else AWS."
    )
    segments: int = Field(default=4, ge=1, le=1000, description="Scan segments copied in parallel.")
    consistent_read: bool = Field(
        default=False, description="Scan with strongly consistent reads, at twice the read units."
    )
    max_read_units: float | None = Field(
        default=None,
        gt=0,
        description="Read units per second that copying, repair, comparison and checks may take from the table, "
        "on average. Default: a quarter of its provisioned capacity; required for on-demand tables.",
    )
    poll_interval_s: float = Field(
        default=0.25, ge=0.05, le=60, description="Pause between reads of a shard that has little to read, in seconds."
    )
    idle_margin_s: float = Field(
        default=3.0,
        ge=0,
        le=600,
        description="A shard is taken to be idle when several empty reads span this many seconds; "
        "replicated_through then trails by as much again.",
    )

    @property
    def place(self) -> tuple[str, ...]:
        """The region is empty where only the environment knows it."""
        return ("dynamodb", self.region or "", self.table)

"""What a Cosmos DB target may be told."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from connectors.azure.config import AzureTargetConfig, address
from replicator.config import Form, Url

ResourceName = Annotated[str, Form(r"^[^/\\?#]{1,255}$", "must have 1 to 255 characters, none of them / \\ ? #")]
Path = Annotated[str, Form(r"^/.+$", "must begin with a slash, and name something")]


class CosmosTargetConfig(AzureTargetConfig):
    """A container of documents."""

    read_back: ClassVar[str] = (
        "the change feed of the container in latest version mode, with this as its start time; what was deleted since "
        "then is not in it"
    )
    rehearsed: ClassVar[tuple[str, ...]] = ("partition_key", "id")

    type: Literal["cosmos"] = Field(description="Names the connector.")
    endpoint: Url = Field(description="URL of the account.")
    database: ResourceName = Field(description="Name of the database.")
    container: ResourceName = Field(description="Name of the container.")
    marker_container: ResourceName = Field(
        default="replicator",
        description="Container of the same database that says which migration may write; partition key /id.",
    )
    partition_key: tuple[Path, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="Paths of the partition key, each /id or a key attribute of the source as it is written in the "
        "document; several are hierarchical. Default: the source's first key attribute.",
    )
    id: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Key attributes of the source that form the id, in order. Default: all of them.",
    )
    create: bool = Field(
        default=False, description="Create database and containers that are missing. Otherwise they must exist."
    )
    throughput: int | None = Field(
        default=None,
        ge=400,
        description="Request units per second of a container that is created. Default: the account's.",
    )
    autoscale_max_throughput: int | None = Field(
        default=None, ge=1000, description="The same with autoscale; only one of both may be given."
    )

    @property
    def place(self) -> tuple[str, ...]:
        host, port = address(self.endpoint)
        return ("cosmos", host, str(port), self.database, self.container)

    @model_validator(mode="after")
    def _marker_apart(self) -> Self:
        if self.marker_container == self.container:
            raise ValueError("marker_container must be another container than that of the records")
        return self

    @model_validator(mode="after")
    def _one_throughput(self) -> Self:
        if self.throughput is not None and self.autoscale_max_throughput is not None:
            raise ValueError("throughput and autoscale_max_throughput exclude each other")
        return self

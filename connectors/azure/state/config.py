"""Where the shared state is kept."""

from typing import Literal

from pydantic import Field

from connectors.azure.blob.account import ContainerName, StorageAccount
from replicator.config import StateConfig


class BlobStateConfig(StorageAccount, StateConfig):
    """A container of a storage account, or a part of it. Without a key, DefaultAzureCredential is used."""

    type: Literal["blob"] = Field(description="Names the kind of state store.")
    container: ContainerName = Field(description="Name of the container.")
    prefix: str = Field(
        default_factory=str, max_length=256, description="Stands before the name of each blob. Default: none."
    )
    create: bool = Field(default=False, description="Create the container if it is missing.")
    request_timeout_s: float = Field(default=20.0, gt=0, le=300, description="Of one request, in seconds.")

    @property
    def place(self) -> str:
        return f"{self.endpoint.rstrip('/')}/{self.container}/{self.prefix}"

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.endpoint,)

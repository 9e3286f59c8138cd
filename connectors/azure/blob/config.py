"""What a Blob Storage target may be told."""

from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from connectors.azure.blob.account import ContainerName, StorageAccount
from connectors.azure.blob.names import blob_name
from connectors.azure.config import AzureTargetConfig, address

MIB = 1024 * 1024

Tier = Literal["Hot", "Cool", "Cold", "Archive"]

DEFAULT_TIERS: dict[str, Tier | None] = {
    "STANDARD_IA": "Cool",
    "ONEZONE_IA": "Cool",
    "GLACIER_IR": "Cold",
    "GLACIER": "Cold",
    "DEEP_ARCHIVE": "Cold",
}
"""Nothing is archived by itself: what is in Archive can neither be read nor replaced."""


class BlobTargetConfig(StorageAccount, AzureTargetConfig):
    """A container of blobs."""

    read_back: ClassVar[str] = (
        "a listing of the container, of which blobs changed since then count, or the change feed of the account from "
        "then on; deletions are told only by that feed"
    )
    rehearsed: ClassVar[tuple[str, ...]] = ("prefix", "tags", "tiers", "transfer")

    type: Literal["blob"]
    container: ContainerName = Field(description="Name of the container.")
    prefix: str = Field(
        default_factory=str,
        max_length=512,
        description="Stands before each key in the blob's name; other blobs are left alone. Default: none.",
    )
    marker_container: ContainerName = Field(
        default="replicator", description="Container of the same account that says which migration may write."
    )
    create: bool = Field(default=False, description="Create containers that are missing. Otherwise they must exist.")
    tags: Literal["index", "metadata", "none"] = Field(
        default="index", description="What becomes of an object's tags: index tags, one entry of metadata, or nothing."
    )
    tiers: dict[str, Tier | None] = Field(
        default_factory=DEFAULT_TIERS.copy,
        description="Access tier by storage class; classes that are not named get the account's default. "
        "Default: Cool for STANDARD_IA and ONEZONE_IA, Cold for GLACIER_IR, GLACIER and DEEP_ARCHIVE.",
    )
    transfer: Literal["stream", "server"] = Field(
        default="stream",
        description="stream: through the daemon. server: the account fetches the bytes itself, where it can.",
    )
    block_bytes: int = Field(
        default=8 * MIB,
        ge=64 * 1024,
        le=4000 * MIB,
        description="Size of the blocks that large objects are sent in; larger where 50,000 of them would not do.",
    )
    block_concurrency: int = Field(default=4, ge=1, le=64, description="Blocks of one object under way at once.")
    buffer_bytes: int = Field(
        default=64 * MIB, ge=MIB, description="Content in memory at once, of all objects of the pipeline together."
    )
    max_bytes_per_s: float | None = Field(
        default=None, gt=0, description="Content that is transferred per second, at most, by the whole pipeline."
    )

    @property
    def place(self) -> tuple[str, ...]:
        host, port = address(self.endpoint)
        return ("blob", host, str(port), urlsplit(self.endpoint).path.strip("/"), self.container)

    @field_validator("prefix")
    @classmethod
    def _nameable(cls, prefix: str) -> str:
        if prefix:
            blob_name("x", prefix)
        return prefix

    @model_validator(mode="after")
    def _marker_apart(self) -> Self:
        if self.marker_container == self.container:
            raise ValueError("marker_container must be another container than that of the objects")
        return self

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        if self.block_bytes > self.buffer_bytes:
            raise ValueError("buffer_bytes must be at least block_bytes")
        return self

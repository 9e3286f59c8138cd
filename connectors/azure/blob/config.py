"""What a Blob Storage target may be told."""

import re
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from connectors.azure.blob.names import blob_name
from connectors.azure.config import AzureTargetConfig, address, unsigned
from replicator.config import Url

MIB = 1024 * 1024

ContainerName = Annotated[str, StringConstraints(max_length=63, pattern=r"^(\$root|\$web|[a-z0-9](-?[a-z0-9]){2,62})$")]
Tier = Literal["Hot", "Cool", "Cold", "Archive"]

DEFAULT_TIERS: dict[str, Tier | None] = {
    "STANDARD_IA": "Cool",
    "ONEZONE_IA": "Cool",
    "GLACIER_IR": "Cold",
    "GLACIER": "Cold",
    "DEEP_ARCHIVE": "Cold",
}
"""Nothing is archived by itself: what is in Archive can neither be read nor replaced."""

_LOCAL = re.compile(r"^(localhost|\[.*\]|[\d.]+)$")


def account_of(endpoint: str, account: str | None) -> str:
    """The name of an account: as it is told, or in the path where that is local, or first in the host's name."""
    parts = urlsplit(endpoint)
    in_path = parts.path.strip("/").partition("/")[0]
    return account or in_path or (parts.hostname or "").partition(".")[0]


def names_account(endpoint: str, account: str | None) -> bool:
    """Whether `account_of` knows it."""
    parts = urlsplit(endpoint)
    return bool(account or parts.path.strip("/") or not _LOCAL.match(parts.hostname or ""))


class BlobTargetConfig(AzureTargetConfig):
    """A container of blobs."""

    read_back: ClassVar[str] = (
        "a listing of the container, of which blobs changed since then count, or the change feed of the account from "
        "then on; deletions are told only by that feed"
    )
    rehearsed: ClassVar[tuple[str, ...]] = ("prefix", "tags", "tiers", "transfer")

    type: Literal["blob"]
    endpoint: Url = Field(pattern=r"^https?://", description="URL of the account's blob service.")
    account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        description="Name of the account, needed beside a key where the endpoint does not begin with it.",
    )
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
    def account_name(self) -> str:
        """As the key's signature needs it. It stands first in the host's name, or in the path where that is local."""
        return account_of(self.endpoint, self.account)

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

    @field_validator("endpoint")
    @classmethod
    def _without_signature(cls, endpoint: str) -> str:
        return unsigned(endpoint)

    @model_validator(mode="after")
    def _account_known(self) -> Self:
        if self.key is not None and not names_account(self.endpoint, self.account):
            raise ValueError("the endpoint does not name the account: give account beside the key")
        return self

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

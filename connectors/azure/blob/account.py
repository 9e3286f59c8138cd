"""What a config says of a storage account, whatever is kept in its blobs."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from connectors.azure.config import AzureAccess, unsigned
from replicator.config import Url

ContainerName = Annotated[str, StringConstraints(max_length=63, pattern=r"^(\$root|\$web|[a-z0-9](-?[a-z0-9]){2,62})$")]

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


class StorageAccount(AzureAccess):
    """An account, and how to reach it."""

    endpoint: Url = Field(pattern=r"^https?://", description="URL of the account's blob service.")
    account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        description="Name of the account, needed beside a key where the endpoint does not begin with it.",
    )

    @property
    def account_name(self) -> str:
        """As the key's signature needs it. It stands first in the host's name, or in the path where that is local."""
        return account_of(self.endpoint, self.account)

    @field_validator("endpoint")
    @classmethod
    def _without_signature(cls, endpoint: str) -> str:
        return unsigned(endpoint)

    @model_validator(mode="after")
    def _account_known(self) -> Self:
        if self.key is not None and not names_account(self.endpoint, self.account):
            raise ValueError("the endpoint does not name the account: give account beside the key")
        return self

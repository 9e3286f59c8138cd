"""Where the shared state is kept."""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.azure.blob.config import ContainerName, account_of, names_account
from connectors.azure.config import account_key, unsigned
from replicator.config import EndpointConfig, Url


class BlobStateConfig(EndpointConfig):
    """A container of a storage account, or a part of it. Without a key, DefaultAzureCredential is used."""

    type: Literal["blob"]
    endpoint: Url = Field(pattern=r"^https?://", description="URL of the account's blob service.")
    account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        description="Name of the account, needed beside a key where the endpoint does not begin with it.",
    )
    key: SecretStr | None = Field(
        default=None,
        description="Account key; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )
    container: ContainerName = Field(description="Name of the container.")
    prefix: str = Field(
        default_factory=str, max_length=256, description="Stands before the name of each blob. Default: none."
    )
    create: bool = Field(default=False, description="Create the container if it is missing.")
    request_timeout_s: float = Field(default=20.0, gt=0, le=300, description="Of one request, in seconds.")

    @property
    def account_name(self) -> str:
        """As the key's signature needs it."""
        return account_of(self.endpoint, self.account)

    @field_validator("key")
    @classmethod
    def _is_account_key(cls, key: SecretStr | None) -> SecretStr | None:
        return account_key(key)

    @field_validator("endpoint")
    @classmethod
    def _without_signature(cls, endpoint: str) -> str:
        return unsigned(endpoint)

    @model_validator(mode="after")
    def _account_known(self) -> Self:
        if self.key is not None and not names_account(self.endpoint, self.account):
            raise ValueError("the endpoint does not name the account: give account beside the key")
        return self

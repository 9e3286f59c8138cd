"""What every Azure connector may be told about credentials."""

from pydantic import Field, SecretStr

from replicator.config import TargetConfig


class AzureTargetConfig(TargetConfig):
    """Without a key, DefaultAzureCredential is used: environment, workload identity, managed identity, Azure CLI."""

    key: SecretStr | None = Field(
        default=None,
        description="Account key; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )

"""What every Azure connector may be told about credentials."""

import binascii
from base64 import b64decode

from pydantic import Field, SecretStr, field_validator

from replicator.config import TargetConfig


class AzureTargetConfig(TargetConfig):
    """Without a key, DefaultAzureCredential is used: environment, workload identity, managed identity, Azure CLI."""

    key: SecretStr | None = Field(
        default=None,
        description="Account key; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )

    @field_validator("key")
    @classmethod
    def _base64(cls, key: SecretStr | None) -> SecretStr | None:
        """The SDK would stumble over anything else with its first request."""
        try:
            decoded = b64decode(key.get_secret_value(), validate=True) if key is not None else None
        except (binascii.Error, ValueError):
            decoded = b""
        if decoded == b"":
            raise ValueError("is no account key: that is base64, without anything around it")
        return key

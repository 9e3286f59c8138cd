"""What every Azure connector may be told about credentials, and how endpoints are compared."""

from base64 import b64decode
from contextlib import suppress
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from replicator.config import EndpointConfig, TargetConfig, mistake

PORTS = {"http": 80, "https": 443}


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint, however it is written."""
    parts = urlsplit(endpoint)
    return (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0)


class AzureAccess(EndpointConfig):
    """Without a key, DefaultAzureCredential is used: environment, workload identity, managed identity, Azure CLI."""

    key: SecretStr | None = Field(
        default=None,
        description="Account key; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )

    @field_validator("key")
    @classmethod
    def _is_account_key(cls, key: SecretStr | None) -> SecretStr | None:
        return account_key(key)


class AzureTargetConfig(AzureAccess, TargetConfig):
    """Base of targets that have an account key."""


def account_key(key: SecretStr | None) -> SecretStr | None:
    """The same key. Raises a mistake of the config for what the SDK would stumble over with its first request."""
    if key is None:
        return None
    text = key.get_secret_value()
    if not text:
        raise mistake("is empty", "Set it to an account key, or leave the field out for DefaultAzureCredential")
    with suppress(ValueError):
        b64decode(text, validate=True)
        return key
    raise mistake(
        "is no account key: only letters, digits, +, / and = occur in one",
        "Copy the whole primary or secondary key from the Azure portal, without spaces or anything else around it",
    )


def unsigned(url: str) -> str:
    """The same URL. Raises a mistake of the config for one with a shared access signature: URLs are shown, and it is a
    secret, which ends some day.
    """
    if urlsplit(url).query:
        raise mistake("has a query: a shared access signature is not taken", "Leave it out, and give a key or a role")
    return url

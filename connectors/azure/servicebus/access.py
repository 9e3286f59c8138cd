"""Where a namespace is and what opens it, from a connection string or from single fields."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

ROOT_KEY_NAME: Final = "RootManageSharedAccessKey"

UNUSABLE: Final = "is no connection string like Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…"


@dataclass(frozen=True, slots=True)
class Access:
    """`host` is a name, with a port where it is not the usual one. `plain`: without TLS, as local emulators are.

    Without a key, DefaultAzureCredential is used.
    """

    host: str
    plain: bool = False
    key_name: str = ROOT_KEY_NAME
    key: str | None = field(default=None, repr=False)
    queue: str | None = None


def parse_connection_string(text: str) -> Access:
    """Raises ValueError, with nothing of the text, for what cannot be used."""
    fields = {
        name.strip().lower(): value.strip()
        for name, separator, value in (part.partition("=") for part in text.split(";"))
        if separator
    }
    host = urlsplit(fields.get("endpoint", "")).netloc
    if "sharedaccesssignature" in fields:
        raise ValueError("holds a signature that ends some day: give one with SharedAccessKeyName and SharedAccessKey")
    if not host or not fields.get("sharedaccesskey") or not fields.get("sharedaccesskeyname"):
        raise ValueError(UNUSABLE)
    return Access(
        host=host,
        plain=fields.get("usedevelopmentemulator", "").lower() == "true",
        key_name=fields["sharedaccesskeyname"],
        key=fields["sharedaccesskey"],
        queue=fields.get("entitypath") or None,
    )

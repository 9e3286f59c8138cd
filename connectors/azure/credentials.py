"""Credentials for targets whose config gives no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential


def default_credential() -> DefaultAzureCredential:
    """Environment, workload identity, managed identity, Azure CLI: whichever answers first. To be closed."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 -- slow to load, and a key needs none

    return DefaultAzureCredential()

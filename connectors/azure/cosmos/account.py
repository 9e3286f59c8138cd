"""The account behind a target: how consistent its reads are, and which of its regions take writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azure.cosmos.aio import CosmosClient
from azure.cosmos.documents import DatabaseAccount

from connectors.azure.config import address
from connectors.azure.cosmos.calls import Calls, Hook
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.errors import AzureRefusal, configuration_error
from connectors.azure.probing import TOKEN_TIMEOUT_S
from replicator.errors import ConfigurationError

READS_OWN_WRITES = frozenset({"Strong", "BoundedStaleness", "Session"})
"""Levels at which a client that carries the session's token never reads what was there before its own writes."""


@dataclass(frozen=True, slots=True)
class Account:
    """`consistency` is the level's name as the service spells it; regions are known by their own endpoints."""

    consistency: str
    several_write_regions: bool
    writable: tuple[str, ...]
    readable: tuple[str, ...]

    def is_writable_region(self, endpoint: str) -> bool:
        """Whether the endpoint is that of one region which takes writes, not the whole account's."""
        return address(endpoint) in map(address, self.writable)

    def only_reads(self, endpoint: str) -> bool:
        """Whether the endpoint is that of a region which takes no writes."""
        return not self.is_writable_region(endpoint) and address(endpoint) in map(address, self.readable)


async def enter_account(client: CosmosClient, calls: Calls, config: CosmosTargetConfig, where: str) -> Account:
    """The client's first request. From here on it carries session tokens, where the account's reads need them.

    Raises ConfigurationError when the account cannot be used, or not through this endpoint.
    """

    async def enter(_: Hook) -> DatabaseAccount | None:
        await client.__aenter__()
        found: DatabaseAccount | None = client.client_connection._global_endpoint_manager._database_account_cache  # noqa: SLF001 — kept nowhere else
        return found

    try:
        account = _account(await calls.probe(where, enter, TOKEN_TIMEOUT_S if config.key is None else None))
    except AzureRefusal as refusal:
        raise configuration_error(where, refusal) from refusal
    if account.only_reads(config.endpoint):
        raise ConfigurationError(
            f"{where}.endpoint",
            "is that of a region which takes no writes",
            f"Name the account's own endpoint, or one of {', '.join(account.writable)}",
        )
    return account


def _account(document: DatabaseAccount | None) -> Account:
    assert document is not None, "the client was entered"  # noqa: S101
    return Account(
        consistency=(document.ConsistencyPolicy or {}).get("defaultConsistencyLevel", "unknown"),
        several_write_regions=bool(document._EnableMultipleWritableLocations),  # noqa: SLF001 — there is no public way
        writable=_endpoints(document.WritableLocations),
        readable=_endpoints(document.ReadableLocations),
    )


def _endpoints(locations: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(location["databaseAccountEndpoint"] for location in locations if "databaseAccountEndpoint" in location)

"""Databases and containers: what must be true of them before anything is written, and making them where allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.cosmos import PartitionKey, ThroughputProperties
from azure.cosmos.aio import CosmosClient

from connectors.azure.cosmos.access import require_access
from connectors.azure.cosmos.calls import Calls, Hook, Send, container_replaced
from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.mapping import MappingRules, default_path, path_member
from connectors.azure.errors import AzureRefusal, configuration_error
from replicator.errors import ConfigurationError

NO_DEFAULT_EXPIRY = -1
"""Documents expire by their own `ttl` alone."""

MARKER_PATHS = ("/id",)

CREATE_TIMEOUT_S = 60.0
"""Containers take longer to make than documents to write."""


@dataclass(frozen=True, slots=True)
class Existing:
    """What was found: the properties of each container, None where it is missing."""

    container: Mapping[str, Any] | None
    marker: Mapping[str, Any] | None

    @property
    def incarnation(self) -> str | None:
        """What the service calls the container by, whatever its name: another one has another."""
        return None if self.container is None else self.container["_rid"]

    @property
    def unique_paths(self) -> tuple[str, ...]:
        """Of all unique keys, because of which the service may refuse a document on account of another one."""
        keys = (self.container or {}).get("uniqueKeyPolicy", {}).get("uniqueKeys", [])
        return tuple(path for key in keys for path in key["paths"])


def mapping_rules(config: CosmosTargetConfig, key_names: tuple[str, ...], where: str) -> MappingRules:
    """The rules of a config for a source with these key attributes. Raises ConfigurationError if records collide."""
    field = f"{where}.partition_key"
    try:
        paths = config.partition_key or (default_path(key_names),)
    except ValueError as error:
        raise ConfigurationError(field, str(error), "Write [/id], which partitions by the whole key") from error
    try:
        rules = MappingRules(key_attributes=key_names, id_from=config.id or key_names, partition_paths=paths)
    except ValueError as error:
        raise ConfigurationError(
            field, str(error), f"The source's key attributes are {', '.join(key_names)}"
        ) from error
    if not rules.tells_keys_apart:
        raise ConfigurationError(
            f"{where}.id",
            "different records would get the same id and partition key",
            f"Name every key attribute ({', '.join(key_names)}) in id or partition_key",
        )
    return rules


def _name_the_same(found: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether paths name the same members, quoted or not."""
    try:
        return [path_member(path) for path in found] == [path_member(path) for path in wanted]
    except ValueError:
        return False


class Containers:
    """The container of records and that of the marker, in one database."""

    def __init__(self, client: CosmosClient, calls: Calls, config: CosmosTargetConfig, where: str) -> None:
        self._client = client
        self._calls = calls
        self._config = config
        self._where = where
        self._database = client.get_database_client(config.database)

    async def find(self, rules: MappingRules) -> Existing:
        """Raises ConfigurationError for what is missing and may not be created, of the wrong shape, or forbidden."""
        existing = Existing(
            container=await self._properties(self._config.container),
            marker=await self._properties(self._config.marker_container),
        )
        for field, name, found in (
            ("container", self._config.container, existing.container),
            ("marker_container", self._config.marker_container, existing.marker),
        ):
            if found is None and not self._config.create:
                raise ConfigurationError(
                    f"{self._where}.{field}",
                    f"there is no container {name} in database {self._config.database}",
                    "Create it, or allow it with create: true",
                )
        if existing.container is not None:
            await self._require_usable("container", existing.container, rules.partition_paths)
        if existing.marker is not None:
            await self._require_usable("marker_container", existing.marker, MARKER_PATHS)
        return existing

    async def _require_usable(self, field: str, properties: Mapping[str, Any], paths: tuple[str, ...]) -> None:
        self._check_shape(field, properties, paths)
        container = self._database.get_container_client(properties["id"])
        where, members = f"{self._where}.{field}", tuple(map(path_member, paths))
        await require_access(container, self._calls, where, members, queried=field == "container")

    async def create(self, existing: Existing, rules: MappingRules) -> Existing:
        """Makes what is missing and gives what is there then; another daemon doing the same does no harm."""
        if existing.container is not None and existing.marker is not None:
            return existing
        await self._made(f"database {self._config.database}", self._create_database)
        if existing.container is None:
            paths = rules.partition_paths
            key = PartitionKey(list(paths)) if len(paths) > 1 else PartitionKey(paths[0])
            await self._create_container(self._config.container, key, self._throughput())
        if existing.marker is None:
            await self._create_container(self._config.marker_container, PartitionKey(*MARKER_PATHS), None)
        return await self.find(rules)

    async def require_same(self, existing: Existing) -> None:
        """Raises ForeignOwnerError unless the container of records still is the one that was found."""
        found = await self._calls.find(self._look(self._config.container))
        if found is None or found["_rid"] != existing.incarnation:
            raise container_replaced(self._where, self._config.container)

    async def _made(self, what: str, create: Send[None]) -> None:
        try:
            await self._calls.probe(self._where, create, CREATE_TIMEOUT_S)
        except AzureRefusal as refusal:
            if refusal.status != 409:  # somebody else has made it since we looked
                raise ConfigurationError(
                    f"{self._where}.create", f"{what} cannot be made: {refusal}", "Mend that, or create it beforehand"
                ) from refusal

    def _check_shape(self, field: str, properties: Mapping[str, Any], paths: tuple[str, ...]) -> None:
        name, found = properties["id"], tuple(properties["partitionKey"]["paths"])
        if not _name_the_same(found, paths):
            raise ConfigurationError(
                f"{self._where}.{'partition_key' if field == 'container' else field}",
                f"container {name} is partitioned by {', '.join(found)}, not by {', '.join(paths)}",
                "Name the container's paths, or another container: they cannot be changed",
            )
        if properties.get("defaultTtl", NO_DEFAULT_EXPIRY) != NO_DEFAULT_EXPIRY:
            raise ConfigurationError(
                f"{self._where}.{field}",
                f"container {name} lets documents without a ttl expire after {properties['defaultTtl']} seconds",
                "Set its default time to live to -1 (on, no default)",
            )

    async def _properties(self, name: str) -> Mapping[str, Any] | None:
        try:
            return await self._calls.probe(self._where, self._look(name))
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return None
            raise configuration_error(self._where, refusal) from refusal

    def _look(self, name: str) -> Send[Mapping[str, Any]]:
        container = self._database.get_container_client(name)

        async def read(hook: Hook) -> Mapping[str, Any]:
            properties: Mapping[str, Any] = await container.read(response_hook=hook)
            return properties

        return read

    async def _create_database(self, hook: Hook) -> None:
        await self._client.create_database_if_not_exists(
            self._config.database, response_hook=hook, read_timeout=CREATE_TIMEOUT_S
        )

    async def _create_container(self, name: str, key: PartitionKey, throughput: Any) -> None:
        async def send(hook: Hook) -> None:
            await self._database.create_container_if_not_exists(
                name,
                key,
                default_ttl=NO_DEFAULT_EXPIRY,
                offer_throughput=throughput,
                response_hook=hook,
                read_timeout=CREATE_TIMEOUT_S,
            )

        await self._made(f"container {name}", send)

    def _throughput(self) -> int | ThroughputProperties | None:
        if self._config.autoscale_max_throughput is not None:
            return ThroughputProperties(auto_scale_max_throughput=self._config.autoscale_max_throughput)
        return self._config.throughput

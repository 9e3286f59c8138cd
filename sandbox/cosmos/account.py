"""The account: databases and their containers."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.cosmos.container import Container
from sandbox.cosmos.errors import CosmosError, bad_request, conflict, not_found

if TYPE_CHECKING:
    from sandbox.clock import Clock
    from sandbox.cosmos.wire import Json, JsonObject

MAX_NAME_CHARS = 255
OWNER_NOT_FOUND = 1003
_DEFAULT_INDEXING: JsonObject = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What new containers get.

    `partitions` physical partitions; a budget of `ru_per_s` (None: unlimited); `retained_changes`
    past changes per partition for all-versions mode (0: mode off, as without continuous backup);
    `previous_images` in that mode, which the service has in preview only.
    """

    partitions: int = 4
    ru_per_s: float | None = None
    retained_changes: int = 25_000
    previous_images: bool = False

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError("a container needs at least one partition")


@dataclass(slots=True, eq=False)
class Database:
    """A database and its containers by name."""

    properties: JsonObject
    rid: bytes
    containers: dict[str, Container] = field(default_factory=dict)


class Account:
    """All databases. Metadata operations return the documents that go to the client."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._databases: dict[str, Database] = {}

    def reset(self) -> None:
        """Drop everything."""
        self._databases.clear()

    def database(self, name: str | None) -> Database:
        """Find a database; 404."""
        found = self._databases.get(name or "")
        if found is None:
            raise not_found(f"database {name}")
        return found

    def container(self, database: str | None, name: str | None) -> Container:
        """Find a container; 404, with sub status 1003 as for the owner of what was asked."""
        owner = self._databases.get(database or "")
        found = owner.containers.get(name or "") if owner else None
        if found is None:
            raise CosmosError(404, "Owner resource does not exist.", substatus=OWNER_NOT_FOUND)
        return found

    def databases(self) -> list[JsonObject]:
        """The documents of all databases."""
        return [database.properties for database in self._databases.values()]

    def containers(self) -> dict[tuple[str, str], Container]:
        """All containers by database and name."""
        return {
            (database, name): container
            for database, owner in self._databases.items()
            for name, container in owner.containers.items()
        }

    def create_database(self, body: JsonObject) -> JsonObject:
        """Create a database from `{"id": …}`; 409 if it exists."""
        name = _valid_name(body.get("id"))
        if name in self._databases:
            raise conflict(f"database {name}")
        rid = secrets.token_bytes(4)
        link = f"dbs/{_rid_text(rid)}/"
        properties = self._describe({"id": name}, rid, link) | {"_colls": "colls/", "_users": "users/"}
        self._databases[name] = Database(properties, rid)
        return properties

    def delete_database(self, name: str | None) -> None:
        """Drop a database with all its containers; 404."""
        del self._databases[str(self.database(name).properties["id"])]

    def create_container(self, database: str | None, body: JsonObject) -> JsonObject:
        """Create a container; 409 if it exists, 400 for settings the service would refuse."""
        owner = self.database(database)
        name = _valid_name(body.get("id"))
        if name in owner.containers:
            raise conflict(f"container {name}")
        rid = owner.rid + secrets.token_bytes(4)
        link = f"dbs/{_rid_text(owner.rid)}/colls/{_rid_text(rid)}/"
        container = Container(
            self._describe_container(body, rid, link),
            rid,
            link,
            clock=self._clock,
            partitions=self.settings.partitions,
            retained=self.settings.retained_changes,
            previous_images=self.settings.previous_images,
        )
        container.budget.set_rate(self.settings.ru_per_s)
        owner.containers[name] = container
        return container.properties

    def replace_container(self, database: str | None, name: str | None, body: JsonObject) -> JsonObject:
        """Replace a container's settings; 400 for another id or partition key."""
        container = self.container(database, name)
        if body.get("id") != name:
            raise bad_request("The id of a container cannot be changed.")
        body.setdefault("partitionKey", container.properties["partitionKey"])
        container.replace(self._describe_container(body, container.rid, container.self_link))
        return container.properties

    def delete_container(self, database: str | None, name: str | None) -> None:
        """Drop a container; 404."""
        self.container(database, name)
        del self.database(database).containers[name or ""]

    def _describe_container(self, body: JsonObject, rid: bytes, link: str) -> JsonObject:
        settings: JsonObject = {
            "indexingPolicy": _DEFAULT_INDEXING,
            "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts"},
            "geospatialConfig": {"type": "Geography"},
        }
        settings |= {name: value for name, value in body.items() if not name.startswith("_")}
        collections: JsonObject = {
            f"_{name}": f"{name}/" for name in ("docs", "sprocs", "triggers", "udfs", "conflicts")
        }
        return self._describe(settings, rid, link) | collections

    def _describe(self, properties: JsonObject, rid: bytes, link: str) -> JsonObject:
        etag = f'"{secrets.token_hex(4)}-0000-0000-0000-{secrets.token_hex(6)}"'
        return properties | {
            "_rid": _rid_text(rid),
            "_self": link,
            "_etag": etag,
            "_ts": int(self._clock.now()),
        }


def _valid_name(value: Json) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARS:
        raise bad_request(f"The id must be text of 1 to {MAX_NAME_CHARS} characters.")
    if any(character in value for character in "/\\?#"):
        raise bad_request("The id contains one of the characters / \\ ? #, which are not allowed.")
    return value


def _rid_text(rid: bytes) -> str:
    return base64.b64encode(rid, b"+-").decode()

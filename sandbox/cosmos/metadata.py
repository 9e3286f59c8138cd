"""Answers requests about the account, databases, containers and partition key ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.query.compiler import compile_predicate
from sandbox.cosmos.query.parser import parse_query
from sandbox.cosmos.reply import Reply, document_reply, feed_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cosmos.account import Account
    from sandbox.cosmos.container import Container
    from sandbox.cosmos.request import Request
    from sandbox.cosmos.wire import JsonObject

NOT_MODIFIED = 304
LEAST_RU_PER_S = 400


class Metadata:
    """The handlers of everything that is not an item, by operation name."""

    def __init__(self, account: Account, name: str, consistency: str) -> None:
        self._account = account
        self._name = name
        self._consistency = consistency
        self.endpoint = ""
        self.account_document: JsonObject = {}
        self.handlers: dict[str, Callable[[Request], Reply]] = {
            "account.read": self._read_account,
            "database.create": lambda request: document_reply(201, account.create_database(request.json())),
            "database.list": lambda _: feed_reply("", "Databases", account.databases()),
            "database.query": self._query_databases,
            "database.read": self._read_database,
            "database.delete": self._delete_database,
            "container.create": self._create_container,
            "container.list": self._list_containers,
            "container.query": self._query_containers,
            "container.read": self._read_container,
            "container.replace": self._replace_container,
            "container.delete": self._delete_container,
            "pkranges.list": self._list_ranges,
            "offers.query": lambda request: feed_reply("", "Offers", _filter(self._offers(), request)),
            "offers.list": lambda _: feed_reply("", "Offers", self._offers()),
        }

    def _read_account(self, _: Request) -> Reply:
        place: JsonObject = {"name": "Sandbox", "databaseAccountEndpoint": self.endpoint}
        replication: JsonObject = {"minReplicaSetSize": 1, "maxReplicasetSize": 1, "asyncReplication": False}
        document: JsonObject = {
            "id": self._name,
            "_self": "",
            "_rid": self._name,
            "_dbs": "//dbs/",
            "media": "//media/",
            "addresses": "//addresses/",
            "writableLocations": [place],
            "readableLocations": [place],
            "enableMultipleWriteLocations": False,
            "userReplicationPolicy": replication,
            "userConsistencyPolicy": {"defaultConsistencyLevel": self._consistency},
            "systemReplicationPolicy": replication,
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": "{}",
            "sandbox": "A development tool: a local imitation of Azure Cosmos DB, in memory only.",
            **self.account_document,
        }
        return document_reply(200, document)

    def _read_database(self, request: Request) -> Reply:
        return document_reply(200, self._account.database(request.route.database).properties)

    def _delete_database(self, request: Request) -> Reply:
        self._account.delete_database(request.route.database)
        return Reply(204)

    def _query_databases(self, request: Request) -> Reply:
        return feed_reply("", "Databases", _filter(self._account.databases(), request))

    def _create_container(self, request: Request) -> Reply:
        created = self._account.create_container(request.route.database, request.json())
        return document_reply(201, created)

    def _list_containers(self, request: Request) -> Reply:
        return feed_reply("", "DocumentCollections", self._containers(request))

    def _query_containers(self, request: Request) -> Reply:
        return feed_reply("", "DocumentCollections", _filter(self._containers(request), request))

    def _containers(self, request: Request) -> list[JsonObject]:
        database = self._account.database(request.route.database)
        return [container.properties for container in database.containers.values()]

    def _read_container(self, request: Request) -> Reply:
        return document_reply(200, self._container(request).properties)

    def _replace_container(self, request: Request) -> Reply:
        route = request.route
        replaced = self._account.replace_container(route.database, route.container, request.json())
        return document_reply(200, replaced)

    def _delete_container(self, request: Request) -> Reply:
        self._account.delete_container(request.route.database, request.route.container)
        return Reply(204)

    def _offers(self) -> list[JsonObject]:
        """One offer per container: its budget, or the service's least where there is none."""
        return [
            {
                "id": container.rid.hex(),
                "_rid": container.rid.hex(),
                "_self": f"offers/{container.rid.hex()}/",
                "offerVersion": "V2",
                "resource": container.self_link,
                "offerResourceId": container.properties["_rid"],
                "content": {"offerThroughput": int(container.budget.ru_per_s or LEAST_RU_PER_S)},
            }
            for container in self._account.containers().values()
        ]

    def _container(self, request: Request) -> Container:
        return self._account.container(request.route.database, request.route.container)

    def _list_ranges(self, request: Request) -> Reply:
        """Partition key ranges never change here, so a second look always finds them unmodified."""
        container = self._container(request)
        etag = str(container.properties["_etag"])
        if request.headers.get("if-none-match") == etag:
            return Reply(NOT_MODIFIED, headers={"etag": etag})
        ranges: list[JsonObject] = [
            {
                "id": partition.id,
                "_rid": container.properties["_rid"],
                "_self": f"{container.self_link}pkranges/{partition.id}/",
                "_etag": etag,
                "minInclusive": partition.low,
                "maxExclusive": partition.high,
                "status": "online",
                "parents": [],
            }
            for partition in container.partitions
        ]
        reply = feed_reply(str(container.properties["_rid"]), "PartitionKeyRanges", ranges)
        reply.headers["etag"] = etag
        return reply


def _filter(documents: list[JsonObject], request: Request) -> list[JsonObject]:
    text, parameters = request.query()
    query = parse_query(text)
    if query.value is not None or query.fields or not query.streams:
        raise bad_request("The sandbox supports only SELECT * with WHERE for databases and containers.")
    predicate = compile_predicate(query.where, parameters)
    stored = [wire.stored(wire.encode(document)) for document in documents]
    return [document for document in stored if predicate is None or predicate(document)]

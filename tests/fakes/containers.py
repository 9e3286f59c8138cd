"""A container in memory, as much of the SDK's as the connector uses: what it holds, was asked, and refuses."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from zlib import crc32

from azure.core import MatchConditions
from azure.cosmos import exceptions

ANSWERED = {"x-ms-request-charge": "1", "x-ms-activity-id": "a"}

MOST_OPERATIONS = 100
SPACE = 1000
"""Of the hashes that decide in which range a document lies."""

MOST_BYTES = 2 * 1024 * 1024

Fault = Callable[[str, list[str]], Exception | None]
"""What goes wrong with an operation (`create`, `batch`, `page` …) on these ids."""


def refusal(status: int, sub_status: int = 0) -> exceptions.CosmosHttpResponseError:
    """The SDK's error for an answer of the service."""
    headers = {**ANSWERED, **({"x-ms-substatus": str(sub_status)} if sub_status else {})}
    response = SimpleNamespace(status_code=status, headers=headers, reason="", content_type="", text=lambda *_: "")
    make: Callable[..., exceptions.CosmosHttpResponseError] = exceptions.CosmosHttpResponseError
    return make(message="refused", response=response)


@dataclass
class FakeContainer:
    """Documents by partition key and id. A query's pages have `page` of them; `ranges` split the ids between them.

    No two documents of a logical partition may be equal in their `unique` member; one that lacks it has null.
    """

    members: tuple[str, ...] = ("id",)
    unique: str | None = None
    page: int = 3
    ranges: int = 2
    fault: Fault = lambda _operation, _ids: None
    documents: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    _etags: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def id(self) -> str:
        return "orders"

    def held(self) -> list[dict[str, Any]]:
        """The documents, the service's members left out."""
        return [{k: v for k, v in body.items() if k != "_etag"} for body in self.documents.values()]

    def put(self, body: Mapping[str, Any]) -> None:
        """As somebody else would."""
        stored = json.loads(json.dumps(body))
        self.documents[self._place(stored)] = {**stored, "_etag": f"e{next(self._etags)}"}

    async def read_item(self, item: str, partition_key: Any, **options: Any) -> dict[str, Any]:
        self._begin("read", [item])
        found = self.documents.get(_address(item, partition_key))
        if found is None:
            raise refusal(404)
        _answered(options, found)
        return dict(found)

    async def create_item(self, body: dict[str, Any], **options: Any) -> None:
        self._begin("create", [body["id"]])
        if self._place(body) in self.documents or self._is_taken(body):
            raise refusal(409)
        self.put(body)
        _answered(options)

    async def upsert_item(self, body: dict[str, Any], **options: Any) -> None:
        self._begin("upsert", [body["id"]])
        if self._is_taken(body):
            raise refusal(409)
        self.put(body)
        _answered(options)

    async def replace_item(self, item: str, body: dict[str, Any], **options: Any) -> None:
        self._begin("replace", [item])
        self._require(self._place(body), options)
        if self._is_taken(body):
            raise refusal(409)
        self.put(body)
        _answered(options)

    async def patch_item(
        self, item: str, partition_key: Any, patch_operations: list[dict[str, Any]], **options: Any
    ) -> None:
        self._begin("patch", [item])
        held = self._require(_address(item, partition_key), options)
        body: dict[str, Any] = json.loads(json.dumps(held))
        for operation in patch_operations:
            *path, name = operation["path"].strip("/").split("/")
            inner = body
            for step in path:
                inner = inner[step]
            if operation["op"] == "remove":
                del inner[name]
            else:
                inner[name] = operation["value"]
        self.put(body)
        _answered(options)

    async def delete_item(self, item: str, partition_key: Any, **options: Any) -> None:
        self._begin("delete", [item])
        self._require(_address(item, partition_key), options)
        del self.documents[_address(item, partition_key)]
        _answered(options)

    async def execute_item_batch(
        self, batch_operations: list[tuple[Any, ...]], partition_key: Any, **options: Any
    ) -> None:
        """Refused as a whole for what the service never takes, or when one is refused."""
        bodies = [operation[1][0] for operation in batch_operations]
        self._begin("batch", [body["id"] for body in bodies])
        assert 1 <= len(batch_operations) <= MOST_OPERATIONS
        assert len(json.dumps(batch_operations)) <= MOST_BYTES
        assert {json.dumps(self._place(body)[0]) for body in bodies} == {json.dumps(_address("", partition_key)[0])}
        if any(verb == "create" and self._place(body) in self.documents for verb, (body,) in batch_operations):
            raise batch_failure(409)
        before = dict(self.documents)
        for body in bodies:
            if self._is_taken(body):
                self.documents = before
                raise batch_failure(409)
            self.put(body)
        _answered(options)

    def query_items(self, query: str, **options: Any) -> "FakePages":
        return FakePages(self, query, options)

    async def read_feed_ranges(self) -> AsyncIterator[dict[str, Any]]:
        self._begin("ranges", [])
        for number in range(self.ranges):
            yield {"from": SPACE * number // self.ranges, "to": SPACE * (number + 1) // self.ranges}

    def listed(self, query: str, feed_range: Mapping[str, int] | None) -> list[dict[str, Any]]:
        """What a query finds, in the order of ids."""
        found = sorted(self.documents.values(), key=lambda body: str(body["id"]))
        if "held = true" in query:
            found = [body for body in found if body.get("_replicator", {}).get("held") is True]
        if feed_range is None:
            return found
        return [b for b in found if feed_range["from"] <= crc32(b["id"].encode()) % SPACE < feed_range["to"]]

    def _begin(self, operation: str, ids: list[str]) -> None:
        self.asked.append((operation, ids))
        error = self.fault(operation, ids)
        if error is not None:
            raise error

    def _place(self, body: Mapping[str, Any]) -> tuple[str, str]:
        values = [body[member] for member in self.members]
        return _address(body["id"], values[0] if len(values) == 1 else values)

    def _is_taken(self, body: Mapping[str, Any]) -> bool:
        """Whether another document of the logical partition has the same unique value."""
        partition_key, id_ = self._place(body)
        return self.unique is not None and any(
            (place[0], held.get(self.unique)) == (partition_key, body.get(self.unique))
            for place, held in self.documents.items()
            if place[1] != id_
        )

    def _require(self, place: tuple[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
        assert ("etag" in options) == (options.get("match_condition") is MatchConditions.IfNotModified)
        held = self.documents.get(place)
        if held is None:
            raise refusal(404)
        if "etag" in options and options["etag"] != held["_etag"]:
            raise refusal(412)
        return held


class FakePages:
    """A query's pages; each continuation is where the next page begins."""

    def __init__(self, container: FakeContainer, query: str, options: Mapping[str, Any]) -> None:
        self._container = container
        self._query = query
        self._options = options
        self.continuation_token: str | None = None

    def by_page(self, continuation_token: str | None = None) -> "FakePages":
        self.continuation_token = continuation_token
        return self

    def __aiter__(self) -> "FakePages":
        return self

    async def __anext__(self) -> AsyncIterator[dict[str, Any]]:
        begin = int(self.continuation_token or 0)
        self._container._begin("page", [str(begin)])
        most = min(self._container.page, self._options.get("max_item_count", MOST_OPERATIONS))
        found = self._container.listed(self._query, self._options.get("feed_range"))
        page, rest = found[begin : begin + most], found[begin + most :]
        self.continuation_token = str(begin + most) if rest else None
        _answered(self._options)
        return _each(page)


def batch_failure(status: int) -> exceptions.CosmosBatchOperationError:
    """The SDK's error for a batch, one of whose operations was refused."""
    make: Callable[..., exceptions.CosmosBatchOperationError] = exceptions.CosmosBatchOperationError
    return make(error_index=0, headers=ANSWERED, status_code=status, message="refused")


async def _each(page: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for body in page:
        yield dict(body)


def _address(item: str, partition_key: Any) -> tuple[str, str]:
    return json.dumps(partition_key), item


def _answered(options: Mapping[str, Any], *result: Any) -> None:
    """The hook is called with the headers, by some calls with the result too."""
    hook = options.get("response_hook")
    if hook is not None:
        hook(ANSWERED, *result)

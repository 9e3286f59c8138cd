"""Reads what a request is about from its method, path and headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sandbox.cosmos.errors import CosmosError, bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

IS_UPSERT = "x-ms-documentdb-is-upsert"
IS_QUERY = "x-ms-documentdb-isquery"
IS_PLAN = "x-ms-cosmos-is-query-plan-request"
IS_BATCH = "x-ms-cosmos-is-batch-request"

_POINT = {"GET": "read", "PUT": "replace", "DELETE": "delete", "PATCH": "patch"}
_NAMES = {"": "account", "dbs": "database", "colls": "container", "docs": "item"}


@dataclass(frozen=True, slots=True)
class Route:
    """A request in the service's terms.

    `operation` is a name such as `item.upsert` or `container.read`, by which faults and counters
    know it. `resource_type` and `link` are what the signature covers.
    """

    operation: str
    resource_type: str
    link: str
    database: str | None
    container: str | None
    item: str | None


def route(method: str, path: str, headers: Mapping[str, str]) -> Route:
    """Read a request line; `path` is still percent-encoded. 400 or 405 for what is no resource."""
    parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
    if parts == [""]:
        parts = []
    feed = len(parts) % 2 == 1
    resource_type = "" if not parts else parts[-1] if feed else parts[-2]
    link = "/".join(parts[:-1] if feed else parts)
    names = dict(zip(parts[::2], parts[1::2], strict=False))
    operation = _operation(method, resource_type, feed=feed, headers=headers)
    return Route(operation, resource_type, link, names.get("dbs"), names.get("colls"), names.get("docs"))


def _operation(method: str, resource_type: str, *, feed: bool, headers: Mapping[str, str]) -> str:
    name = _NAMES.get(resource_type, resource_type)
    if not feed:
        if method not in _POINT:
            raise CosmosError(405, f"The sandbox knows no {method} on this path.")
        return f"{name}.{_POINT[method]}"
    if method == "GET":
        return f"{name}.{'changefeed' if resource_type == 'docs' and 'a-im' in headers else 'list'}"
    if method == "POST":
        return f"{name}.{_posted(headers)}"
    raise bad_request(f"The sandbox knows no {method} on this path.")


def _posted(headers: Mapping[str, str]) -> str:
    for header, verb in ((IS_UPSERT, "upsert"), (IS_QUERY, "query"), (IS_BATCH, "batch"), (IS_PLAN, "plan")):
        if headers.get(header, "").lower() == "true":
            return verb
    return "create"

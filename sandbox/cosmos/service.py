"""Answers requests about items, within the container's throughput budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.budget import page_charge
from sandbox.cosmos.changefeed import read_feed
from sandbox.cosmos.documents import MAX_ITEM_BYTES
from sandbox.cosmos.errors import CosmosError, bad_request
from sandbox.cosmos.keys import parse_header
from sandbox.cosmos.operations import Operation, Outcome, parse_batch
from sandbox.cosmos.patch import parse_patch
from sandbox.cosmos.query.execution import Page, run_query
from sandbox.cosmos.query.parser import parse_query
from sandbox.cosmos.query.plan import query_plan
from sandbox.cosmos.reply import Reply, feed_body
from sandbox.cosmos.scope import PARTITION_KEY, RANGE_ID, Scope, scope_of
from sandbox.cosmos.transaction import run_batch, run_one

if TYPE_CHECKING:
    from sandbox.cosmos.account import Account
    from sandbox.cosmos.container import Container
    from sandbox.cosmos.items import Partition
    from sandbox.cosmos.keys import PartitionKey
    from sandbox.cosmos.request import Request

NOT_MODIFIED = 304
CROSS_PARTITION = "x-ms-documentdb-query-enablecrosspartition"
INTENDED_RID = "x-ms-cosmos-intended-collection-rid"
NOT_SERVABLE = 1004
RID_MISMATCH = 1024
FEED_PAGE = 100
QUERY_PAGE = 1_000
_EVERYTHING = parse_query("SELECT * FROM c")
_BODIES = frozenset({"create", "upsert", "replace"})


class Items:
    """The handlers of item operations."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def answer(self, request: Request) -> Reply:
        """Perform one item operation.

        Raises CosmosError as the service would refuse it, 429 when the budget is used up.
        """
        route = request.route
        container = self._account.container(route.database, route.container)
        _check_rid(container, request)
        verb = route.operation.removeprefix("item.")
        if verb == "plan":
            return Reply(200, wire.encode(query_plan(parse_query(request.query()[0]))))
        container.budget.admit()
        if verb == "batch":
            reply = _batch(container, request)
        elif verb in {"query", "list", "changefeed"}:
            reply = await _feed(container, request, verb)
        else:
            reply = _point(container, request, verb)
        container.budget.spend(reply.charge_ru)
        reply.headers["x-ms-alt-content-path"] = f"dbs/{route.database}/colls/{route.container}"
        reply.headers["x-ms-content-path"] = str(container.properties["_rid"])
        return reply


def _check_rid(container: Container, request: Request) -> None:
    intended = request.headers.get(INTENDED_RID)
    if intended is not None and intended != container.properties["_rid"]:
        raise bad_request("The container was deleted and created again.", RID_MISMATCH)


def _key(request: Request) -> PartitionKey:
    header = request.headers.get(PARTITION_KEY)
    if header is None:
        raise bad_request("The partition key header is missing.")
    return parse_header(header)


def _point(container: Container, request: Request, verb: str) -> Reply:
    if len(request.body) > MAX_ITEM_BYTES:
        raise CosmosError(413, f"Request size is too large: {len(request.body)} bytes.")
    key, headers = _key(request), request.headers
    operation = Operation(
        verb,
        request.route.item,
        request.json() if verb in _BODIES else None,
        parse_patch(request.json()) if verb == "patch" else None,
        headers.get("if-match"),
        headers.get("if-none-match"),
    )
    outcome = run_one(container, key, operation)
    body = outcome.body or b""
    if verb != "read" and headers.get("prefer") == "return=minimal":
        body = b""
    reply = Reply(outcome.status, body, outcome.charge_ru, _located(container.partition_of(key)))
    if outcome.etag:
        reply.headers["etag"] = outcome.etag
    return reply


def _located(partition: Partition) -> dict[str, str]:
    return {
        "x-ms-session-token": partition.session_token,
        RANGE_ID: partition.id,
        "lsn": str(partition.lsn),
    }


def _batch(container: Container, request: Request) -> Reply:
    if not request.flag("x-ms-cosmos-batch-atomic"):
        raise bad_request("The sandbox supports atomic batches only.")
    key = _key(request)
    minimal = request.headers.get("prefer") == "return=minimal"
    outcomes = run_batch(container, key, parse_batch(request.body))
    failed = any(isinstance(outcome, CosmosError) for outcome in outcomes)
    charge_ru = sum(outcome.charge_ru for outcome in outcomes if isinstance(outcome, Outcome))
    body = b"[%b]" % b",".join([_batch_entry(outcome, minimal=minimal) for outcome in outcomes])
    return Reply(207 if failed else 200, body, charge_ru or 1.0, _located(container.partition_of(key)))


def _batch_entry(outcome: Outcome | CosmosError, *, minimal: bool) -> bytes:
    if isinstance(outcome, CosmosError):
        entry: dict[str, object] = {"statusCode": outcome.status, "requestCharge": 0.0}
        if outcome.substatus is not None:
            entry["subStatusCode"] = outcome.substatus
        if outcome.message:
            entry["message"] = outcome.message
        return json.dumps(entry).encode()
    head = b'{"statusCode":%d,"requestCharge":%.2f' % (outcome.status, outcome.charge_ru)
    if outcome.etag is not None:
        head += b',"eTag":"\\"%b\\""' % outcome.etag.strip('"').encode()
    if outcome.body is None or minimal:
        return head + b"}"
    return b'%b,"resourceBody":%b}' % (head, outcome.body)


async def _feed(container: Container, request: Request, verb: str) -> Reply:
    container.expire()
    scope = scope_of(container, request.headers)
    if verb == "changefeed":
        return _change_page(container, scope, request)
    text, parameters = request.query() if verb == "query" else ("", {})
    query = parse_query(text) if text else _EVERYTHING
    if not scope.single and verb == "query":
        _check_servable(request, text)
    most = request.page_size(QUERY_PAGE if text else FEED_PAGE)
    page = await run_query(query, parameters, scope, request.headers.get("x-ms-continuation"), most)
    reply = _page_reply(container, scope, page)
    if page.continuation is not None:
        reply.headers["x-ms-continuation"] = page.continuation
    return reply


def _check_servable(request: Request, text: str) -> None:
    """What needs merging over partitions is handed back with its plan, as a gateway does."""
    if not request.flag(CROSS_PARTITION):
        raise bad_request("Cross partition query is required but disabled.")
    query = parse_query(text)
    if not query.streams:
        plan = wire.encode(query_plan(query)).decode()
        raise CosmosError(
            400,
            "The provided cross partition query can not be directly served by the gateway.",
            substatus=NOT_SERVABLE,
            extra={"additionalErrorInfo": plan},
        )


def _change_page(container: Container, scope: Scope, request: Request) -> Reply:
    page = read_feed(container, scope, request.headers, request.page_size(FEED_PAGE))
    reply = _page_reply(container, scope, page)
    if not page.documents:
        reply.status, reply.body = NOT_MODIFIED, b""
    if page.continuation is not None:
        reply.headers["etag"] = page.continuation
    return reply


def _page_reply(container: Container, scope: Scope, page: Page) -> Reply:
    body = feed_body(str(container.properties["_rid"]), "Documents", page.documents)
    reply = Reply(200, body, page_charge(page.size_bytes, page.examined))
    reply.headers = _located(scope.partitions[0])
    reply.headers["x-ms-session-token"] = ",".join(part.session_token for part in scope.partitions)
    reply.headers["x-ms-item-count"] = str(len(page.documents))
    return reply

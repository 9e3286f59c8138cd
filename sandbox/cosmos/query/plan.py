"""Query plans: how an SDK spreads a query over partitions and merges the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.cosmos.query.syntax import Query
    from sandbox.cosmos.wire import JsonObject


def query_plan(query: Query) -> JsonObject:
    """The document a gateway answers to a query plan request."""
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": "None",
            "top": query.top,
            "offset": query.offset if query.limit is not None else None,
            "limit": query.limit,
            "orderBy": ["Descending" if term.descending else "Ascending" for term in query.order],
            "orderByExpressions": [term.text for term in query.order],
            "groupByExpressions": [],
            "groupByAliases": [],
            "aggregates": ["Count"] if query.counts else [],
            "groupByAliasToAggregateType": {},
            "rewrittenQuery": rewrite(query),
            "hasSelectValue": query.value is not None,
            "hasNonStreamingOrderBy": False,
        },
        "queryRanges": [{"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}],
    }


def rewrite(query: Query) -> str:
    """The query each partition is to be asked; empty when it is the query itself.

    Counts are wrapped so that the SDK can add them up; an ordered query carries its sort values
    beside the payload; a window becomes a TOP of everything the merge may need.
    """
    if query.streams:
        return ""
    if query.counts:
        return f'SELECT VALUE [{{"item": COUNT(1)}}] {query.source}'
    if query.limit is not None:
        top = f"TOP {query.offset + query.limit} "
    else:
        top = f"TOP {query.top} " if query.top is not None else ""
    if not query.order:
        return f"SELECT {top}{query.selection} {query.source}"
    terms = ", ".join(f'{{"item": {term.text}}}' for term in query.order)
    order = ", ".join(f"{term.text} {'DESC' if term.descending else 'ASC'}" for term in query.order)
    selection = f"{query.alias}._rid, [{terms}] AS orderByItems, {_payload(query)} AS payload"
    return f"SELECT {top}{selection} {query.source} ORDER BY {order}"


def _payload(query: Query) -> str:
    if query.value is not None:
        return query.selection[len("VALUE") :].strip()
    if not query.fields:
        return query.alias
    return "{" + ", ".join(f"{json.dumps(field.name)}: {field.text}" for field in query.fields) + "}"

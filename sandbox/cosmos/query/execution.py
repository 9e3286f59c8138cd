"""Runs queries over a scope, page by page."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sandbox.cosmos import wire
from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.query.compiler import compile_expression, compile_predicate
from sandbox.cosmos.query.syntax import ArrayOf, Call, Expression, Literal, ObjectOf, Query
from sandbox.cosmos.query.values import SortKey, Undefined, sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.cosmos.items import Item
    from sandbox.cosmos.query.compiler import Evaluator, Parameters, Predicate
    from sandbox.cosmos.scope import Scope
    from sandbox.cosmos.wire import JsonObject

EXAMINED_PER_PAGE = 2_000
MAX_PAGE_BYTES = 4 * 1024 * 1024
_BREATH = 500

Projection: TypeAlias = "Callable[[bytes, JsonObject], bytes | None]"


@dataclass(slots=True)
class Page:
    """One page of results as JSON texts, and where the next one begins (None: there is none)."""

    documents: list[bytes] = field(default_factory=list)
    continuation: str | None = None
    examined: int = 0
    size_bytes: int = 0

    def add(self, document: bytes | None) -> None:
        """Append one result; None stands for an undefined one, which is left out."""
        if document is not None:
            self.documents.append(document)
            self.size_bytes += len(document)

    def full(self, most: int) -> bool:
        """Whether it must end here: by count, by size, or by the work it took."""
        return len(self.documents) >= most or self.size_bytes >= MAX_PAGE_BYTES or self.examined >= EXAMINED_PER_PAGE


async def run_query(query: Query, parameters: Parameters, scope: Scope, continuation: str | None, most: int) -> Page:
    """Answer one page of at most `most` results.

    A listing stops after 2,000 examined items or 4 MB, possibly with an empty page and a
    continuation, as the service does. Ordered and windowed queries are computed anew for each page.
    Raises CosmosError 400 for a continuation that is not one of ours.
    """
    position = _parse_continuation(continuation)
    if query.counts:
        return await _count(query, parameters, scope)
    if query.streams:
        return _stream(query, parameters, scope, position, most)
    return await _window(query, parameters, scope, position[1], most)


def _parse_continuation(text: str | None) -> tuple[int, int]:
    """Partition and creation number to go on after; for windows the second is how many to skip."""
    if text is None:
        return 0, 0
    try:
        position = json.loads(text)
        return int(position["at"]), int(position["after"])
    except (ValueError, TypeError, KeyError) as error:
        raise bad_request(f"The continuation {text!r} is not valid.") from error


def _continue(at: int, after: int) -> str:
    return json.dumps({"at": at, "after": after})


def _stream(query: Query, parameters: Parameters, scope: Scope, position: tuple[int, int], most: int) -> Page:
    predicate = compile_predicate(query.where, parameters)
    project = _projection(query, parameters)
    raw = predicate is None and project is _whole
    page = Page()
    for at, item in _scan_from(scope, position):
        if page.full(most):
            return page
        page.examined += 1
        document = {} if raw else wire.stored(item.body)
        if predicate is None or predicate(document):
            page.add(project(item.body, document))
        page.continuation = _continue(at, item.number)
    page.continuation = None
    return page


def _scan_from(scope: Scope, position: tuple[int, int]) -> Iterator[tuple[int, Item]]:
    start, after = position
    for at in range(start, len(scope.partitions)):
        for item in scope.scan(scope.partitions[at], after if at == start else 0):
            yield at, item


async def _count(query: Query, parameters: Parameters, scope: Scope) -> Page:
    page = Page()
    predicate = compile_predicate(query.where, parameters)
    if predicate is None and scope.whole:
        count = sum(partition.count() for partition in scope.partitions)
    else:
        count = len(await _matching(predicate, scope, page))
    members = ObjectOf(tuple((field.name, field.expression) for field in query.fields))
    answer = compile_expression(_with_count(query.value or members, count), parameters)({})
    page.add(None if isinstance(answer, Undefined) else wire.encode(answer))
    return page


async def _window(query: Query, parameters: Parameters, scope: Scope, skip: int, most: int) -> Page:
    page = Page()
    project = _projection(query, parameters)
    matching = await _matching(compile_predicate(query.where, parameters), scope, page)
    for term in reversed(query.order):
        evaluate = compile_expression(term.path, parameters)
        matching.sort(key=_sorting(evaluate), reverse=term.descending)
    limits = [limit for limit in (query.top, query.limit) if limit is not None]
    window = matching[query.offset :][: min(limits)] if limits else matching[query.offset :]
    for body, document in window[skip : skip + most]:
        page.add(project(body, document))
    if skip + most < len(window):
        page.continuation = _continue(0, skip + most)
    return page


def _sorting(evaluate: Evaluator) -> Callable[[tuple[bytes, JsonObject]], SortKey]:
    return lambda pair: sort_key(evaluate(pair[1]))


async def _matching(predicate: Predicate | None, scope: Scope, page: Page) -> list[tuple[bytes, JsonObject]]:
    found: list[tuple[bytes, JsonObject]] = []
    snapshot = [item.body for _, item in _scan_from(scope, (0, 0))]
    for body in snapshot:
        page.examined += 1
        if page.examined % _BREATH == 0:
            await asyncio.sleep(0)  # let other requests in between
        document = wire.stored(body)
        if predicate is None or predicate(document):
            found.append((body, document))
    return found


def _projection(query: Query, parameters: Parameters) -> Projection:
    if query.value is not None:
        return _project_value(compile_expression(query.value, parameters))
    if not query.fields:
        return _whole
    members = ObjectOf(tuple((member.name, member.expression) for member in query.fields))
    return _project_value(compile_expression(members, parameters))


def _whole(body: bytes, _: JsonObject) -> bytes:
    return body


def _project_value(evaluate: Evaluator) -> Projection:
    def project(_: bytes, document: JsonObject) -> bytes | None:
        value = evaluate(document)
        return None if isinstance(value, Undefined) else wire.encode(value)

    return project


def _with_count(expression: Expression, count: int) -> Expression:
    match expression:
        case Call("COUNT"):
            return Literal(count)
        case ArrayOf(elements):
            return ArrayOf(tuple(_with_count(element, count) for element in elements))
        case ObjectOf(members):
            return ObjectOf(tuple((name, _with_count(member, count)) for name, member in members))
        case _:
            return expression

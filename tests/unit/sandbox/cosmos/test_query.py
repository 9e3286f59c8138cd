"""Queries mean what they mean in the service, or are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.query.compiler import compile_condition, compile_predicate
from sandbox.cosmos.query.parser import parse_condition, parse_query
from sandbox.cosmos.query.plan import query_plan, rewrite

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json, JsonObject

DOCUMENT: JsonObject = {
    "id": "a",
    "n": 5,
    "s": "Hello",
    "t": True,
    "z": None,
    "list": [1, "x", {"k": [True]}],
    "in": {"a b": 7, "value": "v"},
}


def matches(where: str, **parameters: Json) -> bool:
    """Whether DOCUMENT passes a WHERE clause."""
    named = {f"@{name}": value for name, value in parameters.items()}
    predicate = compile_predicate(parse_condition(f"FROM c WHERE {where}"), named)
    assert predicate is not None
    return predicate(DOCUMENT)


@pytest.mark.parametrize(
    "where",
    [
        "c.n = 5",
        "c.n != 4 AND c.n > 4 AND c.n >= 5 AND c.n < 6 AND c.n <= 5",
        "c.n <> 4",
        "c['n'] = 5.0",
        'c["in"]["a b"] = 7',
        'c["in"].value = "v"',
        "c.list[1] = 'x'",
        "c.s = 'Hello' or c.s = 'other'",
        "not (c.n = 4)",
        "NOT IS_DEFINED(c.missing)",
        "IS_DEFINED(c.z) AND IS_NULL(c.z) AND c.z = null",
        "STARTSWITH(c.s, 'He') AND NOT STARTSWITH(c.s, 'he')",
        "STARTSWITH(c.s, 'he', true) AND ENDSWITH(c.s, 'lo') AND CONTAINS(c.s, 'ell')",
        "c.n IN (1, 5, 'x')",
        "c.n NOT IN (1, 2)",
        "ARRAY_CONTAINS(@wanted, c.id)",
        'ARRAY_CONTAINS(c.list, {"k": [true]})',
        "c.n != null",
        "c.n != 'five'",
        "c.missing = 1 OR c.n = 5",
        "c.t",
        'c.s = "Hello"',
    ],
)
def test_conditions_that_hold(where: str) -> None:
    assert matches(where, wanted=["a", "b"])


@pytest.mark.parametrize(
    "where",
    [
        "c.missing = 1",
        "c.missing != 1",
        "NOT (c.missing = 1)",
        "c.missing = 1 AND c.n = 5",
        "c.n < 'x'",
        "c.t = 1",
        "c.n",
        "c.z = 0",
        "IS_NULL(c.missing)",
        "STARTSWITH(c.n, '5')",
        "c.n IN ()",
        "c.list[9] = 1",
        "c.s = 'hello'",
    ],
)
def test_conditions_that_do_not_hold(where: str) -> None:
    assert not matches(where)


def test_escapes_in_strings() -> None:
    assert matches(r"'it\'s' = @text", text="it's")
    assert matches('"quote \\" and \\u00e9" = @text', text='quote " and é')
    assert matches("'say \"x\"' = @text", text='say "x"')


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM c",
        "SELECT * FROM",
        "SELECT * FROM c WHERE",
        "SELECT * FROM c JOIN t IN c.tags",
        "SELECT * FROM c GROUP BY c.n",
        "SELECT DISTINCT c.n FROM c",
        "SELECT VALUE SUM(c.n) FROM c",
        "SELECT VALUE COUNT(c.n) FROM c",
        "SELECT * FROM c WHERE LOWER(c.s) = 'x'",
        "SELECT * FROM c WHERE c.n = 1; DROP",
        "SELECT * FROM c WHERE other.n = 1",
        "SELECT * FROM c WHERE c.n LIKE 'x'",
        "SELECT * FROM c ORDER BY 1",
        "SELECT * FROM c OFFSET 1",
        "SELECT * FROM c WHERE c.list[-1] = 1",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(CosmosError) as refused:
        parse_query(text)
    assert refused.value.status == 400
    assert refused.value.message


def test_a_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(CosmosError, match="@absent"):
        matches("c.n = @absent")


@pytest.mark.parametrize(
    "text", ["SELECT * FROM c", "SELECT r.a FROM root AS r WHERE r.a = 1", "select value x from x"]
)
def test_listings_need_no_plan(text: str) -> None:
    query = parse_query(text)
    assert query.streams
    assert rewrite(query) == ""


@pytest.mark.parametrize(
    "text",
    [
        "SELECT VALUE COUNT(1) FROM c WHERE c.n > 1",
        "SELECT c.a, c.b AS x FROM c WHERE c.n = 1 ORDER BY c.a DESC, c.b OFFSET 2 LIMIT 3",
        "SELECT TOP 5 VALUE c.n FROM c ORDER BY c.n",
        "SELECT * FROM c ORDER BY c._ts",
        "SELECT TOP 3 * FROM c",
    ],
)
def test_rewritten_queries_can_be_parsed_again(text: str) -> None:
    query = parse_query(text)
    again = parse_query(rewrite(query))
    assert not query.streams
    assert again.where == query.where
    assert [term.descending for term in again.order] == [term.descending for term in query.order]


def test_a_plan_names_what_the_sdk_merges_by() -> None:
    plan = query_plan(parse_query("SELECT VALUE COUNT(1) FROM c"))
    assert isinstance(plan["queryInfo"], dict)
    assert plan["queryInfo"]["aggregates"] == ["Count"]
    assert plan["queryInfo"]["rewrittenQuery"] == 'SELECT VALUE [{"item": COUNT(1)}] FROM c'


def test_patch_conditions_are_from_where_clauses() -> None:
    assert compile_condition("FROM c WHERE c.n = 5")(DOCUMENT)
    assert not compile_condition("from t where t.n = 6")(DOCUMENT)
    with pytest.raises(CosmosError, match="WHERE"):
        compile_condition("FROM c")
